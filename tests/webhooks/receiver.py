"""A merchant's server for tests: real sockets, scripted answers, everything received is kept."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    url: str = ""
    received: list[Received] = field(default_factory=list)
    #: What the next requests are answered with: a status, or (status, headers); then always 200.
    script: list[Any] = field(default_factory=list)
    #: Requests wait for this before they are answered.
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    by_path: Callable[[str], int] | None = None
    most_at_once: int = 0
    _now: int = 0
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def has_received(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self._arrived:
            self.received.append(Received(request.path, dict(request.headers), body))
            self._arrived.notify_all()
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await self.gate.wait()
        finally:
            self._now -= 1
        if self.by_path is not None:
            return web.Response(status=self.by_path(request.path), text="by path")
        answer = self.script.pop(0) if self.script else 200
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        return web.Response(status=status, headers=headers, text=f"answered {status}")


async def start_receiver() -> tuple[Receiver, web.AppRunner]:
    receiver = Receiver()
    receiver.gate.set()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = site.name.replace("localhost", "127.0.0.1")
    port = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{port}"
    return receiver, runner
