"""No database connection is held over a provider's call: 64 of them hang, and the pool is idle."""

import asyncio

from tests.worlds import World

CALLS = 64
HANG = {"operation": "create", "fault": {"kind": "latency", "seconds": 0.8}, "probability": 1}


async def test_no_connection_is_in_use_while_calls_hang(world: World) -> None:
    await world.control("wechat_pay", "rules", HANG)
    paying = [asyncio.create_task(world.pay("wechat_pay")) for _ in range(CALLS)]

    async def all_hang() -> bool:
        async with world.db.transaction(readonly=True) as tx:
            opened = await tx.value("SELECT count(*) FROM payments.attempts")
        return opened == CALLS

    await world.until(all_hang)
    await asyncio.sleep(0.05)

    assert not any(task.done() for task in paying)
    assert world.db.in_use == 0
    payments = await asyncio.gather(*paying)
    assert {payment.status for payment in payments} == {"requires_action"}
