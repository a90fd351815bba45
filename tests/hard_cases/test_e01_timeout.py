"""Case 1: the answer is lost, so nobody knows; it stays unknown until the provider tells."""

import pytest

from tests.hard_cases.deeds import HASTY, METHODS, attempts, behave, reads, rule, truth
from tests.worlds import CONFIRMATIONS, World
from tillgate.payments.errors import UnexpectedState
from tillgate.payments.flows import NO_TRACE


async def test_lost_answer_is_unknown_and_then_booked_once(world: World) -> None:
    rule(world, "card", "notice", "lost_notice", probability=1.0)
    payment = await world.pay("card", 4002)
    assert payment.status == "processing"

    done = await world.until_paid(payment, sweep=True)

    assert done.amount_received == 4002
    assert (await world.facts(payment.id)).count("payment.succeeded") == 1
    await world.assert_books_hold()


@pytest.mark.parametrize("method", METHODS)
async def test_unknown_never_ages_into_failed(world: World, method: str) -> None:
    world.payments.look_ups = HASTY
    rule(world, method, "create", "timeout_after", next=1)
    rule(world, method, "notice", "lost_notice", probability=1.0)
    rule(world, method, "query", "http_500_before", probability=1.0)
    rule(world, method, "close", "http_500_before", probability=1.0)
    payment = await world.pay(method)

    for _ in range(12):
        await world.sweep()
        assert (await attempts(world, payment))[0].status == "unknown"
    assert (await world.payment(payment.id)).status == "processing"
    assert "payment.attempt_failed" not in await world.facts(payment.id)

    behave(world, method)
    if method != "card":
        await world.phone_pays(method, payment)
    await world.until_paid(payment, sweep=True)
    assert (await truth(world, method))[payment.latest_attempt or ""].paid == 10_000
    await world.assert_books_hold()


async def test_nothing_else_is_tried_while_it_is_unknown(world: World) -> None:
    rule(world, "alipay", "query", "http_500_before", probability=1.0)
    payment = await world.pay("alipay", 4002)

    with pytest.raises(UnexpectedState):
        await world.payments.confirm(payment, CONFIRMATIONS["wechat_pay"], NO_TRACE)

    assert await reads(world, "payments", payment.id, "attempts") == 1


async def test_order_that_never_arrived_ends_when_the_provider_says_so(world: World) -> None:
    world.payments.look_ups = HASTY
    payment = await world.pay("card", 4003)
    assert payment.status == "processing"

    async def ended() -> bool:
        return (await world.payment(payment.id)).status == "requires_payment_method"

    await world.until(ended, sweep=True)
    assert await truth(world, "card") == {}
    assert "payment.attempt_failed" in await world.facts(payment.id)
