"""Case 35: a notice signed too long ago, or by a clock too far off, is refused."""

import pytest

from tests.hard_cases.deeds import journals, nothing_moves, paid, simulator
from tests.worlds import MERCHANT, World


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


async def test_alipay_notice_posted_again_by_a_stranger_has_no_second_effect(world: World) -> None:
    """Alipay signs no moment that could be too long ago: the same bytes are genuine for ever."""
    payment = await paid(world, "alipay")
    async with world.db.transaction(readonly=True) as tx:
        body = await tx.value("SELECT body FROM runtime.notices")

    async with nothing_moves(world):
        for _ in range(3):
            url = f"{world.notices.url}/notices/{MERCHANT}/pa_alipay"
            async with world.session.post(
                url, data=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
            ) as answer:
                assert (answer.status, await answer.read()) == (200, b"success")
        await world.payments.finish()

    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
