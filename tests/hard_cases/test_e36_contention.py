"""Case 36: work that meets a lock waits or comes again; it is never dropped."""

import asyncio

from tests.hard_cases.deeds import simulator
from tests.worlds import World
from tillgate.payments import jobs
from tillgate.payments.flows import Payments
from tillgate.runtime.db import Database


async def test_notice_waits_for_the_lock_and_is_applied(world: World) -> None:
    payment = await world.pay("wechat_pay")
    async with world.db.transaction() as tx:
        await tx.one("SELECT 1 FROM payments.payments WHERE id = $1 FOR UPDATE", payment.id)
        await world.phone_pays("wechat_pay", payment)
        await simulator(world, "wechat_pay").sender.settle()
        await asyncio.sleep(0.2)

    await world.until_paid(payment)
    assert await world.balance(world.wallet) == 10_000


async def test_lock_not_had_in_time_is_asked_for_again(world: World, app_db_url: str) -> None:
    payment = await world.pay("wechat_pay")
    hasty = await Database.open(app_db_url, settings={"lock_timeout": "100ms"})
    other = Payments(
        hasty,
        world.clock,
        world.payments.providers,
        world.payments.look_ups,
        world.payments.lifetime,
    )
    world.payments, usual = other, world.payments
    async with world.db.transaction() as tx:
        await tx.one("SELECT 1 FROM payments.payments WHERE id = $1 FOR UPDATE", payment.id)
        await world.phone_pays("wechat_pay", payment)
        await asyncio.sleep(0.15)

    await world.until_paid(payment, sweep=True)
    assert await world.balance(world.wallet) == 10_000
    await other.finish()
    world.payments = usual
    await hasty.close()


async def test_sweeps_and_notices_of_many_payments_never_lock_each_other_up(world: World) -> None:
    payments = [await world.pay("wechat_pay", 1_000 + n) for n in range(40)]
    async with world.db.transaction() as tx:
        await tx.run("UPDATE payments.attempts SET look_up_at = '2001-01-01'")
    for payment in payments:
        await world.phone_pays("wechat_pay", payment)
    await asyncio.gather(
        *(jobs.look_up_due(world.payments) for _ in range(6)),
        *(jobs.apply_stored_notices(world.payments) for _ in range(6)),
    )
    for payment in payments:
        await world.until_paid(payment, sweep=True)

    async with world.db.transaction(readonly=True) as tx:
        dead = await tx.value(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
    assert dead == 0
    assert await world.balance(world.wallet) == sum(1_000 + n for n in range(40))
    await world.assert_books_hold()
