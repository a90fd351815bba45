"""The merchant's webhook endpoint in a crash run: hears, and is as unreliable as the rest."""

from __future__ import annotations

import random

from aiohttp import web

#: How often it hears and fails to say so, and how often it fails before it has heard.
_DEAF, _MUTE = 0.05, 0.05


class Endpoint:
    """Keeps the ids of the events it has heard."""

    def __init__(self, seed: int) -> None:
        self.heard: set[str] = set()
        self._random = random.Random(seed)
        self._runner: web.AppRunner | None = None

    async def open(self) -> str:
        """Listen; return the address."""
        app = web.Application()
        app.router.add_post("/", self._hear)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/"

    async def close(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _hear(self, request: web.Request) -> web.Response:
        draw = self._random.random()
        if draw < _DEAF:
            return web.Response(status=500)
        await request.read()
        self.heard.add(request.headers["Webhook-Id"])
        return web.Response(status=503 if draw < _DEAF + _MUTE else 200)
