"""Case 19: two equal partial refunds are two refunds; one refund sent twice is one."""

import pytest

from tests.hard_cases.deeds import METHODS, paid, refunds, rule, truth
from tests.serving import Client
from tests.worlds import World


@pytest.mark.parametrize("method", METHODS)
async def test_two_equal_refunds_both_arrive(world: World, client: Client, method: str) -> None:
    """Of one amount, for one reason, with the same words: another key is another refund."""
    payment = await paid(world, method)
    body = {"payment_intent": payment.id, "amount": 3_000, "reason": "requested_by_customer"}
    first = await client.post("/v1/refunds", body, key="one")
    second = await client.post("/v1/refunds", body, key="two")
    again = await client.post("/v1/refunds", body, key="one")
    assert first.json["id"] == again.json["id"] != second.json["id"]

    async def settled() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"] * 2

    await world.until(settled, sweep=True)
    assert (await truth(world, method))[payment.latest_attempt or ""].refunds == (3_000, 3_000)
    await world.assert_books_hold()


@pytest.mark.parametrize("method", METHODS)
async def test_refund_whose_answer_was_lost_is_not_made_twice(world: World, method: str) -> None:
    payment = await paid(world, method)
    rule(world, method, "notice", "lost_notice", probability=1.0)  # it would be faster than we are
    rule(world, method, "refund", "reset_after", next=2)
    first = await world.refund(payment, 3_000)
    assert first.refund.status == "unknown"

    async def settled() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(settled, sweep=True)
    assert (await truth(world, method))[payment.latest_attempt or ""].refunds == (3_000,)
    await world.assert_books_hold()
