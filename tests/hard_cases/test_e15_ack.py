"""Case 15: the provider gets exactly the words it wants, after the notice has been stored."""

import pytest

from tests.hard_cases.deeds import METHODS, paid, simulator
from tests.worlds import World


@pytest.mark.parametrize("method", METHODS)
async def test_provider_takes_our_answer_for_an_acknowledgement(world: World, method: str) -> None:
    await paid(world, method)
    sender = simulator(world, method).sender

    async def done() -> bool:
        return sender.acked >= 1 and not sender.unfinished

    await world.until(done)
    async with world.db.transaction(readonly=True) as tx:
        stored = await tx.value("SELECT count(*) FROM runtime.notices")
    assert stored == sender.acked
