"""Case 17: refunds never exceed what was captured, however many come at once."""

import asyncio

import pytest

from tests.hard_cases.deeds import METHODS, paid, refunds, truth
from tests.worlds import World
from tillgate.payments.errors import AlreadyRefunded, RefundTooLarge
from tillgate.payments.model import RefundView


@pytest.mark.parametrize("method", METHODS)
async def test_fifty_refunds_at_once_stay_within_the_cap(world: World, method: str) -> None:
    payment = await paid(world, method)

    results = await asyncio.gather(
        *(world.refund(payment, 1_000) for _ in range(50)), return_exceptions=True
    )

    made = [result for result in results if isinstance(result, RefundView)]
    refused = [r for r in results if isinstance(r, RefundTooLarge | AlreadyRefunded)]
    assert (len(made), len(refused)) == (10, 40)

    async def settled() -> bool:
        return {r.status for r in await refunds(world, payment)} == {"succeeded"}

    await world.until(settled, sweep=True)
    told = (await truth(world, method))[payment.latest_attempt or ""]
    assert told.refunds == (1_000,) * 10
    assert await world.balance(world.wallet) == 0
    await world.assert_books_hold()


async def test_database_itself_refuses_more_than_was_received(world: World) -> None:
    payment = await paid(world, "alipay")

    async def overdraw() -> None:
        async with world.db.transaction() as tx:
            await tx.run(
                "UPDATE payments.payments SET amount_refunded = 10001 WHERE id = $1", payment.id
            )

    with pytest.raises(Exception, match="check constraint"):
        await overdraw()
