"""Case 9: the same notice, many times at once and again later, has one effect."""

import pytest

from tests.hard_cases.deeds import METHODS, journals, paid, simulator
from tests.worlds import World


@pytest.mark.parametrize("method", METHODS)
async def test_thirty_notices_credit_once(world: World, method: str) -> None:
    payment = await paid(world, method)
    simulator(world, method).renotify(payment.latest_attempt or "", 30)
    await simulator(world, method).sender.settle()
    await world.payments.finish()
    await world.sweep()

    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    assert (await world.facts(payment.id)).count("payment.succeeded") == 1
    assert (await world.facts(payment.latest_attempt)).count("attempt.succeeded") == 1
    await world.assert_books_hold()


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_notice_sent_twice_at_once_credits_once(world: World, method: str) -> None:
    payment = await paid(world, method, 4012)

    assert await world.balance(world.wallet) == 4012
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
