"""Case 32, further: "paid", says Stripe, but into another account: not credited, and told."""

import msgspec
import pytest

from tests.hard_cases.deeds import attempts, breaks, journals, reads, rule, simulator
from tests.worlds import World


@pytest.mark.parametrize("capture_method", ["automatic", "manual"])
async def test_money_collected_for_another_account_credits_nothing(
    world: World, capture_method: str
) -> None:
    payment = await world.pay("card", 4025, capture_method=capture_method)

    for _ in range(3):
        await world.sweep()

    assert [attempt.status for attempt in await attempts(world, payment)] == ["mismatched"]
    assert await breaks(world) == ["account"]
    assert (await world.payment(payment.id)).status == "processing"
    assert await journals(world, f"payment:{payment.latest_attempt}") == 0
    assert "payment.mismatched" in await world.facts(payment.id)
    await world.assert_books_hold()


async def test_notice_for_another_account_is_told_and_not_believed(world: World) -> None:
    rule(world, "card", "create", "reset_after", next=1)
    rule(world, "card", "payment_intent.succeeded", "wrong_account", next=1)
    payment = await world.pay("card")

    async def told() -> bool:
        return await breaks(world) == ["account"]

    await world.until(told)
    assert await journals(world, f"payment:{payment.latest_attempt}") == 0
    assert (await world.payment(payment.id)).status == "processing"

    # What Stripe answers to our own key is another matter.
    await world.until_paid(payment, sweep=True)
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    assert await breaks(world) == ["account"]
    await world.assert_books_hold()


async def test_notice_for_another_account_of_what_is_paid_is_told(world: World) -> None:
    rule(world, "card", "payment_intent.succeeded", "wrong_account", next=1)
    payment = await world.until_paid(await world.pay("card"))

    async def told() -> bool:
        return await breaks(world) == ["account"]

    await world.until(told)
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    [attempt] = await attempts(world, payment)
    theirs = msgspec.json.decode(await _theirs(world))
    assert theirs["account"] == "acct_somebody_else"
    assert attempt.status == "paid"


async def test_end_told_for_another_account_ends_nothing(world: World) -> None:
    payment = await world.pay("card", capture_method="manual")
    [attempt] = await attempts(world, payment)
    assert attempt.status == "authorised"
    rule(world, "card", "payment_intent.canceled", "wrong_account", next=1)

    simulator(world, "card").close(attempt.id)
    await simulator(world, "card").sender.settle()
    await world.payments.finish()

    assert await reads(world, "attempts", attempt.id) == "authorised"


async def _theirs(world: World) -> str:
    async with world.db.transaction(readonly=True) as tx:
        return await tx.value("SELECT theirs::text FROM payments.breaks")
