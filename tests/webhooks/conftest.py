"""A merchant in test mode, its server, and facts to tell it."""

from collections.abc import AsyncGenerator

import msgspec
import pytest
import pytest_asyncio

from tests.webhooks.receiver import Receiver, start_receiver
from tillgate.kernel.clock import FixedClock, SystemClock
from tillgate.kernel.facts import Fact
from tillgate.kernel.ids import new_id
from tillgate.runtime import outbox
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import Vault
from tillgate.runtime.settings import WebhookSettings
from tillgate.webhooks import commands
from tillgate.webhooks.dispatcher import Dispatcher
from tillgate.webhooks.model import Catalogue, Endpoint, EndpointTerms, EventKind

TEAHOUSE = 3  # odd: test mode


def show(data: bytes, livemode: bool) -> dict[str, object]:  # noqa: FBT001
    return {"livemode": livemode, **msgspec.json.decode(data)}


CATALOGUE: Catalogue = {
    "payment.created": EventKind("payment_intent.created", show),
    "payment.succeeded": EventKind("payment_intent.succeeded", show),
    "refund.created": EventKind("refund.created", show),
}


@pytest.fixture
def clock() -> FixedClock:
    """It starts where the machine's clock stands, since ids are drawn by that one."""
    return FixedClock(SystemClock().now())


@pytest.fixture
def vault() -> Vault:
    return Vault(b"k" * 32)


@pytest_asyncio.fixture
async def db(app_db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(app_db_url, size=4)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    receiver, runner = await start_receiver()
    yield receiver
    receiver.gate.set()
    await runner.cleanup()


@pytest_asyncio.fixture
async def dispatcher(db: Database, clock: FixedClock, vault: Vault) -> AsyncGenerator[Dispatcher]:
    made = new_dispatcher(db, clock, vault)
    yield made
    await made.close()


def new_dispatcher(db: Database, clock: FixedClock, vault: Vault, **settings: object) -> Dispatcher:
    given = {"allow_private_addresses": True, "timeout_seconds": 5.0} | settings
    return Dispatcher(db, clock, vault, CATALOGUE, msgspec.convert(given, WebhookSettings))


class Merchant:
    """What the teahouse does."""

    def __init__(self, db: Database, clock: FixedClock, vault: Vault) -> None:
        self.db, self.clock, self.vault = db, clock, vault

    async def listen(
        self, url: str, *events: str, merchant_id: int = TEAHOUSE
    ) -> tuple[Endpoint, str]:
        async with self.db.transaction() as tx:
            return await commands.create_endpoint(
                tx, self.vault, merchant_id, EndpointTerms(url, events or ("*",)),
                may_be_private=True, at=self.clock.now(),
            )  # fmt: skip

    async def happen(
        self, name: str = "payment.succeeded", count: int = 1, merchant_id: int = TEAHOUSE
    ) -> list[Fact]:
        """Let facts happen, and owe them."""
        facts = [self.fact(name, number, merchant_id) for number in range(1, count + 1)]
        async with self.db.transaction() as tx:
            outbox.publish(tx, facts)
            await commands.enqueue(tx, facts, CATALOGUE, at=self.clock.now())
        return facts

    def fact(self, name: str, sequence: int = 1, merchant_id: int = TEAHOUSE) -> Fact:
        data = msgspec.json.encode({"id": "pi_1", "object": "payment_intent", "amount": 100})
        return Fact(
            merchant_id=merchant_id, id=new_id("evt"), name=name, object_id="pi_1",
            sequence=sequence, data=data, at=self.clock.now(), request_id="req_1",
        )  # fmt: skip


@pytest.fixture
def teahouse(db: Database, clock: FixedClock, vault: Vault) -> Merchant:
    return Merchant(db, clock, vault)
