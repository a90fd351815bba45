"""Deliveries over real sockets: signed, once each, retried, replayed, and never in each other's way."""

import asyncio
import json
from collections import Counter
from datetime import timedelta

import pytest
import standardwebhooks
import stripe

from tests.webhooks.conftest import CATALOGUE, TEAHOUSE, Merchant, new_dispatcher
from tests.webhooks.receiver import Receiver
from tillgate.kernel.clock import FixedClock, SystemClock
from tillgate.kernel.paging import Page
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import Vault
from tillgate.webhooks import commands, queries
from tillgate.webhooks.dispatcher import Dispatcher
from tillgate.webhooks.model import Delivery, EndpointChanges
from tillgate.webhooks.wire import ShownEvent


async def deliveries(db: Database, **filters: str) -> list[Delivery]:
    async with db.transaction(readonly=True) as tx:
        return (await queries.deliveries(tx, TEAHOUSE, Page(limit=1000), **filters)).data


async def test_both_signatures_are_verified_by_the_official_libraries(
    db: Database, vault: Vault, teahouse: Merchant, receiver: Receiver
) -> None:
    """The libraries compare with the machine's clock, so this test uses it too."""
    teahouse.clock = clock = SystemClock()  # type: ignore[assignment]
    _, secret = await teahouse.listen(receiver.url)
    (fact,) = await teahouse.happen()
    dispatcher = new_dispatcher(db, clock, vault)  # type: ignore[arg-type]

    await dispatcher.deliver_due()
    await dispatcher.close()

    (got,) = receiver.received
    event = stripe.Webhook.construct_event(got.body, got.headers["Stripe-Signature"], secret)
    assert event.id == fact.id
    assert event.type == "payment_intent.succeeded"
    assert event.data.object["amount"] == 100
    assert event.request is not None
    assert list(json.loads(got.body)) == [
        name for name in ShownEvent.__struct_fields__ if name != "account"
    ]
    standard = standardwebhooks.Webhook(secret).verify(got.body, got.headers)
    assert standard["id"] == got.headers["webhook-id"] == fact.id
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(got.body + b" ", got.headers["Stripe-Signature"], secret)


async def test_a_rolled_secret_signs_along_until_its_time(
    db: Database, clock: FixedClock, vault: Vault, teahouse: Merchant, receiver: Receiver,
    dispatcher: Dispatcher,
) -> None:  # fmt: skip
    endpoint, old = await teahouse.listen(receiver.url)
    async with db.transaction() as tx:
        _, new = await commands.roll_secret(
            tx, vault, TEAHOUSE, endpoint.id, overlap_seconds=3600, at=clock.now()
        )

    await teahouse.happen()
    await dispatcher.deliver_due()
    clock.advance(hours=2)
    await teahouse.happen()
    await dispatcher.deliver_due()

    during, after = (one.headers["Stripe-Signature"] for one in receiver.received)
    assert during.count("v1=") == 2
    assert after.count("v1=") == 1
    for key in (old, new):
        verify_stripe(receiver.received[0].body, during, key)
    with pytest.raises(stripe.SignatureVerificationError):
        verify_stripe(receiver.received[1].body, after, old)


def verify_stripe(body: bytes, header: str, secret: str) -> None:
    stripe.WebhookSignature.verify_header(body.decode(), header, secret, tolerance=None)


async def test_fifty_facts_reach_three_endpoints_once_each(
    db: Database, teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    for name in ("a", "b", "c"):
        await teahouse.listen(f"{receiver.url}/{name}")
    facts = await teahouse.happen(count=50)

    while await dispatcher.deliver_due():
        pass

    heard = Counter((one.path, one.event_id) for one in receiver.received)
    assert heard == {(f"/{name}", fact.id): 1 for name in "abc" for fact in facts}
    assert {one.status for one in await deliveries(db)} == {"delivered"}
    assert receiver.most_at_once <= 3 * 16


async def test_an_endpoint_hears_only_what_it_listens_to(
    teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    await teahouse.listen(f"{receiver.url}/refunds", "refund.created", "refund.failed")
    await teahouse.happen("payment.succeeded")
    (fact,) = await teahouse.happen("refund.created")
    await teahouse.happen("nobody.cared")

    await dispatcher.deliver_due()

    assert [one.event_id for one in receiver.received] == [fact.id]


async def test_another_merchants_events_are_never_sent(
    teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    await teahouse.listen(receiver.url, merchant_id=TEAHOUSE)
    await teahouse.happen(merchant_id=5)

    assert await dispatcher.deliver_due() == 0
    assert receiver.received == []


async def test_owing_twice_is_the_same_as_once(
    db: Database, clock: FixedClock, teahouse: Merchant, receiver: Receiver
) -> None:
    await teahouse.listen(receiver.url)
    facts = await teahouse.happen(count=3)

    async with db.transaction() as tx:
        await commands.enqueue(tx, facts, CATALOGUE, at=clock.now())

    assert len(await deliveries(db)) == 3


async def test_failing_endpoints_share_half_of_the_slots(
    db: Database, clock: FixedClock, vault: Vault, teahouse: Merchant, receiver: Receiver
) -> None:
    receiver.by_path = lambda path: 200 if path == "/alive" else 500
    for number in range(4):
        await teahouse.listen(f"{receiver.url}/dead{number}")
    await teahouse.happen()
    dispatcher = new_dispatcher(db, clock, vault, max_in_flight=4)
    await dispatcher.deliver_due()
    await teahouse.listen(f"{receiver.url}/alive")
    clock.advance(minutes=10)
    await teahouse.happen()
    receiver.gate.clear()
    receiver.received.clear()

    await dispatcher.start_due()
    await receiver.has_received(3)

    assert "/alive" in {one.path for one in receiver.received}
    assert len(receiver.received) == 3  # two of the failing ones, and the live one
    receiver.gate.set()
    await dispatcher.finish()
    await dispatcher.close()


async def test_a_failed_delivery_is_tried_for_three_days_and_then_given_up(
    db: Database, clock: FixedClock, teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    await teahouse.listen(receiver.url)
    (fact,) = await teahouse.happen()
    receiver.by_path = lambda _: 500
    began, moments = clock.now(), []

    while (delivery := (await deliveries(db))[0]).status == "pending":
        assert delivery.next_at is not None
        clock.advance(seconds=max(0.0, (delivery.next_at - clock.now()).total_seconds()))
        if await dispatcher.deliver_due():
            moments.append((clock.now() - began).total_seconds())
        else:
            clock.advance(seconds=1)  # the endpoint rests between requests

    hours = [round(moment / 3600, 1) for moment in moments]
    assert moments[:2] == [0, 5]
    assert hours[2:] == [0.1, 0.6, 2.6, 7.6, 17.6, 31.6, 51.6, 72.0]
    assert delivery.status == "abandoned"
    assert {one.event_id for one in receiver.received} == {fact.id}
    stamps = [one.headers["webhook-timestamp"] for one in receiver.received]
    assert len(set(stamps)) == len(stamps)
    assert len({one.headers["Stripe-Signature"] for one in receiver.received}) == len(stamps)
    async with db.transaction(readonly=True) as tx:
        log = await queries.tries(tx, TEAHOUSE, delivery.id)
    assert [one.number for one in log] == list(range(1, 11))
    assert {(one.status, one.answer) for one in log} == {(500, "by path")}


@pytest.mark.parametrize("status", [429, 503])
async def test_an_endpoint_that_asks_for_patience_gets_it(
    db: Database, clock: FixedClock, teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher,
    status: int,
) -> None:  # fmt: skip
    await teahouse.listen(receiver.url)
    await teahouse.happen()
    receiver.script = [(status, {"Retry-After": "600"})]

    await dispatcher.deliver_due()

    (delivery,) = await deliveries(db)
    assert delivery.next_at == clock.now() + timedelta(seconds=600)
    await teahouse.happen()
    clock.advance(seconds=599)
    assert await dispatcher.deliver_due() == 0, "the endpoint rests, with all that is owed to it"
    clock.advance(seconds=1)
    assert await dispatcher.deliver_due() == 2


async def test_a_redirect_is_a_failure_and_is_not_followed(
    db: Database, teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    await teahouse.listen(f"{receiver.url}/here")
    await teahouse.happen()
    receiver.script = [(302, {"Location": "/there"})]

    await dispatcher.deliver_due()

    assert [one.path for one in receiver.received] == ["/here"]
    (delivery,) = await deliveries(db)
    assert (delivery.status, delivery.last_status) == ("pending", 302)


async def test_gone_disables_the_endpoint(
    db: Database, clock: FixedClock, teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    endpoint, _ = await teahouse.listen(receiver.url)
    await teahouse.happen(count=3)
    receiver.script = [410, 410, 410]

    await dispatcher.deliver_due()

    async with db.transaction(readonly=True) as tx:
        assert (await queries.endpoint(tx, TEAHOUSE, endpoint.id)).status == "disabled"
    assert {one.status for one in await deliveries(db)} == {"abandoned"}
    await teahouse.happen()
    clock.advance(days=1)
    assert await dispatcher.deliver_due() == 0


async def test_a_process_killed_between_sending_and_recording_sends_the_same_event_again(
    db: Database, clock: FixedClock, vault: Vault, teahouse: Merchant, receiver: Receiver,
    dispatcher: Dispatcher,
) -> None:  # fmt: skip
    await teahouse.listen(receiver.url)
    (fact,) = await teahouse.happen()
    doomed = new_dispatcher(db, clock, vault)
    receiver.gate.clear()
    await doomed.start_due()
    await receiver.has_received(1)
    await doomed.close()  # its tasks are cancelled where they stand
    receiver.gate.set()

    assert await dispatcher.deliver_due() == 0, "the lease is still running"
    clock.advance(seconds=120)
    await dispatcher.deliver_due()

    assert [one.event_id for one in receiver.received] == [fact.id, fact.id]
    (delivery,) = await deliveries(db)
    assert (delivery.status, delivery.tries) == ("delivered", 2)


async def test_two_workers_do_not_send_the_same_delivery(
    db: Database, clock: FixedClock, vault: Vault, teahouse: Merchant, receiver: Receiver
) -> None:
    await teahouse.listen(receiver.url)
    facts = await teahouse.happen(count=40)
    workers = [new_dispatcher(db, clock, vault) for _ in range(3)]

    while sum(await asyncio.gather(*(worker.deliver_due() for worker in workers))):
        pass

    assert sorted(one.event_id for one in receiver.received) == sorted(fact.id for fact in facts)
    await asyncio.gather(*(worker.close() for worker in workers))


async def test_one_event_is_replayed_under_its_own_id(
    db: Database, clock: FixedClock, teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    endpoint, _ = await teahouse.listen(receiver.url)
    (fact,) = await teahouse.happen()
    await dispatcher.deliver_due()
    clock.advance(days=10)

    async with db.transaction() as tx:
        await commands.replay_event(tx, CATALOGUE, TEAHOUSE, endpoint.id, fact.id, at=clock.now())
    await dispatcher.deliver_due()

    assert [one.event_id for one in receiver.received] == [fact.id, fact.id]


async def test_a_range_is_replayed_to_an_endpoint_that_came_later(
    db: Database, clock: FixedClock, teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    facts = await teahouse.happen(count=5)
    await teahouse.happen("refund.created")
    clock.advance(days=1)
    endpoint, _ = await teahouse.listen(receiver.url, "payment_intent.succeeded")
    page = Page(limit=100, created_from=clock.now() - timedelta(days=2), created_to=clock.now())

    async with db.transaction() as tx:
        told = await commands.replay_range(
            tx, CATALOGUE, TEAHOUSE, endpoint.id, page, at=clock.now()
        )
    await dispatcher.deliver_due()

    assert told == (5, None)
    assert {one.event_id for one in receiver.received} == {fact.id for fact in facts}


async def test_a_disabled_endpoint_is_left_alone_until_it_is_enabled(
    db: Database, teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    endpoint, _ = await teahouse.listen(receiver.url)
    await teahouse.happen()
    async with db.transaction() as tx:
        await commands.update_endpoint(
            tx, TEAHOUSE, endpoint.id, EndpointChanges(disabled=True), may_be_private=True
        )

    assert await dispatcher.deliver_due() == 0
    async with db.transaction() as tx:
        await commands.update_endpoint(
            tx, TEAHOUSE, endpoint.id, EndpointChanges(disabled=False), may_be_private=True
        )
    assert await dispatcher.deliver_due() == 1


async def test_the_sequence_of_an_object_counts_up(
    teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    await teahouse.listen(receiver.url)
    facts = await teahouse.happen(count=5)

    await dispatcher.deliver_due()

    by_id = {one.event_id: json.loads(one.body)["data"]["sequence"] for one in receiver.received}
    assert [by_id[fact.id] for fact in facts] == [1, 2, 3, 4, 5]


async def test_nothing_is_sent_to_private_addresses_where_it_is_not_allowed(
    db: Database, clock: FixedClock, vault: Vault, teahouse: Merchant, receiver: Receiver
) -> None:
    port = receiver.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"):
        await teahouse.listen(f"http://{host}:{port}/")
    await teahouse.happen()
    guarded = new_dispatcher(db, clock, vault, allow_private_addresses=False)

    assert await guarded.deliver_due() == 5

    await guarded.close()
    assert receiver.received == []
    errors = [one.last_error or "" for one in await deliveries(db)]
    assert all(errors)
    assert sum("is not a public address" in error for error in errors) >= 3, errors


async def test_an_event_is_listed_as_it_was_sent(
    db: Database, teahouse: Merchant, receiver: Receiver, dispatcher: Dispatcher
) -> None:
    await teahouse.listen(receiver.url)
    (fact,) = await teahouse.happen()
    await dispatcher.deliver_due()

    async with db.transaction(readonly=True) as tx:
        one = await queries.one_event(tx, CATALOGUE, TEAHOUSE, fact.id)
        listed = await queries.events(
            tx, CATALOGUE, TEAHOUSE, Page(), types=["payment_intent.*"], object_id="pi_1"
        )
        others = await queries.events(tx, CATALOGUE, TEAHOUSE, Page(), types=["refund.created"])

    sent = json.loads(receiver.received[0].body)
    assert sent["pending_webhooks"] == 1
    assert one == sent | {"pending_webhooks": 0}
    assert (listed.data, others.data) == ([one], [])
