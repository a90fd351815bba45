"""Case 38: no connection is held while a provider thinks."""

import asyncio

import pytest

from tests.hard_cases.deeds import METHODS, behave, rule
from tests.worlds import World


@pytest.mark.parametrize("method", METHODS)
async def test_slow_provider_holds_no_connection(world: World, method: str) -> None:
    rule(world, method, "create", "latency", seconds=0.4, probability=1.0)
    paying = [asyncio.create_task(world.pay(method)) for _ in range(30)]

    async def all_called() -> bool:
        async with world.db.transaction(readonly=True) as tx:
            return await tx.value("SELECT count(*) FROM payments.attempts") == 30

    await world.until(all_called)
    assert not any(task.done() for task in paying)
    assert world.db.in_use == 0
    assert world.db.busy == 0
    async with world.db.transaction(readonly=True) as tx:
        idle = await tx.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%'"
        )
    assert idle == 0
    await asyncio.gather(*paying)
    behave(world, method)


async def test_calling_a_provider_inside_a_transaction_is_a_bug(world: World) -> None:
    with pytest.raises(AssertionError, match="held over a network call"):
        async with world.db.transaction():
            await world.pay("alipay")
