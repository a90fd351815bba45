"""Case 24: a top-up to be refunded has been spent: the stated policy decides, all or nothing."""

import pytest

from tests.hard_cases.deeds import nothing_moves, paid, spend
from tests.worlds import World, gift
from tillgate.payments.errors import ValueSpent


async def test_block_refuses_what_has_been_spent(world: World) -> None:
    payment = await paid(world, "alipay")
    await spend(world, 4_000)

    async with nothing_moves(world):
        with pytest.raises(ValueSpent):
            await world.refund(payment, 6_001)
    view = await world.refund(payment, 6_000)

    assert view.refund.status == "succeeded"
    assert await world.balance(world.wallet) == 0


async def test_partial_gives_back_what_is_left(world: World) -> None:
    payment = await paid(world, "alipay", refund_policy="partial")
    await spend(world, 4_000)

    view = await world.refund(payment)

    assert view.refund.amount == 6_000
    assert await world.balance(world.wallet) == 0
    await world.assert_books_hold()


async def test_partial_with_a_gift_takes_the_gift_from_what_is_left(world: World) -> None:
    payment = await paid(world, "alipay", refund_policy="partial", gifts=gift(world, 1_000))
    await spend(world, 4_000)

    view = await world.refund(payment)

    assert view.refund.amount == 6_000
    assert await world.balance(world.bonus) == 400
    await world.assert_books_hold()


async def test_receivable_books_what_the_holder_owes(world: World) -> None:
    payment = await paid(world, "alipay", refund_policy="receivable", owed_account=world.owed)
    await spend(world, 4_000)

    view = await world.refund(payment)

    assert view.refund.amount == 10_000
    assert await world.balance(world.wallet) == 0
    assert await world.balance(world.owed) == -4_000
    await world.assert_books_hold()
