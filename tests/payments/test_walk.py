"""The walk: a payment through each provider, paid, refunded, canceled."""

import pytest

from tests.worlds import World
from tillgate.payments.errors import PaymentFailed, RefundTooLarge
from tillgate.payments.flows import NO_TRACE

METHODS = ["alipay", "wechat_pay", "card"]


@pytest.mark.parametrize("method", METHODS)
async def test_paid_payment_is_credited_once(world: World, method: str) -> None:
    payment = await world.pay(method)
    if method != "card":
        assert payment.status == "requires_action"
        await world.phone_pays(method, payment)

    paid = await world.until_paid(payment)

    assert paid.amount_received == 10_000
    assert paid.open_attempt is None
    if method != "card":
        assert await world.balance(world.wallet) == 10_000
    assert (await world.facts(payment.id))[-1] == "payment.succeeded"
    await world.assert_books_hold()


@pytest.mark.parametrize("method", METHODS)
async def test_refund_goes_back_and_leaves_nothing(world: World, method: str) -> None:
    payment = await world.pay(method)
    if method != "card":
        await world.phone_pays(method, payment)
    payment = await world.until_paid(payment)

    first = await world.refund(payment, 4_000)
    await world.refund(payment, 6_000)
    with pytest.raises(Exception, match="refunded"):
        await world.refund(payment, 1)

    async def done() -> bool:
        async with world.db.transaction() as tx:
            rows = await tx.all("SELECT status FROM payments.refunds")
        return [row["status"] for row in rows] == ["succeeded", "succeeded"]

    assert first.refund.amount == 4_000
    await world.until(done, sweep=True)
    assert await world.balance(world.wallet) == 0
    await world.assert_books_hold()


async def test_refund_beyond_what_was_paid_is_refused(world: World) -> None:
    payment = await world.pay("card")

    with pytest.raises(RefundTooLarge) as refused:
        await world.refund(payment, 10_001)

    assert refused.value.param == "amount"
    assert (await world.payment(payment.id)).amount_refunded == 0
    await world.assert_books_hold()


async def test_declined_card_can_be_tried_again(world: World) -> None:
    with pytest.raises(PaymentFailed) as failed:
        await world.pay("card", 4020)

    payment = failed.value.payment.payment
    assert payment.status == "requires_payment_method"
    assert payment.last_error["code"] == "card_declined"
    assert await world.facts(payment.id) == ["payment.created", "payment.attempt_failed"]
    await world.assert_books_hold()


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_canceling_closes_the_order_at_the_provider(world: World, method: str) -> None:
    payment = await world.pay(method)

    canceled = await world.payments.cancel(3, payment.id, None, NO_TRACE)

    assert canceled.status == "canceled"
    assert canceled.cancellation_reason == "requested_by_customer"


async def test_order_canceled_before_it_was_scanned_and_paid_all_the_same_is_credited(
    world: World,
) -> None:
    payment = await world.pay("alipay")
    canceled = await world.payments.cancel(3, payment.id, None, NO_TRACE)

    await world.phone_pays("alipay", payment)
    paid = await world.until_paid(payment)

    assert canceled.status == "canceled"
    assert paid.amount_received == 10_000
    assert await world.balance(world.wallet) == 10_000
    assert await world.facts(payment.id) == [
        "payment.created",
        "payment.requires_action",
        "payment.canceled",
        "payment.succeeded",
    ]
    await world.assert_books_hold()
