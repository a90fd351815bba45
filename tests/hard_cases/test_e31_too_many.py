"""Case 31: "too many requests" is about us, not about the customer's card or account."""

import pytest

from tests.hard_cases.deeds import HASTY, METHODS, attempts, behave, paid, refunds, rule, truth
from tests.worlds import MERCHANT, World
from tillgate.payments.commands import LookUps
from tillgate.payments.flows import NO_TRACE


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["http_429_before", "http_429_after"])
async def test_429_is_no_decline(world: World, method: str, kind: str) -> None:
    rule(world, method, "notice", "lost_notice", probability=1.0)
    rule(world, method, "create", kind, next=1)

    payment = await world.pay(method)

    assert payment.status == "processing"
    assert payment.last_error is None
    assert [attempt.status for attempt in await attempts(world, payment)] == ["unknown"]


async def test_429_that_had_acted_is_found_paid(world: World) -> None:
    world.payments.look_ups = HASTY
    rule(world, "card", "notice", "lost_notice", probability=1.0)
    payment = await world.pay("card", 4008)

    await world.until_paid(payment, sweep=True)

    assert [told.paid for told in (await truth(world, "card")).values()] == [4008]
    await world.assert_books_hold()


async def test_429_on_capture_keeps_the_reservation(world: World) -> None:
    payment = await world.pay("card", capture_method="manual")
    rule(world, "card", "*capture*", "http_429_before", probability=1.0)

    captured = await world.payments.capture(MERCHANT, payment.id, 7_000, NO_TRACE)

    assert captured.status == "requires_capture"
    behave(world, "card")
    done = await world.until_paid(payment, sweep=True)
    assert done.amount_received == 7_000
    await world.assert_books_hold()


async def test_429_on_a_refund_is_tried_again(world: World) -> None:
    payment = await paid(world, "wechat_pay")
    rule(world, "wechat_pay", "refund", "http_429_before", next=2)
    view = await world.refund(payment, 1_000)
    assert view.refund.status in ("created", "unknown")

    async def settled() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(settled, sweep=True)
    assert (await truth(world, "wechat_pay"))[payment.latest_attempt or ""].refunds == (1_000,)


@pytest.mark.parametrize("method", METHODS)
async def test_429_to_every_question_is_asked_ever_more_rarely(world: World, method: str) -> None:
    world.payments.look_ups = LookUps(first_seconds=10.0, most_seconds=60.0, calling_seconds=0.0)
    rule(world, method, "notice", "lost_notice", probability=1.0)
    rule(world, method, "create", "http_429_after", next=1)
    rule(world, method, "query", "http_429_before", probability=1.0)
    payment = await world.pay(method)
    waits: list[float] = []

    for _ in range(5):
        await world.sweep()
        [attempt] = await attempts(world, payment)
        assert (attempt.status, attempt.error) == ("unknown", None)
        assert attempt.look_up_at is not None
        waits.append((attempt.look_up_at - world.clock.now()).total_seconds())

    assert waits == pytest.approx([20, 40, 60, 60, 60], abs=5)
    behave(world, method)
    if method != "card":
        await world.phone_pays(method, payment)
    await world.until_paid(payment, sweep=True)
    assert (await world.payment(payment.id)).last_error is None
