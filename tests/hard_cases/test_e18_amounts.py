"""Case 18: nothing moves for zero, for less than zero, or for more than there can be."""

import pytest

from tests.hard_cases.deeds import nothing_moves, paid
from tests.worlds import World
from tillgate.kernel.errors import Refusal
from tillgate.payments.flows import NO_TRACE


@pytest.mark.parametrize("amount", [0, -1, -10_000])
async def test_refund_of_nothing_or_less_is_refused(world: World, amount: int) -> None:
    payment = await paid(world, "alipay")

    async with nothing_moves(world):
        with pytest.raises(Refusal) as refused:
            await world.refund(payment, amount)
    assert refused.value.param == "amount"


@pytest.mark.parametrize("amount", [0, -1])
async def test_payment_of_nothing_or_less_is_refused(world: World, amount: int) -> None:
    async with nothing_moves(world):
        with pytest.raises(Exception, match="check constraint"):
            await world.pay("alipay", amount)


@pytest.mark.parametrize("amount", [0, -5])
async def test_capture_of_nothing_or_less_is_refused(world: World, amount: int) -> None:
    payment = await world.pay("card", capture_method="manual")

    async with nothing_moves(world):
        with pytest.raises(Refusal) as refused:
            await world.payments.capture(3, payment.id, amount, NO_TRACE)
    assert refused.value.param == "amount_to_capture"
