"""Case 5: money that comes after we canceled or after the deadline is still money."""

import asyncio

import pytest

from tests.hard_cases.deeds import (
    HASTY,
    WITH_PHONE,
    attempts,
    behave,
    breaks,
    given_up,
    journals,
    make_overdue,
    open_wallet,
    paid_by,
    refunds,
    rule,
    simulator,
    truth,
)
from tests.serving import Client
from tests.worlds import CONFIRMATIONS, MERCHANT, World
from tillgate.entry import doctor
from tillgate.payments.errors import UnexpectedState
from tillgate.payments.flows import NO_TRACE
from tillgate.payments.model import Payment


@pytest.mark.parametrize("method", WITH_PHONE)
async def test_late_payment_is_credited_and_told(world: World, method: str) -> None:
    payment = await world.pay(method)
    simulator(world, method).open_order(payment.latest_attempt or "")
    canceled = await world.payments.cancel(MERCHANT, payment.id, None, NO_TRACE)
    assert canceled.status == "canceled"

    await world.control(method, f"orders/{payment.latest_attempt}/pay", {"late": True})

    late = await world.until_paid(payment, sweep=True)
    assert late.canceled_at is None
    assert await world.balance(world.wallet) == 10_000
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    told = await world.facts(payment.id)
    assert told.index("payment.canceled") < told.index("payment.succeeded")
    await world.assert_books_hold()


@pytest.mark.parametrize("method", WITH_PHONE)
async def test_canceled_top_up_that_is_paid_late_is_told_and_spendable(
    world: World, client: Client, method: str
) -> None:
    """As the merchant sees it: nothing of the customer's money is lost, and nothing is silent."""
    wallet = await open_wallet(client)
    order = {"wallet": wallet, "amount": 5_000, "currency": "cny", **paid_by(method)}
    made = (await client.post("/v1/top_ups", order)).json
    payment = await world.payment(made["payment_intent"])
    simulator(world, method).open_order(payment.latest_attempt or "")
    canceled = await client.post(f"/v1/payment_intents/{payment.id}/cancel")
    assert (canceled.status, canceled.json["status"]) == (200, "canceled")
    [told] = (await truth(world, method)).values()
    assert not told.is_open, "it was closed upstream first"

    await world.control(method, f"orders/{payment.latest_attempt}/pay", {"late": True})
    await world.until_paid(payment, sweep=True)

    shown = (await client.get(f"/v1/top_ups/{made['id']}")).json
    assert (shown["status"], shown["amount_refunded"]) == ("succeeded", 0)
    assert (await client.get(f"/v1/wallets/{wallet}")).json["balance"] == 5_000
    about = f"/v1/events?object_id={payment.id}"
    types = [one["type"].partition(".")[2] for one in (await client.get(about)).json["data"]]
    assert types.index("succeeded") < types.index("canceled"), "the newest comes first"
    spend = {"amount": 5_000, "currency": "cny"}
    assert (await client.post(f"/v1/wallets/{wallet}/spend", spend)).status == 200
    await world.assert_books_hold()


@pytest.mark.parametrize("method", WITH_PHONE)
async def test_overdue_order_is_closed_upstream_first(world: World, method: str) -> None:
    payment = await world.pay(method)
    simulator(world, method).open_order(payment.latest_attempt or "")
    await given_up(world, payment)
    assert not (await truth(world, method))[payment.latest_attempt or ""].is_open
    assert [each.status for each in await attempts(world, payment)] == ["closed"]


@pytest.mark.parametrize("amount", [500_000, 800])
async def test_late_payment_of_a_former_amount_is_given_back(world: World, amount: int) -> None:
    payment = await _expired(world)
    changed = await world.payments.update(MERCHANT, payment.id, {"amount": amount}, NO_TRACE)

    await _paid_late_and_given_back(world, payment)

    assert await world.payment(payment.id) == changed, "it is still to be paid"
    assert await breaks(world) == ["former_amount"]
    assert await world.balance_of("sales") == 0
    await _assert_healthy_but_for_breaks(world)


async def test_order_of_the_new_amount_can_be_paid_beside_a_late_one_of_the_former(
    world: World,
) -> None:
    payment = await _expired(world)
    await world.payments.update(MERCHANT, payment.id, {"amount": 500_000}, NO_TRACE)
    payment = await world.payment(payment.id)
    again = await world.payments.confirm(payment, CONFIRMATIONS["wechat_pay"], NO_TRACE)

    await _paid_late_and_given_back(world, payment)
    assert (await world.payment(payment.id)).open_attempt == again.latest_attempt
    await world.phone_pays("wechat_pay", again)

    paid = await world.until_paid(payment)
    assert (paid.amount_received, paid.amount_refunded) == (500_000, 0)
    assert await world.balance_of("sales") == 500_000
    assert await breaks(world) == ["former_amount"]
    await _assert_healthy_but_for_breaks(world)


async def test_order_of_the_new_amount_that_was_paid_first_stays_the_only_one(world: World) -> None:
    payment = await _expired(world)
    await world.payments.update(MERCHANT, payment.id, {"amount": 500_000}, NO_TRACE)
    again = await world.payments.confirm(
        await world.payment(payment.id), CONFIRMATIONS["wechat_pay"], NO_TRACE
    )
    await world.phone_pays("wechat_pay", again)
    paid = await world.until_paid(payment)

    await _paid_late_and_given_back(world, payment)

    assert await world.payment(payment.id) == paid
    assert await world.balance_of("sales") == 500_000
    assert await breaks(world) == ["second_payment"]
    await _assert_healthy_but_for_breaks(world)


async def test_late_payment_of_an_amount_that_was_changed_and_changed_back_is_taken(
    world: World,
) -> None:
    payment = await _expired(world)
    for amount in (500_000, 1_200):
        await world.payments.update(MERCHANT, payment.id, {"amount": amount}, NO_TRACE)

    await world.control("wechat_pay", f"orders/{payment.latest_attempt}/pay", {"late": True})

    assert (await world.until_paid(payment)).amount_received == 1_200
    assert await breaks(world) == []


async def test_overdue_order_stays_open_while_closing_is_unknown(world: World) -> None:
    payment = await world.pay("wechat_pay")
    rule(world, "wechat_pay", "close", "http_500_before", probability=1.0)
    rule(world, "wechat_pay", "query", "http_500_before", probability=1.0)
    await make_overdue(world, payment)

    for _ in range(3):
        await world.sweep()

    assert (await world.payment(payment.id)).open_attempt == payment.latest_attempt
    behave(world, "wechat_pay")
    await world.phone_pays("wechat_pay", payment)
    await world.until_paid(payment, sweep=True)


async def test_canceled_order_that_the_provider_has_not_met_is_asked_about_until_it_expires(
    world: World,
) -> None:
    """Nobody can close it there, and the customer has been shown it."""
    rule(world, "alipay", "notice", "lost_notice", probability=1.0)
    payment = await world.pay("alipay")
    canceled = await world.payments.cancel(MERCHANT, payment.id, None, NO_TRACE)

    assert canceled.status == "canceled"
    [attempt] = await attempts(world, payment)
    assert (attempt.status, attempt.look_up_at) == ("waiting", attempt.expires_at)
    await world.phone_pays("alipay", payment)
    await world.until_paid(payment, sweep=True)
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()


async def test_cancel_that_comes_after_the_payer_is_refused(world: World) -> None:
    rule(world, "wechat_pay", "notice", "lost_notice", probability=1.0)
    payment = await world.pay("wechat_pay")
    await world.phone_pays("wechat_pay", payment)

    with pytest.raises(UnexpectedState):
        await world.payments.cancel(MERCHANT, payment.id, None, NO_TRACE)

    assert (await world.payment(payment.id)).status == "succeeded"
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()


async def test_cancel_never_outruns_a_call_that_may_still_arrive(world: World) -> None:
    """The provider knows nothing of it yet: that is no proof that it never will."""
    rule(world, "card", "create", "latency", seconds=0.5, next=1)
    paying = asyncio.create_task(world.pay("card"))

    async def begun() -> bool:
        async with world.db.transaction(readonly=True) as tx:
            return bool(await tx.value("SELECT count(*) FROM payments.attempts"))

    await world.until(begun)
    async with world.db.transaction(readonly=True) as tx:
        payment_id = await tx.value("SELECT id FROM payments.payments")
    canceled = await world.payments.cancel(MERCHANT, payment_id, None, NO_TRACE)

    assert canceled.status == "processing"
    assert (await paying).status == "succeeded"
    assert "payment.canceled" not in await world.facts(payment_id)
    await world.assert_books_hold()


async def test_deadline_of_a_payment_nobody_tried_to_pay_ends_it(world: World) -> None:
    world.payments.look_ups = HASTY
    payment = await world.pay("alipay", confirmation=None, expires_at=world.clock.now())

    await world.sweep()

    assert (await world.payment(payment.id)).status == "canceled"


async def _expired(world: World) -> Payment:
    """A payment of 12 yuan of the merchant's own, whose order at WeChat Pay ran out, as far as we know."""
    payment = await world.pay("wechat_pay", 1_200, pay_into=None)
    await given_up(world, payment)
    return payment


async def _paid_late_and_given_back(world: World, payment: Payment) -> None:
    """The order that ran out is paid all the same, and the money goes back, once."""
    order = payment.latest_attempt or ""
    await world.control("wechat_pay", f"orders/{order}/pay", {"late": True})

    async def given_back() -> bool:
        return [refund.status for refund in await refunds(world, payment)] == ["succeeded"]

    await world.until(given_back, sweep=True)
    assert (await truth(world, "wechat_pay"))[order].refunds == (1_200,)
    assert await world.balance_of("suspense:second_payment") == 0


async def _assert_healthy_but_for_breaks(world: World) -> None:
    await world.assert_books_hold()
    findings = await doctor.examine(world.db, doctor.everything(world.clock.now()))
    assert {one.check for one in findings if not one.is_healthy} == {"breaks_are_resolved"}
