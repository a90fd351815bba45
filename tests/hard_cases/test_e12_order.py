"""Case 12: news in any order ends in the same state, with the same books."""

import itertools
from collections.abc import Sequence

from tests.hard_cases.deeds import HASTY, attempts, journals
from tests.worlds import MERCHANT, World
from tillgate.connectors import port
from tillgate.kernel.money import CNY, Money
from tillgate.payments import outcomes
from tillgate.payments.model import Heard


def _news(number: int) -> list[object]:
    return [
        port.Waiting(on="customer"),
        port.Unknown("lost"),
        port.Paid(f"ref{number}", Money(10_000, CNY)),
        port.Closed(),
        port.NotFound(),
    ]


async def test_every_order_of_news_ends_paid_and_booked_once(world: World) -> None:
    for number, order in enumerate(itertools.permutations(range(5))):
        payment = await world.pay("alipay")
        await _hear(world, payment.latest_attempt or "", [_news(number)[i] for i in order])

        [attempt] = await attempts(world, payment)
        assert attempt.status == "paid", order
        assert (await world.payment(payment.id)).status == "succeeded", order
        assert await journals(world, f"payment:{attempt.id}") == 1
    assert await world.balance(world.wallet) == 120 * 10_000
    await world.assert_books_hold()


async def test_notices_out_of_order_are_taken_as_they_come(world: World) -> None:
    first = await world.pay("wechat_pay", 4015)
    second = await world.pay("wechat_pay", 5000)
    await world.phone_pays("wechat_pay", first)
    await world.phone_pays("wechat_pay", second)

    await world.until_paid(second)
    await world.until_paid(first)

    assert await world.balance(world.wallet) == 9015


async def _hear(world: World, attempt_id: str, news: Sequence[object]) -> None:
    for outcome in news:
        async with world.db.transaction() as tx:
            heard = Heard(merchant_id=MERCHANT, attempt_id=attempt_id, outcome=outcome)
            await outcomes.record_outcomes(tx, [heard], at=world.clock.now(), look_ups=HASTY)
