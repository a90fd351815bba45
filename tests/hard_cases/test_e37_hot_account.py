"""Case 37: hundreds of payments into one account are all booked, many to a transaction."""

import asyncio

from tests.worlds import World


async def test_two_hundred_payments_into_one_account(world: World) -> None:
    async with world.db.transaction(readonly=True) as tx:
        before = await tx.value("SELECT last_journal FROM ledger.books")
    payments = await asyncio.gather(*(world.pay("alipay", 4021) for _ in range(200)))
    for payment in payments:
        await world.until_paid(payment, sweep=True)

    assert await world.balance(world.wallet) == 200 * 4021
    async with world.db.transaction(readonly=True) as tx:
        assert await tx.value("SELECT last_journal FROM ledger.books") - before == 200
        moments = await tx.value("SELECT count(DISTINCT at) FROM ledger.lines")
    assert moments < 150, "payments were not grouped"
    await world.assert_books_hold()
