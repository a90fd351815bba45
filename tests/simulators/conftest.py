"""Running simulators, and a merchant's notify address that remembers what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from simulators.common.http import Request, Response, Server
from simulators.keys import open_keys
from simulators.running import Plan, Running, run


class Merchant:
    """The merchant's side: answers notices, and keeps them."""

    def __init__(self) -> None:
        self.notices: list[Request] = []
        self.answer: Callable[[Request], Response] = lambda _: Response(200, b"success")
        self.server = Server(self._receive)

    def _receive(self, request: Request) -> Response:
        self.notices.append(request)
        return self.answer(request)

    async def wait_for(self, count: int) -> list[Request]:
        """The notices once there are this many."""
        for _ in range(400):
            if len(self.notices) >= count:
                return self.notices
            await asyncio.sleep(0.01)
        raise AssertionError(f"{len(self.notices)} notices, expected {count}")


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys are slow to make: once a session."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    open_keys(path, ("demo", "teahouse"))
    return path


@pytest_asyncio.fixture
async def world(keys_file: Path) -> AsyncIterator[Running]:
    """Alipay and WeChat Pay on free ports, books in memory, notices retried 100 times faster."""
    ports = (("alipay", 0), ("wechat", 0))
    running = await run(Plan(keys=keys_file, ports=ports, control_port=0, speed=100.0))
    yield running
    await running.stop()


@pytest_asyncio.fixture
async def shop() -> AsyncIterator[Merchant]:
    """A merchant that takes notices."""
    merchant = Merchant()
    await merchant.server.start()
    yield merchant
    await merchant.server.stop()


@pytest.fixture
def accounts(world: Running) -> dict[str, Any]:
    """The demo merchant's halves of the keys, by provider."""
    return json.loads(world.merchants_file.read_text())["merchants"][0]
