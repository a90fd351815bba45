"""Case 20: after a partial capture only what was captured can be refunded."""

import pytest

from tests.hard_cases.deeds import journals, nothing_moves, truth
from tests.worlds import MERCHANT, World
from tillgate.payments.errors import CaptureTooLarge, RefundTooLarge, UnexpectedState
from tillgate.payments.flows import NO_TRACE


async def test_refund_is_capped_by_what_was_captured(world: World) -> None:
    payment = await world.pay("card", capture_method="manual")
    assert (payment.status, payment.amount_capturable) == ("requires_capture", 10_000)
    captured = await world.payments.capture(MERCHANT, payment.id, 6_000, NO_TRACE)
    assert (captured.status, captured.amount_received) == ("succeeded", 6_000)

    async with nothing_moves(world):
        with pytest.raises(RefundTooLarge):
            await world.refund(payment, 6_001)
    await world.refund(payment, 6_000)

    told = (await truth(world, "card"))[payment.latest_attempt or ""]
    assert sum(told.refunds) == 6_000
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    assert await world.balance_of("sales", "usd") == 0
    await world.assert_books_hold()


async def test_capture_beyond_what_was_reserved_is_refused(world: World) -> None:
    payment = await world.pay("card", capture_method="manual")

    async with nothing_moves(world):
        with pytest.raises(CaptureTooLarge):
            await world.payments.capture(MERCHANT, payment.id, 10_001, NO_TRACE)


async def test_payment_is_captured_once(world: World) -> None:
    payment = await world.pay("card", capture_method="manual")
    await world.payments.capture(MERCHANT, payment.id, 6_000, NO_TRACE)

    async with nothing_moves(world):
        with pytest.raises(UnexpectedState):
            await world.payments.capture(MERCHANT, payment.id, 4_000, NO_TRACE)


async def test_nothing_is_booked_before_the_capture(world: World) -> None:
    payment = await world.pay("card", capture_method="manual")

    assert await journals(world, f"payment:{payment.latest_attempt}") == 0
    canceled = await world.payments.cancel(MERCHANT, payment.id, None, NO_TRACE)
    assert canceled.status == "canceled"
    assert not (await truth(world, "card"))[payment.latest_attempt or ""].is_open
    await world.assert_books_hold()
