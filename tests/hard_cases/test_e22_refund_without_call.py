"""Case 22: a refund marked before its call is made all the same when its process dies."""

import pytest

from tests.hard_cases.deeds import HASTY, METHODS, paid, refunds, simulator, truth
from tests.worlds import MERCHANT, World
from tillgate.kernel import ids
from tillgate.payments import refunds as door
from tillgate.payments.flows import NO_TRACE
from tillgate.payments.model import NewRefund
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
