"""The server: the API, the notices, the pages, health and metrics, in one process.

Started again and again by the supervisor or systemd; it holds nothing that is not in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable
from socket import socket

import uvicorn
import uvloop

from tillgate.api import app as api
from tillgate.api.notices import PREFIX as NOTICES
from tillgate.api.notices import NoticeEndpoint, Receive, Scope, Send
from tillgate.entry import listening
from tillgate.entry.build import Core, open_core, spare_the_collector
from tillgate.entry.health import Health
from tillgate.entry.keys import LastUses
from tillgate.entry.loops import Chore, keep_doing
from tillgate.entry.parts import api_parts
from tillgate.entry.seed import demo_page
from tillgate.runtime import logs, telemetry
from tillgate.runtime.db import LOST_CONNECTION, DatabaseUnavailable
from tillgate.runtime.settings import Settings
from tillgate.topup_app.routes import Pages, Parts
from tillgate.web.auth import KeyRing
from tillgate.web.operation import Operation

KEY_USES_SECONDS = 60.0


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    logs.configure(settings.log)
    uvloop.run(_main(settings))


async def _main(settings: Settings) -> None:
    http = settings.http
    use, setting = "the API and the pages", "TILLGATE_HTTP__PORT"
    with listening.bound(http.host, http.port, use, setting) as listener:
        async with open_core(settings) as core:
            spare_the_collector()
            site = application(core)
            server = Listener(listening.config_of(site), site)
            server.end_on(signal.SIGTERM, signal.SIGINT)
            async with _noting(LastUses(core.db, core.clock, site.keys)):
                await server.serve(sockets=[listener])


@contextlib.asynccontextmanager
async def _noting(uses: LastUses) -> AsyncGenerator[None]:
    """Once a minute, and at the end, write down which keys were used."""
    stop = asyncio.Event()
    chore = Chore("key uses", uses.write, KEY_USES_SECONDS, sys.maxsize)
    noting = asyncio.create_task(keep_doing(chore, stop))
    try:
        yield
    finally:
        stop.set()
        await noting
        # A database that is away must not keep us from ending.
        with contextlib.suppress(*LOST_CONNECTION, DatabaseUnavailable):
            await uses.write()


def application(core: Core) -> Server:
    """Return the whole ASGI application."""
    shown = pages(core)
    site = api.build(api_parts(core), pages=shown.application(), observe=telemetry_of_request)
    health = Health(
        site,
        core.clock,
        database=core.settings.database,
        db=core.db,
        metrics_token=core.settings.metrics.token,
    )
    notices = NoticeEndpoint(core.payments)
    return Server(calls=site.api, notices=notices, rest=health, pages=shown, keys=site.api.keys)


class Server:
    """Sends what is many, calls of the API and notices, straight to where it belongs."""

    def __init__(
        self,
        calls: api.AsgiApp,
        notices: NoticeEndpoint,
        rest: api.AsgiApp,
        pages: Pages,
        keys: KeyRing,
    ) -> None:
        self.keys = keys
        self._calls = calls
        self._notices = notices
        self._rest = rest
        self._pages = pages

    async def close(self) -> None:
        """Let go of the pages that wait for news."""
        await self._pages.close()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope["path"] if scope["type"] == "http" else ""
        if path.startswith("/v1/"):
            return self._calls(scope, receive, send)
        if path.startswith(NOTICES):
            return self._notices(scope, receive, send)
        return self._rest(scope, receive, send)


class Listener(listening.Server):
    """Ends at once although pages wait: their streams would hold it up."""

    def __init__(self, config: uvicorn.Config, site: Server) -> None:
        super().__init__(config)
        self._site = site

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self._site.close()
        await super().shutdown(sockets)


def pages(core: Core) -> Pages:
    """Return the top-up pages."""
    simulators = core.settings.simulators
    phone = f"http://{simulators.host}:{simulators.alipay_port}/phone/"
    return Pages(
        Parts(
            db=core.db,
            clock=core.clock,
            vault=core.vault,
            providers=core.providers,
            payments=core.payments,
            top_ups=core.top_ups,
            base_url=core.settings.http.base_url,
            demo_page=lambda: demo_page(core.settings, core.vault, core.clock),
            phone_url=phone if simulators.enabled else None,
        )
    )


def telemetry_of_request(operation: Operation | None, status: int, seconds: float) -> None:
    """Count a request."""
    telemetry.observe_request(None if operation is None else operation.name, status, seconds)
