"""Case 22: a refund marked before its call is made all the same when its process dies."""

from datetime import timedelta

import pytest

from simulators.card.simulator import CardSimulator
from tests.hard_cases.deeds import HASTY, METHODS, attempts, paid, refunds, simulator, truth
from tests.worlds import MERCHANT, World
from tillgate.entry import doctor
from tillgate.kernel import ids
from tillgate.payments import refunds as door
from tillgate.payments.flows import NO_TRACE
from tillgate.payments.model import NewRefund, RefundView
from tillgate.payments.refunds import Refunding


@pytest.mark.parametrize("method", METHODS)
async def test_refund_of_a_dead_process_is_sent_by_the_worker(world: World, method: str) -> None:
    payment = await paid(world, method)
    order = NewRefund(
        merchant_id=MERCHANT, id=ids.new_id("re"), payment_id=payment.id, amount=2_500
    )
    async with world.db.transaction() as tx:
        await door.open_refunds(
            tx, [Refunding(order, NO_TRACE)], at=world.clock.now(), look_ups=HASTY
        )
    assert (await truth(world, method))[payment.latest_attempt or ""].refunds == ()

    async def settled() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(settled, sweep=True)
    assert (await truth(world, method))[payment.latest_attempt or ""].refunds == (2_500,)
    await world.assert_books_hold()


async def test_refund_that_nobody_sends_rings_an_alarm(world: World) -> None:
    """No worker has run for a quarter of an hour."""
    payment = await paid(world, "alipay")
    order = NewRefund(
        merchant_id=MERCHANT, id=ids.new_id("re"), payment_id=payment.id, amount=2_500
    )
    async with world.db.transaction() as tx:
        await door.open_refunds(
            tx, [Refunding(order, NO_TRACE)], at=world.clock.now(), look_ups=HASTY
        )
    later = world.clock.now() + timedelta(minutes=15)

    findings = await doctor.examine(world.db, doctor.everything(later))

    sick = {one.check: one for one in findings if not one.is_healthy}
    assert [row["id"] for row in sick["look_ups_are_made"].examples] == [order.id]
    assert sick["look_ups_are_made"].concern == "stuck"


async def test_refund_is_sent_after_an_outage(world: World) -> None:
    payment = await paid(world, "wechat_pay")
    await simulator(world, "wechat_pay").server.stop()
    view = await world.refund(payment, 2_500)
    assert view.refund.status == "created"
    await simulator(world, "wechat_pay").server.start()

    async def settled() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(settled, sweep=True)
    await world.assert_books_hold()


async def test_refund_that_was_made_long_ago_is_found_before_it_is_sent_again(
    world: World,
) -> None:
    """The process died with the answer, and came back when the provider had forgotten our key."""
    payment = await paid(world, "card")
    order = NewRefund(
        merchant_id=MERCHANT, id=ids.new_id("re"), payment_id=payment.id, amount=2_500
    )
    async with world.db.transaction() as tx:
        [view] = await door.open_refunds(
            tx, [Refunding(order, NO_TRACE)], at=world.clock.now(), look_ups=HASTY
        )
    assert isinstance(view, RefundView)
    [attempt] = await attempts(world, payment)
    connector, asked = await world.payments.providers.refunding(view.refund, attempt)
    await connector.refund(asked, now=world.clock.now())
    forget_keys(world)

    async def settled() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(settled, sweep=True)
    assert (await truth(world, "card"))[payment.latest_attempt or ""].refunds == (2_500,)


def forget_keys(world: World) -> None:
    """A day later the card provider remembers no idempotency key."""
    card = simulator(world, "card")
    assert isinstance(card, CardSimulator)
    for account in card.accounts.values():
        account.answers.clear()
