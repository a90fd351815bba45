"""A merchant with keys, and the API of it on a real socket."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
import uvicorn

from tillgate.api.app import Application, Parts, build
from tillgate.kernel.clock import SystemClock
from tillgate.merchants import commands as merchants
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import Vault


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: "aiohttp.typedefs.CIMultiDictProxy[str]"
    body: bytes
    json: dict

    @property
    def error(self) -> dict:
        return self.json["error"]


@dataclass(frozen=True)
class Teahouse:
    """The test merchant: both tenants and their keys."""

    test_id: int
    live_id: int
    account: str
    secret: str
    live_secret: str
    publishable: str


class Client:
    """Asks the API with one key."""

    def __init__(self, session: aiohttp.ClientSession, base: str, key: str) -> None:
        self.session = session
        self.base = base
        self.key = key

    def with_key(self, key: str) -> "Client":
        return Client(self.session, self.base, key)

    async def ask(self, method: str, path: str, key: str | None = None, **given) -> Answered:
        headers = {"Authorization": f"Bearer {self.key}", **given.pop("headers", {})}
        if key is not None:
            headers["Idempotency-Key"] = key
        if isinstance(given.get("data"), str):
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        async with self.session.request(method, self.base + path, headers=headers, **given) as got:
            body = await got.read()
            return Answered(got.status, got.headers, body, await got.json())

    async def get(self, path: str, **given) -> Answered:
        return await self.ask("GET", path, **given)

    async def post(self, path: str, data: object = None, key: str | None = None, **given) -> Answered:
        return await self.ask("POST", path, key, data=data, **given)

    async def delete(self, path: str, **given) -> Answered:
        return await self.ask("DELETE", path, **given)


@pytest.fixture
async def db(app_db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(app_db_url, size=6, role=None)
    yield database
    await database.close()


@pytest.fixture
async def teahouse(db: Database) -> Teahouse:
    at = SystemClock().now()
    async with db.transaction() as tx:
        test, live = await merchants.create_merchant(tx, "Teahouse", default_currency="cny", at=at)
        secret = await merchants.create_key(tx, test.merchant_id, "secret", at=at)
        live_secret = await merchants.create_key(tx, live.merchant_id, "secret", at=at)
        publishable = await merchants.create_key(tx, test.merchant_id, "publishable", at=at)
    return Teahouse(
        test.merchant_id,
        live.merchant_id,
        test.account,
        secret.text,
        live_secret.text,
        publishable.text,
    )


@asynccontextmanager
async def served(application: object) -> AsyncGenerator[str]:
    """Run an ASGI application on a free port; gives its base address."""
    config = uvicorn.Config(
        application, port=0, log_level="warning", access_log=False, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


@pytest.fixture
async def application(db: Database, tmp_path) -> Application:
    vault = Vault.from_file(tmp_path / "key")
    return build(
        Parts(db=db, clock=SystemClock(), vault=vault, base_url="http://127.0.0.1:8080")
    )


@pytest.fixture
async def client(application: Application, teahouse: Teahouse) -> AsyncGenerator[Client]:
    async with served(application) as base, aiohttp.ClientSession() as session:
        yield Client(session, base, teahouse.secret)
