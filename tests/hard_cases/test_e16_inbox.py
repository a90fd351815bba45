"""Case 16: a notice is kept as it came in, whatever was made of it, and can be replayed."""

import asyncio

import pytest

from tests.hard_cases.deeds import METHODS, nothing_moves, paid, simulator
from tests.worlds import World
from tillgate.runtime import notices


@pytest.mark.parametrize("method", METHODS)
async def test_every_stored_notice_can_be_replayed_without_effect(
    world: World, method: str
) -> None:
    await paid(world, method)
    await simulator(world, method).sender.settle()
    await world.payments.finish()
    async with world.db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT merchant_id, id, length(body) AS size FROM runtime.notices")
        stored = [await notices.one(tx, row["merchant_id"], row["id"]) for row in rows]

    assert all(row["size"] > 100 for row in rows)
    async with nothing_moves(world):
        await asyncio.gather(*(world.payments.notices.apply(raw) for raw in stored * 3 if raw))


async def test_notice_stored_by_a_process_that_died_is_applied_by_the_worker(world: World) -> None:
    payment = await world.pay("wechat_pay")
    world.payments.notices._under_way = _Full()  # this process is too busy to apply anything itself
    await world.phone_pays("wechat_pay", payment)
    await simulator(world, "wechat_pay").sender.settle()
    assert (await world.payment(payment.id)).status == "requires_action"

    await world.sweep()

    assert (await world.payment(payment.id)).status == "succeeded"


class _Full(set[object]):
    def __len__(self) -> int:
        return 2_000
