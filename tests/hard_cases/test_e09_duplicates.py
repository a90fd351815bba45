"""Case 9: the same notice, many times at once and again later, has one effect."""

import msgspec
import pytest

from simulators.common.notices import Notice
from tests.hard_cases.deeds import METHODS, journals, notices_become, paid, simulator
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


@pytest.mark.parametrize("method", METHODS)
async def test_many_events_about_one_effect_credit_once(world: World, method: str) -> None:
    """Each has an id of its own, so that it is not by its event that the money is known again."""

    def five_events(notice: Notice) -> list[Notice]:
        number = notice.id.partition(":")[0]
        written = msgspec.json.encode(notice).decode()
        return [
            msgspec.json.decode(written.replace(number, f"{number[:-1]}{other}"), type=Notice)
            for other in "56789"
        ]

    with notices_become(world, method, five_events):
        payment = await paid(world, method)
        await simulator(world, method).sender.settle()
        await world.payments.finish()

    async with world.db.transaction(readonly=True) as tx:
        heard = [row["body"] for row in await tx.all("SELECT body FROM runtime.notices")]
    assert len(set(heard)) >= 5
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    assert (await world.facts(payment.id)).count("payment.succeeded") == 1
    await world.assert_books_hold()
