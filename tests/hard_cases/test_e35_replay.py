"""Case 35: a notice signed too long ago, or by a clock too far off, is refused."""

import json
from datetime import timedelta

import pytest

from tests.hard_cases.deeds import journals, nothing_moves, paid, simulator
from tests.worlds import MERCHANT, World
from tillgate.kernel.clock import FixedClock


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


@pytest.mark.parametrize(
    ("method", "account"), [("wechat_pay", "pa_wechat_pay"), ("card", "pa_stripe")]
)
async def test_genuine_notice_posted_again_by_a_stranger_is_refused_once_it_is_old(
    world: World, method: str, account: str
) -> None:
    """Before that it says nothing new."""
    await paid(world, method)
    await simulator(world, method).sender.settle()
    async with world.db.transaction(readonly=True) as tx:
        row = await tx.one("SELECT headers::text, body FROM runtime.notices ORDER BY id LIMIT 1")
    url, headers = f"{world.notices.url}/notices/{MERCHANT}/{account}", json.loads(row["headers"])

    async def post() -> bool:
        refused = world.refused_notices
        async with world.session.post(url, data=row["body"], headers=headers):
            await world.payments.finish()
        return world.refused_notices == refused

    async with nothing_moves(world):
        assert await post()
        world.payments.notices._clock = FixedClock(world.clock.now() + timedelta(seconds=310))
        assert not await post()


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
