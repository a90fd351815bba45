"""Case 13: the notice is here before the answer to our own call."""

import pytest

from tests.hard_cases.deeds import journals
from tests.worlds import World


@pytest.mark.parametrize("method", ["alipay", "wechat_pay", "card"])
async def test_notice_before_the_answer_credits_once(world: World, method: str) -> None:
    payment = await world.pay(method, 4016)

    paid = await world.until_paid(payment)

    assert paid.next_action is None
    assert paid.amount_received == 4016
    assert await journals(world, f"payment:{paid.latest_attempt}") == 1
    assert (await world.facts(payment.id))[-1] == "payment.succeeded"
    await world.assert_books_hold()
