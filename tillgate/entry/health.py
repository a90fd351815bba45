"""Is it alive, is it ready, and how is it doing: `/healthz`, `/readyz`, `/metrics`.

Alive: the process answers. Ready: a fresh connection to the database answers, no migration is
missing, and a worker has been alive within half a minute. Metrics are for this machine, and for
whoever shows the token. Each process shows its own; who can `measure` shows the installation's too.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec

from tillgate.kernel.clock import Clock
from tillgate.runtime import heartbeats, migrations, telemetry
from tillgate.runtime.db import LOST_CONNECTION, Database, DatabaseUnavailable
from tillgate.runtime.settings import DatabaseSettings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
#: Set the gauges that are true of the whole installation.
Measure = Callable[[], Awaitable[None]]

WORKER_FRESH: Final = timedelta(seconds=30)


class Health:
    """Answers the three, and hands everything else on."""

    #: Shorter than those who probe usually wait, so that they read the reason.
    patience_seconds = 3.0

    def __init__(
        self,
        app: AsgiApp,
        clock: Clock,
        *,
        database: DatabaseSettings,
        db: Database | None = None,
        metrics_token: str = "",
        measure: Measure | None = None,
    ) -> None:
        self._app = app
        self._clock = clock
        self._database = database
        self._db = db
        self._token = metrics_token.encode()
        self._measure = measure
        self._looking: asyncio.Task[list[str]] | None = None
        telemetry.collect_process_metrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path") if scope["type"] == "http" else None
        if path == "/healthz":
            await _answer(send, 200, {"status": "alive"})
        elif path == "/readyz":
            problems = await self.problems()
            status = "not ready" if problems else "ready"
            await _answer(send, 503 if problems else 200, {"status": status, "problems": problems})
        elif path == "/metrics":
            await self._metrics(scope, send)
        else:
            await self._app(scope, receive, send)

    async def problems(self) -> list[str]:
        """Return what keeps this installation from being ready, in words.

        Anybody may ask, so all who ask at the same time share one look at the database.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> list[str]:
        try:
            async with asyncio.timeout(self.patience_seconds):
                await migrations.require_all(self._database.url)
                last = await self._last_beat()
        except migrations.SchemaOutdated as error:
            return [str(error)]
        except (*LOST_CONNECTION, DatabaseUnavailable) as error:
            return [f"the database does not answer: {type(error).__name__}"]
        except asyncpg.PostgresError as error:
            return [f"the database refuses: {type(error).__name__}"]
        if last is None:
            return ["no worker has been seen"]
        age = self._clock.now() - last
        if age > WORKER_FRESH:
            return [f"no worker has been seen for {int(age.total_seconds())} seconds"]
        return []

    async def _last_beat(self) -> datetime | None:
        """Ask over a fresh connection: one from a pool would prove less."""
        db = await Database.open(self._database.url, size=1, role=self._database.role or None)
        try:
            async with db.transaction(readonly=True) as tx:
                return await heartbeats.last_beat(tx, "worker")
        finally:
            await db.abort()

    async def _metrics(self, scope: Scope, send: Send) -> None:
        if not self._may_see_metrics(scope):
            await _answer(send, 403, {"error": "metrics are for this machine, or with the token"})
            return
        if self._db is not None:
            telemetry.CONNECTIONS.set(self._db.in_use)
        body = telemetry.render(installation=await self._is_measured())
        await _send(send, 200, body, telemetry.CONTENT_TYPE)

    async def _is_measured(self) -> bool:
        """Without the database there is nothing true to say of the installation."""
        if self._measure is None:
            return False
        try:
            await self._measure()
        except (*LOST_CONNECTION, DatabaseUnavailable, asyncpg.PostgresError):
            return False
        return True

    def _may_see_metrics(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        if self._token and hmac.compare_digest(given, self._token):
            return True
        client = scope.get("client")
        # Behind a proxy of this machine everybody seems to come from here.
        is_forwarded = b"x-forwarded-for" in headers or b"forwarded" in headers
        return client is not None and not is_forwarded and _is_loopback(client[0])


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def nothing_here(scope: Scope, _: Receive, send: Send) -> None:
    """Stand behind the three where there is nothing else."""
    assert scope["type"] == "http", "nothing else is served"
    await _answer(send, 404, {"error": "here are /healthz, /readyz and /metrics"})


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    await _send(send, status, msgspec.json.encode(body), "application/json")


async def _send(send: Send, status: int, body: bytes, content_type: str) -> None:
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
