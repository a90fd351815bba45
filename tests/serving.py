"""A merchant with keys, its providers and its API on real sockets: fixtures for `api` and `sdk`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote_plus

import aiohttp
import msgspec
import pytest
import uvicorn

from tests.worlds import MERCHANT, World, make_keys, open_world
from tillgate.api import words
from tillgate.api.app import Application, Parts, build
from tillgate.entry.subscriptions import CATALOGUE
from tillgate.ledger import commands as ledger
from tillgate.merchants import commands as merchants
from tillgate.payments.flows import Payments
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import Vault
from tillgate.topup_app.links import link_for
from tillgate.topups.flows import TopUps
from tillgate.web.operation import Operation, Table

#: Refusals of what a payment has come to, or of the request as a whole: no parameter is to blame.
NOBODY_TO_BLAME = {
    "charge_already_refunded",
    "lock_timeout",
    "payment_intent_unexpected_state",
    "request_too_large",
    "request_unreadable",
    "webhook_endpoint_limit_exceeded",
}
#: Answers that are not about parameters: who asks, how often, what the card said.
NOT_OF_PARAMETERS = {401, 402, 403, 429}
#: Refusals of a name itself, whatever the request knows: unknown, or of no shape that can be read.
OF_UNKNOWN_NAMES = {"parameter_unknown", "card_number_refused", None}


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


class Faulty:
    """Stands before the application and spoils answers as it is told: `before` or `after`."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.faults: list[tuple[str, int]] = []
        self.seen: list[str] = []

    async def __call__(self, scope, receive, send) -> None:
        if scope["path"] == "/spoil":
            # For a peer in another process: the next two answers are lost.
            self.faults = [("after", 500), ("after", 500)]
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        if not scope["path"].startswith("/v1/"):
            await self.application(scope, receive, send)
            return
        self.seen.append(f"{scope['method']} {scope['path']}")
        when, status = self.faults.pop(0) if self.faults else ("never", 0)
        if when == "after":
            await self.application(scope, receive, _nothing)
        if when != "never":
            head = {"type": "http.response.start", "status": status, "headers": []}
            await send(head)
            await send({"type": "http.response.body", "body": b"<html>oops</html>"})
            return
        await self.application(scope, receive, send)


async def _nothing(_: object) -> None:
    """An answer that is lost on its way."""


def names_its_parameter(row: Operation, status: int, error: dict, sent: str) -> bool:
    """Whether a refusal that is about a parameter names one of the request's own."""
    param, code = error.get("param"), error.get("code")
    if status in NOT_OF_PARAMETERS or status >= 500:
        return True
    if param is None:
        return code in NOBODY_TO_BLAME
    root = param.partition("[")[0]
    return root in parameters_of(row) or (code in OF_UNKNOWN_NAMES and root in sent)


def parameters_of(row: Operation) -> set[str]:
    """What an operation's refusals may name: fields, and what stands in the path."""
    fields = {field.encode_name for field in msgspec.structs.fields(row.request)}
    in_path = set(words.path_words(row.path))
    key = {"Idempotency-Key"} if row.method == "POST" else set()
    return fields | in_path | key | {"expand"} | ({"id", "intent"} if in_path else set())


def assert_documented(
    table: Table, method: str, path: str, answered: Answered, sent: object
) -> None:
    """Refuse an error that the OpenAPI does not announce, or that names no parameter of its own."""
    path, _, query = path.partition("?")
    found = table.find(method, path)
    if isinstance(found, set):
        assert answered.status == 404, answered.error
        return
    said = f"{unquote_plus(query)} {unquote_plus(str(sent))}"
    assert names_its_parameter(found[0], answered.status, answered.error, said), answered.error
    code = answered.error.get("code")
    if code is None:
        return
    known = words.codes_of(found[0]).get(str(answered.status), [])
    assert code in known, f"{found[0].name} answers {answered.status} {code}: see codes.toml"


class Client:
    """Asks the API with one key, and expects errors to be documented."""

    def __init__(
        self, session: aiohttp.ClientSession, base: str, key: str, table: Table | None = None
    ) -> None:
        self.session = session
        self.base = base
        self.key = key
        self.table = table

    def with_key(self, key: str) -> "Client":
        return Client(self.session, self.base, key, self.table)

    async def ask(self, method: str, path: str, key: str | None = None, **given) -> Answered:
        headers = {"Authorization": f"Bearer {self.key}", **given.pop("headers", {})}
        if key is not None:
            headers["Idempotency-Key"] = key
        if isinstance(given.get("data"), str):
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        async with self.session.request(method, self.base + path, headers=headers, **given) as got:
            body = await got.read()
            answered = Answered(got.status, got.headers, body, await got.json())
        if self.table is not None and answered.status >= 400:
            sent = given.get("data") or given.get("json")
            assert_documented(self.table, method, path, answered, sent)
        return answered

    async def get(self, path: str, **given) -> Answered:
        return await self.ask("GET", path, **given)

    async def post(
        self, path: str, data: object = None, key: str | None = None, **given
    ) -> Answered:
        return await self.ask("POST", path, key, data=data, **given)

    async def delete(self, path: str, **given) -> Answered:
        return await self.ask("DELETE", path, **given)


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The providers' and the merchant's keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def world(app_db_url: str, keys_file: Path) -> AsyncGenerator[World]:
    """One merchant, three providers."""
    async with open_world(app_db_url, keys_file) as opened:
        yield opened


@pytest.fixture
def db(world: World) -> Database:
    return world.db


@pytest.fixture
async def teahouse(world: World) -> Teahouse:
    at = world.clock.now()
    async with world.db.transaction() as tx:
        await tx.run(
            "INSERT INTO merchants.merchants (merchant_id, account, livemode, name,"
            " default_currency, created_at) VALUES (2, 'acct_teahouse', true, 'Teahouse', 'cny', $1)",
            at,
        )
        await ledger.open_books(tx, 2)
        secret = await merchants.create_key(tx, MERCHANT, "secret", at=at)
        live_secret = await merchants.create_key(tx, 2, "secret", at=at)
        publishable = await merchants.create_key(tx, MERCHANT, "publishable", at=at)
    return Teahouse(MERCHANT, 2, "acct_teahouse", secret.text, live_secret.text, publishable.text)


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


def application_of(payments: Payments, vault: Vault) -> Application:
    """The API over a money path, as one process has it."""
    payments.pages_url = "http://127.0.0.1:8080"

    def link(merchant_id: int, wallet_id: str, at: datetime, lifetime: timedelta) -> str:
        return link_for(
            vault, "http://127.0.0.1:8080", merchant_id, wallet_id, at=at, lifetime=lifetime
        )

    return build(
        Parts(
            db=payments.db,
            clock=payments.clock,
            vault=vault,
            payments=payments,
            top_ups=TopUps(payments),
            catalogue=CATALOGUE,
            link=link,
            base_url="http://127.0.0.1:8080",
        )
    )


@pytest.fixture
async def application(world: World, tmp_path: Path) -> Application:
    return application_of(world.payments, Vault.from_file(tmp_path / "key"))


@pytest.fixture
async def client(application: Application, teahouse: Teahouse) -> AsyncGenerator[Client]:
    async with served(application) as base, aiohttp.ClientSession() as session:
        yield Client(session, base, teahouse.secret, application.api.table)


@pytest.fixture
async def faulty(application: Application) -> Faulty:
    return Faulty(application)


@pytest.fixture
async def sdk_base(faulty: Faulty) -> AsyncGenerator[str]:
    """The base address of the API, behind something that can spoil answers."""
    async with served(faulty) as base:
        yield base
