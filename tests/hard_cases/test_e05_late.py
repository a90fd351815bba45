"""Case 5: money that comes after we canceled or after the deadline is still money."""

import asyncio

import pytest

from tests.hard_cases.deeds import (
    HASTY,
    WITH_PHONE,
    attempts,
    behave,
    journals,
    rule,
    simulator,
    truth,
)
from tests.worlds import MERCHANT, World
from tillgate.payments.errors import UnexpectedState
from tillgate.payments.flows import NO_TRACE


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
async def test_overdue_order_is_closed_upstream_first(world: World, method: str) -> None:
    payment = await world.pay(method)
    simulator(world, method).open_order(payment.latest_attempt or "")
    await _make_overdue(world, payment.id)

    async def ended() -> bool:
        return (await world.payment(payment.id)).status == "requires_payment_method"

    await world.until(ended, sweep=True)
    assert not (await truth(world, method))[payment.latest_attempt or ""].is_open
    assert [each.status for each in await attempts(world, payment)] == ["closed"]


async def test_overdue_order_stays_open_while_closing_is_unknown(world: World) -> None:
    payment = await world.pay("wechat_pay")
    rule(world, "wechat_pay", "close", "http_500_before", probability=1.0)
    rule(world, "wechat_pay", "query", "http_500_before", probability=1.0)
    await _make_overdue(world, payment.id)

    for _ in range(3):
        await world.sweep()

    assert (await world.payment(payment.id)).open_attempt == payment.latest_attempt
    behave(world, "wechat_pay")
    await world.phone_pays("wechat_pay", payment)
    await world.until_paid(payment, sweep=True)


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


async def _make_overdue(world: World, payment_id: str) -> None:
    async with world.db.transaction() as tx:
        await tx.run(
            "UPDATE payments.attempts SET expires_at = '2001-01-01' WHERE payment_id = $1",
            payment_id,
        )
