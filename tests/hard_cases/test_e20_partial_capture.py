"""Case 20: after a partial capture only what was captured can be refunded."""

import asyncio

import pytest

from tests.hard_cases.deeds import attempts, journals, nothing_moves, rule, simulator, truth
from tests.serving import Client
from tests.worlds import MERCHANT, World
from tillgate.api.app import Application
from tillgate.api.recovery import Recovery
from tillgate.connectors import port
from tillgate.payments.flows import NO_TRACE
from tillgate.payments.model import Attempt

RESERVED = {
    "amount": 10_000,
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "capture_method": "manual",
    "confirm": "true",
}


async def test_refund_is_capped_by_what_was_captured(world: World, client: Client) -> None:
    held = (await client.post("/v1/payment_intents", RESERVED)).json
    url = f"/v1/payment_intents/{held['id']}"
    assert (held["status"], held["amount_capturable"]) == ("requires_capture", 10_000)
    async with nothing_moves(world):
        early = await client.post("/v1/refunds", {"payment_intent": held["id"]})
        beyond = await client.post(f"{url}/capture", {"amount_to_capture": 10_001})
    assert (early.status, early.error["code"]) == (400, "payment_intent_unexpected_state")
    assert (beyond.status, beyond.error["param"]) == (400, "amount_to_capture")

    taken = (await client.post(f"{url}/capture", {"amount_to_capture": 6_000})).json
    assert (taken["status"], taken["amount_received"]) == ("succeeded", 6_000)
    charge = f"/v1/charges/{taken['latest_charge']}"
    shown = (await client.get(charge)).json
    assert (shown["amount"], shown["amount_captured"]) == (10_000, 6_000)

    async with nothing_moves(world):
        again = await client.post(f"{url}/capture", {"amount_to_capture": 4_000})
        assert again.error["code"] == "payment_intent_unexpected_state"
        for amount in (6_001, 10_000):
            body = {"payment_intent": held["id"], "amount": amount}
            over = await client.post("/v1/refunds", body)
            assert (over.status, over.error["param"]) == (400, "amount")
    part = await client.post("/v1/refunds", {"payment_intent": held["id"], "amount": 2_000})
    rest = await client.post("/v1/refunds", {"payment_intent": held["id"]})

    assert (part.json["amount"], rest.json["amount"]) == (2_000, 4_000)
    attempt = await _attempt(world, held["id"])
    told = (await truth(world, "card"))[attempt.id]
    assert sum(told.refunds) == 6_000
    assert await journals(world, f"payment:{attempt.id}") == 1
    assert await world.balance_of("sales", "usd") == 0
    assert (await client.get(charge)).json["refunded"] is True
    await world.assert_books_hold()


async def test_nothing_is_booked_before_the_capture(world: World) -> None:
    payment = await world.pay("card", capture_method="manual")

    assert await journals(world, f"payment:{payment.latest_attempt}") == 0
    canceled = await world.payments.cancel(MERCHANT, payment.id, None, NO_TRACE)
    assert canceled.status == "canceled"
    assert not (await truth(world, "card"))[payment.latest_attempt or ""].is_open
    await world.assert_books_hold()


async def test_capture_that_the_provider_refuses_leaves_the_money_to_be_captured_or_let_go(
    world: World, client: Client
) -> None:
    held = (await client.post("/v1/payment_intents", RESERVED)).json
    url = f"/v1/payment_intents/{held['id']}"

    refused = await client.post(f"{url}/capture", {"amount_to_capture": 10}, key="ten")
    again = await client.post(f"{url}/capture", {"amount_to_capture": 10}, key="ten")

    assert (refused.status, refused.error["code"]) == (402, "amount_too_small"), refused.body
    assert refused.error["type"] == "invalid_request_error"
    assert refused.error["payment_intent"]["status"] == "requires_capture"
    assert refused.error["payment_intent"]["amount_capturable"] == 10_000
    assert refused.error["payment_intent"]["last_payment_error"]["code"] == "amount_too_small"
    assert again.body == refused.body
    await world.sweep()  # nobody goes on asking for what was refused
    taken = await client.post(f"{url}/capture", {"amount_to_capture": 6_000})
    assert (taken.status, taken.json["amount_received"]) == (200, 6_000), taken.body
    assert taken.json["last_payment_error"] is None
    await world.assert_books_hold()


async def test_payment_whose_capture_was_refused_can_be_canceled(
    world: World, client: Client
) -> None:
    held = (await client.post("/v1/payment_intents", RESERVED)).json
    url = f"/v1/payment_intents/{held['id']}"
    assert (await client.post(f"{url}/capture", {"amount_to_capture": 10})).status == 402

    canceled = await client.post(f"{url}/cancel")

    assert (canceled.status, canceled.json["status"]) == (200, "canceled"), canceled.body
    assert not (await truth(world, "card"))[(await _attempt(world, held["id"])).id].is_open


async def test_capture_that_never_left_us_can_be_asked_for_anew(
    world: World, client: Client
) -> None:
    held = (await client.post("/v1/payment_intents", RESERVED)).json
    url = f"/v1/payment_intents/{held['id']}"

    await simulator(world, "card").server.stop()
    for _ in range(20):  # until the connections that were open are known to be gone
        await asyncio.sleep(0.01)
    unsent = await client.post(f"{url}/capture", {"amount_to_capture": 6_000})
    await simulator(world, "card").server.start()

    assert unsent.status == 402, (unsent.json["status"], unsent.json["amount_received"])
    assert (unsent.status, unsent.error["code"]) == (402, "payment_method_provider_timeout")
    assert (await _attempt(world, held["id"])).amount_to_capture is None
    taken = await client.post(f"{url}/capture", {"amount_to_capture": 4_000})
    assert (taken.status, taken.json["amount_received"]) == (200, 4_000), taken.body


async def test_capture_whose_answer_was_lost_is_looked_up_before_anything_else(
    world: World, client: Client
) -> None:
    held = (await client.post("/v1/payment_intents", RESERVED)).json
    url = f"/v1/payment_intents/{held['id']}"
    rule(world, "card", "*capture*", "reset_before", next=1)

    lost = await client.post(f"{url}/capture", {"amount_to_capture": 6_000})
    other = await client.post(f"{url}/capture", {"amount_to_capture": 4_000})
    canceled = await client.post(f"{url}/cancel")

    assert (lost.status, lost.json["status"]) == (200, "requires_capture")
    for told, words in (
        (
            other,
            "You cannot capture this PaymentIntent while another amount of it is being captured.",
        ),
        (canceled, "You cannot cancel this PaymentIntent while it is being captured."),
    ):
        assert (told.status, told.error["message"]) == (400, words)
        assert told.error["code"] == "payment_intent_unexpected_state"
    paid = await world.until_paid(await world.payment(held["id"]), sweep=True)
    assert paid.amount_received == 6_000
    await world.assert_books_hold()


async def test_capture_whose_answer_was_lost_is_still_one_when_asked_again_in_vain(
    world: World, client: Client
) -> None:
    """That no byte left us says nothing about the capture before it."""
    held = (await client.post("/v1/payment_intents", RESERVED)).json
    url = f"/v1/payment_intents/{held['id']}"
    rule(world, "card", "*capture*", "reset_before", next=1)
    assert (await client.post(f"{url}/capture", {"amount_to_capture": 6_000})).status == 200
    attempt = await _attempt(world, held["id"])
    assert (attempt.status, attempt.amount_to_capture) == ("authorised", 6_000)

    await world.payments._hear(attempt, port.NotSent("refused"), NO_TRACE, capture=6_000)

    assert (await _attempt(world, held["id"])).amount_to_capture == 6_000
    assert (await client.post(f"{url}/cancel")).status == 400
    paid = await world.until_paid(await world.payment(held["id"]), sweep=True)
    assert paid.amount_received == 6_000
    await world.assert_books_hold()


@pytest.mark.parametrize("by", ["worker", "caller"])
async def test_refused_capture_stays_refused_whoever_finishes_it(
    world: World, client: Client, application: Application, by: str
) -> None:
    held = (await client.post("/v1/payment_intents", RESERVED)).json
    url = f"/v1/payment_intents/{held['id']}/capture"
    assert (await client.post(url, {"amount_to_capture": 10}, key="ten")).status == 402
    async with world.db.transaction() as tx:  # as if the process had died before it answered
        await tx.run(
            "UPDATE runtime.idempotency SET status = NULL, body = NULL,"
            " locked_at = locked_at - interval '1 hour' WHERE key = 'ten'"
        )
    if by == "worker":
        assert await Recovery(application.api).run() == 1

    again = await client.post(url, {"amount_to_capture": 10}, key="ten")

    assert (again.status, again.error["code"]) == (402, "amount_too_small")


async def _attempt(world: World, payment_id: str) -> Attempt:
    [attempt] = await attempts(world, await world.payment(payment_id))
    return attempt
