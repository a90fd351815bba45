"""Case 1: the answer is lost, so nobody knows; it stays unknown until the provider tells."""

import pytest

from tests.hard_cases.deeds import (
    HASTY,
    METHODS,
    attempts,
    behave,
    make_overdue,
    reads,
    rule,
    simulator,
    topped_up,
    truth,
)
from tests.serving import Client
from tests.worlds import CONFIRMATIONS, World
from tillgate.entry import doctor
from tillgate.payments.errors import UnexpectedState
from tillgate.payments.flows import NO_TRACE


async def test_lost_answer_is_unknown_and_then_booked_once(world: World) -> None:
    rule(world, "card", "notice", "lost_notice", probability=1.0)
    payment = await world.pay("card", 4002)
    assert payment.status == "processing"

    done = await world.until_paid(payment, sweep=True)

    assert done.amount_received == 4002
    assert (await world.facts(payment.id)).count("payment.succeeded") == 1
    await world.assert_books_hold()


@pytest.mark.parametrize("method", METHODS)
async def test_unknown_never_ages_into_failed(world: World, method: str) -> None:
    world.payments.look_ups = HASTY
    rule(world, method, "create", "timeout_after", next=1)
    rule(world, method, "notice", "lost_notice", probability=1.0)
    rule(world, method, "query", "http_500_before", probability=1.0)
    rule(world, method, "close", "http_500_before", probability=1.0)
    payment = await world.pay(method)

    for _ in range(12):
        await world.sweep()
        assert (await attempts(world, payment))[0].status == "unknown"
    assert (await world.payment(payment.id)).status == "processing"
    assert "payment.attempt_failed" not in await world.facts(payment.id)

    behave(world, method)
    if method != "card":
        await world.phone_pays(method, payment)
    await world.until_paid(payment, sweep=True)
    assert (await truth(world, method))[payment.latest_attempt or ""].paid == 10_000
    await world.assert_books_hold()


async def test_nothing_else_is_tried_while_it_is_unknown(world: World) -> None:
    rule(world, "alipay", "query", "http_500_before", probability=1.0)
    payment = await world.pay("alipay", 4002)

    with pytest.raises(UnexpectedState):
        await world.payments.confirm(payment, CONFIRMATIONS["wechat_pay"], NO_TRACE)

    assert await reads(world, "payments", payment.id, "attempts") == 1


async def test_order_that_never_arrived_ends_when_the_provider_says_so(world: World) -> None:
    world.payments.look_ups = HASTY
    payment = await world.pay("card", 4003)
    assert payment.status == "processing"

    async def ended() -> bool:
        return (await world.payment(payment.id)).status == "requires_payment_method"

    await world.until(ended, sweep=True)
    assert await truth(world, "card") == {}
    assert "payment.attempt_failed" in await world.facts(payment.id)


@pytest.mark.parametrize("method", METHODS)
async def test_unknown_of_days_ago_is_still_unknown_and_a_person_is_told_its_age(
    world: World, client: Client, method: str
) -> None:
    """Its deadline is long past, and the provider has not been reached since."""
    world.payments.look_ups = HASTY
    rule(world, method, "create", "reset_after", next=1)
    rule(world, method, "notice", "lost_notice", probability=1.0)
    payment = await world.pay(method)
    await simulator(world, method).server.stop()
    await make_overdue(world, payment)
    async with world.db.transaction() as tx:
        await tx.run("UPDATE payments.attempts SET created_at = created_at - interval '3 days'")

    for _ in range(5):
        await world.sweep()

    shown = (await client.get(f"/v1/payment_intents/{payment.id}")).json
    assert (shown["status"], shown["last_payment_error"]) == ("processing", None)
    elsewhere = {"payment_method": "alipay" if method == "card" else "pm_card_visa"}
    refused = await client.post(f"/v1/payment_intents/{payment.id}/confirm", elsewhere)
    assert refused.error["code"] == "payment_intent_unexpected_state"
    findings = await doctor.examine(world.db, doctor.everything(world.clock.now()))
    [told] = [one for one in findings if one.check == "nothing_is_unknown_for_long"]
    [row] = told.examples
    assert row["id"] == payment.latest_attempt
    assert "created_at" in row

    await simulator(world, method).server.start()
    if method == "card":
        await world.until_paid(payment, sweep=True)


async def test_refund_whose_outcome_is_unknown_never_fails_by_itself(
    world: World, client: Client
) -> None:
    world.payments.look_ups = HASTY
    held = await topped_up(world, client, method="wechat_pay")
    rule(world, "wechat_pay", "refund", "reset_after", next=1)
    rule(world, "wechat_pay", "notice", "lost_notice", probability=1.0)
    for stage in ("refund", "refund_query"):
        rule(world, "wechat_pay", stage, "http_500_before", probability=1.0)

    made = await client.post("/v1/refunds", {"payment_intent": held.payment})
    for _ in range(12):
        await world.sweep()

    path = f"/v1/refunds/{made.json['id']}"
    assert (made.json["status"], (await client.get(path)).json["status"]) == ("pending", "pending")
    assert (await client.get(held.url)).json["balance"] == 0, "nobody spends what may be given back"
    async with world.db.transaction() as tx:
        await tx.run("UPDATE payments.refunds SET created_at = created_at - interval '3 days'")
    findings = await doctor.examine(world.db, doctor.everything(world.clock.now()))
    assert made.json["id"] in str(
        [one.examples for one in findings if one.check == "nothing_is_unknown_for_long"]
    )
    behave(world, "wechat_pay")

    async def is_made() -> bool:
        return (await client.get(path)).json["status"] == "succeeded"

    await world.until(is_made, sweep=True)
    assert [told.refunds for told in (await truth(world, "wechat_pay")).values()] == [(10_000,)]
    await world.assert_books_hold()
