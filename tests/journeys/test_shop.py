"""The demo merchant's shop hears of a top-up: seeded once, followed when it moves or forgets."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from simulators.shop.backend import Shop
from tests.webhooks.conftest import CATALOGUE, TEAHOUSE, Merchant
from tillgate.entry import shop as introduction
from tillgate.kernel.clock import SystemClock
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import Vault
from tillgate.runtime.settings import SimulatorSettings, WebhookSettings
from tillgate.webhooks import commands, queries
from tillgate.webhooks.dispatcher import Dispatcher
from tillgate.webhooks.model import Endpoint, EndpointChanges

CLOCK = SystemClock()
VAULT = Vault(b"k" * 32)


@pytest_asyncio.fixture
async def db(app_db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(app_db_url, size=4)
    yield database
    await database.close()


async def opened(folder: Path) -> Shop:
    shop = Shop("127.0.0.1", 0, folder)
    await shop.start()
    return shop


async def introduce(db: Database, shop: Shop) -> list[Endpoint]:
    """What `tillgate seed` does; return the merchant's endpoints."""
    simulators = SimulatorSettings(shop_port=shop.server.port)
    await introduction.introduce(db, VAULT, CLOCK, TEAHOUSE, simulators)
    async with db.transaction(readonly=True) as tx:
        return await queries.endpoints(tx, TEAHOUSE)


async def deliver(db: Database) -> None:
    """A payment succeeds, and the worker tells whom it owes."""
    await Merchant(db, CLOCK, VAULT).happen()  # type: ignore[arg-type]
    dispatcher = Dispatcher(db, CLOCK, VAULT, CATALOGUE, WebhookSettings())
    await dispatcher.deliver_due()
    await dispatcher.close()


async def test_the_shop_is_told_its_secret_once_and_believes_what_comes(
    db: Database, tmp_path: Path
) -> None:
    shop = await opened(tmp_path)
    (first,) = await introduce(db, shop)
    (again,) = await introduce(db, shop)

    await deliver(db)
    (told,) = shop.deliveries.newer_than(0)
    await shop.stop()

    assert again == first
    assert told.is_trusted
    assert (told.type, told.object_id, told.sequence) == ("payment_intent.succeeded", "pi_1", 1)


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_shop_that_moved_or_forgot_is_told_again(
    db: Database, tmp_path: Path, *, forgets: bool
) -> None:
    shop = await opened(tmp_path / "old")
    (first,) = await introduce(db, shop)
    moved = await opened(tmp_path / ("new" if forgets else "old"))
    await shop.stop()

    (endpoint,) = await introduce(db, moved)
    await deliver(db)
    (told,) = moved.deliveries.newer_than(0)
    await moved.stop()

    assert endpoint.id == first.id
    assert endpoint.url == f"{moved.server.url}/webhooks"
    assert (endpoint.sealed_secret == first.sealed_secret) != forgets
    assert told.is_trusted


async def test_an_endpoint_the_merchant_disabled_stays_so(db: Database, tmp_path: Path) -> None:
    shop = await opened(tmp_path)
    (first,) = await introduce(db, shop)
    async with db.transaction() as tx:
        changes = EndpointChanges(disabled=True)
        await commands.update_endpoint(tx, TEAHOUSE, first.id, changes, may_be_private=True)

    (endpoint,) = await introduce(db, shop)
    await shop.stop()

    assert endpoint.status == "disabled"


async def test_no_shop_is_no_trouble(db: Database, tmp_path: Path) -> None:
    shop = await opened(tmp_path)
    await shop.stop()

    assert await introduce(db, shop) == []
