"""Case 6: the same order is paid through two channels: one is credited, the other goes back."""

import asyncio

from tests.hard_cases.deeds import (
    attempts,
    breaks,
    journals,
    paid_twice,
    refunds,
    truth,
    two_orders,
)
from tests.worlds import World


async def test_second_payment_is_given_back_by_itself(world: World) -> None:
    payment, first, second = await paid_twice(world)

    assert (await truth(world, "alipay"))[first.id].refunds == (10_000,)
    assert (await truth(world, "wechat_pay"))[second.id].refunds == ()
    assert await world.balance(world.wallet) == 10_000
    assert await world.balance_of("suspense:second_payment") == 0
    assert await breaks(world) == ["second_payment"]
    assert (await world.payment(payment.id)).amount_refunded == 0
    assert (await world.facts(payment.id)).count("payment.succeeded") == 1
    await world.assert_books_hold()


async def test_late_money_closes_the_order_that_could_still_be_paid(world: World) -> None:
    payment = await two_orders(world)
    first, second = await attempts(world, payment)

    await world.control("alipay", f"orders/{first.id}/pay", {"late": True})

    async def closed() -> bool:
        return not (await truth(world, "wechat_pay"))[second.id].is_open

    await world.until_paid(payment)
    await world.until(closed, sweep=True)
    assert await world.balance(world.wallet) == 10_000
    assert await journals(world, f"payment:{first.id}") == 1
    assert await journals(world, f"payment:{second.id}") == 0
    await world.assert_books_hold()


async def test_both_paid_at_the_same_moment(world: World) -> None:
    payment = await two_orders(world)
    first, second = await attempts(world, payment)
    await asyncio.gather(
        world.control("alipay", f"orders/{first.id}/pay", {"late": True}),
        world.control("wechat_pay", f"orders/{second.id}/pay"),
    )

    async def given_back() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(given_back, sweep=True)
    told = {**await truth(world, "alipay"), **await truth(world, "wechat_pay")}
    assert sum(each.paid - sum(each.refunds) for each in told.values()) == 10_000
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()
