"""Case 35: a notice signed too long ago, or by a clock too far off, is refused."""

import pytest

from tests.hard_cases.deeds import simulator
from tests.worlds import World


@pytest.mark.parametrize("method", ["wechat_pay", "card"])
@pytest.mark.parametrize("offset", [-400, 400])
async def test_notice_outside_the_window_is_refused(world: World, method: str, offset: int) -> None:
    confirmed = await world.pay("wechat_pay")
    if method == "wechat_pay":
        await world.control(method, "clock", {"offset_seconds": offset})
        await world.phone_pays(method, confirmed)
    else:
        await world.control(method, "clock", {"offset_seconds": offset})
        await world.pay("card")
    await simulator(world, method).sender.settle()

    assert world.refused_notices >= 1
    async with world.db.transaction(readonly=True) as tx:
        assert await tx.value("SELECT count(*) FROM runtime.notices") == 0
    assert await world.balance(world.wallet) == 0
