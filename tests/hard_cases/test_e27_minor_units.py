"""Case 27: the same amount on both sides, whatever the provider's way to write it."""

import msgspec
import pytest

from simulators.common.notices import Notice
from tests.hard_cases.deeds import breaks, notices_become, paid, truth
from tests.worlds import World


@pytest.mark.parametrize("amount", [1, 10, 99, 100, 101, 12_345, 99_999_999])
@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_fen_and_yuan_mean_the_same(world: World, method: str, amount: int) -> None:
    payment = await paid(world, method, amount)

    assert (await truth(world, method))[payment.latest_attempt or ""].paid == amount
    assert payment.amount_received == await world.balance(world.wallet) == amount


@pytest.mark.parametrize("told", ["123.4", "123.40", "123.400", "123.40000000"])
async def test_amount_written_with_more_or_fewer_zeros_is_the_same(world: World, told: str) -> None:
    def written(notice: Notice) -> list[Notice]:
        return [msgspec.structs.replace(notice, payload={**notice.payload, "total_amount": told})]

    with notices_become(world, "alipay", written):
        await paid(world, "alipay", 12_340)

    assert await breaks(world) == []
    assert await world.balance(world.wallet) == 12_340


@pytest.mark.parametrize("currency", ["usd", "jpy", "kwd"])
async def test_two_none_and_three_decimals_arrive_as_they_are(world: World, currency: str) -> None:
    payment = await paid(world, "card", 5_120, currency=currency)

    assert (await truth(world, "card"))[payment.latest_attempt or ""].paid == 5_120
    assert await world.balance_of("sales", currency) == 5_120
    await world.assert_books_hold()
