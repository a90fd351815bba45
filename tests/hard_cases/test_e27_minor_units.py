"""Case 27: the same amount on both sides, whatever the provider's way to write it."""

import pytest

from tests.hard_cases.deeds import paid, truth
from tests.worlds import World


@pytest.mark.parametrize("amount", [1, 10, 99, 100, 101, 12_345, 99_999_999])
@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_fen_and_yuan_mean_the_same(world: World, method: str, amount: int) -> None:
    payment = await paid(world, method, amount)

    assert (await truth(world, method))[payment.latest_attempt or ""].paid == amount
    assert payment.amount_received == await world.balance(world.wallet) == amount


@pytest.mark.parametrize("currency", ["usd", "jpy", "kwd"])
async def test_two_none_and_three_decimals_arrive_as_they_are(world: World, currency: str) -> None:
    payment = await paid(world, "card", 5_120, currency=currency)

    assert (await truth(world, "card"))[payment.latest_attempt or ""].paid == 5_120
    assert await world.balance_of("sales", currency) == 5_120
    await world.assert_books_hold()
