"""Case 32, further: another order in our Stripe account bears our attempt's mark, and is not ours."""

import msgspec
import pytest

from tests.hard_cases.deeds import (
    attempts,
    behave,
    breaks,
    journals,
    paid,
    raw_notice,
    reads,
    refunds,
    rule,
    simulator,
)
from tests.worlds import MERCHANT, World, accounts_of
from tillgate.connectors import port
from tillgate.kernel.money import USD, Money
from tillgate.payments.flows import NO_TRACE


@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_chargeDeclined"])
async def test_notice_of_another_order_moves_nothing_and_is_told(world: World, card: str) -> None:
    payment = await world.pay("card", capture_method="manual")
    [attempt] = await attempts(world, payment)

    await _make_twin(world, attempt.id, card)

    async def told() -> bool:
        return await breaks(world) == ["reference"]

    await world.until(told)
    assert await reads(world, "attempts", attempt.id) == "authorised"
    assert await reads(world, "attempts", attempt.id, "reference") == attempt.reference
    captured = await world.payments.capture(MERCHANT, payment.id, None, NO_TRACE)
    assert captured.status == "succeeded"
    assert await journals(world, f"payment:{attempt.id}") == 1


async def test_second_order_paid_for_one_attempt_is_credited_once_and_told(world: World) -> None:
    payment = await paid(world, "card")
    [attempt] = await attempts(world, payment)

    await world.payments._hear(attempt, port.Paid("pi_twin", Money(10_000, USD)), NO_TRACE)

    assert await breaks(world) == ["reference"]
    assert await reads(world, "attempts", attempt.id, "reference") == attempt.reference
    assert await journals(world, f"payment:{attempt.id}") == 1


async def test_of_two_orders_with_our_mark_none_is_guessed(world: World) -> None:
    """The answer and every notice were lost: nothing but the mark leads to our order."""
    rule(world, "card", "create", "reset_after", next=1)
    rule(world, "card", "payment_intent.*", "lost_notice", probability=1.0)
    payment = await world.pay("card")
    [attempt] = await attempts(world, payment)
    await _make_twin(world, attempt.id, "pm_card_visa")
    await simulator(world, "card").sender.settle()

    for _ in range(3):
        await world.sweep()

    assert await reads(world, "attempts", attempt.id) == "unknown"
    assert (await world.payment(payment.id)).status == "processing"
    assert await breaks(world) == ["ambiguous"]
    async with world.db.transaction(readonly=True) as tx:
        theirs = msgspec.json.decode(await tx.value("SELECT theirs::text FROM payments.breaks"))
    assert len(theirs["references"]) == 2
    assert await journals(world, f"payment:{attempt.id}") == 0
    behave(world, "card")


async def test_refund_of_another_order_is_told_and_not_believed(world: World) -> None:
    payment = await paid(world, "wechat_pay")
    view = await world.refund(payment, 2_500)
    failed = port.RefundFailed("declined", "No.")
    raw = raw_notice(world, "pa_wechat_pay")

    await world.payments.notices._hear(
        raw, port.RefundNotice(view.refund.id, failed, "pi_twin"), None
    )

    assert [refund.status for refund in await refunds(world, payment)] != ["failed"]
    assert await breaks(world) == ["reference"]


async def _make_twin(world: World, attempt_id: str, card: str) -> None:
    """Somebody with a key to our Stripe account makes an order that bears the attempt's id."""
    opened = accounts_of(world.running.merchants_file)
    config = next(each.config for each in opened if each.account.provider == "stripe")
    stripe = msgspec.json.decode(config)
    form = {
        "amount": "10000",
        "currency": "usd",
        "confirm": "true",
        "payment_method": card,
        "payment_method_types[0]": "card",
        "metadata[attempt]": attempt_id,
    }
    url = f"{stripe['base_url']}/v1/payment_intents"
    headers = {"Authorization": f"Bearer {stripe['secret_key']}"}
    async with world.session.post(url, data=form, headers=headers) as made:
        assert made.status in (200, 402)
