"""From a payment to what the merchant's endpoint hears, and to a healthy patient for the doctor."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
import stripe

from tests.webhooks.receiver import start_receiver
from tests.worlds import MERCHANT, World, make_keys, open_world
from tillgate.entry import doctor
from tillgate.entry.relay import Told, relay
from tillgate.entry.subscriptions import CATALOGUE, TABLE
from tillgate.kernel.paging import Page
from tillgate.runtime.secrets import Vault
from tillgate.runtime.settings import WebhookSettings
from tillgate.webhooks import commands, queries
from tillgate.webhooks.dispatcher import Dispatcher
from tillgate.webhooks.model import EndpointTerms


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest_asyncio.fixture
async def world(app_db_url: str, keys_file: Path) -> AsyncIterator[World]:
    async with open_world(app_db_url, keys_file) as opened:
        yield opened


async def give_wallet(world: World) -> None:
    async with world.db.transaction() as tx:
        await tx.run(
            "INSERT INTO wallets.wallets (merchant_id, id, customer_id, currency,"
            " principal_account, bonus_account, created_at)"
            " VALUES ($1, 'wal_li', 'cus_li', 'cny', $2, $3, $4)",
            MERCHANT,
            world.wallet,
            world.bonus,
            world.clock.now(),
        )


@pytest.mark.parametrize("method", ["alipay", "card"])
async def test_a_payment_and_its_refund_are_told_in_stripes_words(
    world: World, method: str
) -> None:
    receiver, runner = await start_receiver()
    vault = Vault(b"k" * 32)
    await give_wallet(world)
    async with world.db.transaction() as tx:
        _, secret = await commands.create_endpoint(
            tx, vault, MERCHANT, EndpointTerms(receiver.url, ("*",)),
            may_be_private=True, at=world.clock.now(),
        )  # fmt: skip
    dispatcher = Dispatcher(world.db, world.clock, vault, CATALOGUE, WebhookSettings())

    payment = await world.pay(method)
    if method != "card":
        await world.phone_pays(method, payment)
    await world.until_paid(payment)
    await world.refund(payment, 4_000)

    async def refunded() -> bool:
        return "refund.updated" in await world.facts()

    await world.until(refunded, sweep=True)
    while await relay(world.db, world.clock, TABLE) or await dispatcher.deliver_due():
        pass
    await dispatcher.close()
    await runner.cleanup()

    events = [
        stripe.Webhook.construct_event(got.body, got.headers["Stripe-Signature"], secret)
        for got in receiver.received
    ]
    types = {event.type for event in events}
    expected = {
        "payment_intent.created",
        "payment_intent.succeeded",
        "charge.succeeded",
        "charge.refunded",
        "refund.created",
        "refund.updated",
    }
    if method != "card":
        expected |= {"payment_intent.requires_action", "wallet.credited", "wallet.debited"}
    assert expected <= types
    assert len({event.id for event in events}) == len(events)
    succeeded = next(event for event in events if event.type == "payment_intent.succeeded")
    assert succeeded.data.object["id"] == payment.id
    assert succeeded.data.object["amount_received"] == 10_000
    async with world.db.transaction(readonly=True) as tx:
        listed = await queries.events(tx, CATALOGUE, MERCHANT, Page(limit=100))
    assert {event["id"] for event in listed.data} == {event.id for event in events}
    findings = await doctor.examine(world.db, doctor.everything(world.clock.now()))
    assert [finding for finding in findings if not finding.is_healthy] == []


async def test_merchant_is_told_that_a_payment_is_held_back(world: World) -> None:
    """The customer says "I have paid", and so does the provider, but it is not what was asked."""
    receiver, runner = await start_receiver()
    vault = Vault(b"k" * 32)
    kinds = ("payment_intent.mismatched", "payment_intent.succeeded")
    async with world.db.transaction() as tx:
        await commands.create_endpoint(
            tx, vault, MERCHANT, EndpointTerms(receiver.url, kinds),
            may_be_private=True, at=world.clock.now(),
        )  # fmt: skip
    dispatcher = Dispatcher(world.db, world.clock, vault, CATALOGUE, WebhookSettings())
    payment = await world.pay("alipay", 4011)
    await world.phone_pays("alipay", payment)

    async def held() -> bool:
        return "payment.mismatched" in await world.facts(payment.id)

    await world.until(held, sweep=True)
    while await relay(world.db, world.clock, TABLE) or await dispatcher.deliver_due():
        pass
    await dispatcher.close()
    await runner.cleanup()

    [event] = [msgspec.json.decode(got.body) for got in receiver.received]
    assert event["type"] == "payment_intent.mismatched"
    told = event["data"]["object"]
    assert (told["id"], told["status"], told["amount_received"]) == (payment.id, "processing", 0)


def test_every_fact_with_a_name_on_the_wire_is_owed() -> None:
    assert set(CATALOGUE) in [set(each.names) for each in TABLE if isinstance(each, Told)]
    assert len({kind.type for kind in CATALOGUE.values()}) == len(CATALOGUE) - 1
