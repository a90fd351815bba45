"""Case 12: news in any order ends in the same state, with the same books."""

import itertools
from collections.abc import Sequence

import pytest

from tests.hard_cases.deeds import (
    HASTY,
    attempts,
    journals,
    nothing_moves,
    paid,
    refunds,
    rule,
    simulator,
)
from tests.worlds import MERCHANT, World
from tillgate.connectors import port
from tillgate.kernel.money import CNY, Money
from tillgate.payments import outcomes
from tillgate.payments.model import Heard


def _news(number: int) -> list[object]:
    return [
        port.Waiting(on="customer"),
        port.Unknown("lost"),
        port.Paid(f"ref{number}", Money(10_000, CNY)),
        port.Closed(),
        port.NotFound(),
    ]


async def test_every_order_of_news_ends_paid_and_booked_once(world: World) -> None:
    for number, order in enumerate(itertools.permutations(range(5))):
        payment = await world.pay("alipay")
        await _hear(world, payment.latest_attempt or "", [_news(number)[i] for i in order])

        [attempt] = await attempts(world, payment)
        assert attempt.status == "paid", order
        assert (await world.payment(payment.id)).status == "succeeded", order
        assert await journals(world, f"payment:{attempt.id}") == 1
    assert await world.balance(world.wallet) == 120 * 10_000
    await world.assert_books_hold()


async def test_notices_out_of_order_are_taken_as_they_come(world: World) -> None:
    first = await world.pay("wechat_pay", 4015)
    second = await world.pay("wechat_pay", 5000)
    await world.phone_pays("wechat_pay", first)
    await world.phone_pays("wechat_pay", second)

    await world.until_paid(second)
    await world.until_paid(first)

    assert await world.balance(world.wallet) == 9015


async def test_refund_heard_of_before_its_charge_is_kept_and_the_charge_is_credited(
    world: World,
) -> None:
    """Somebody gives money back in the provider's own console, before we know that it was paid."""
    payment = await world.pay("wechat_pay")
    rule(world, "wechat_pay", "notice", "lost_notice", next=1)
    await world.phone_pays("wechat_pay", payment)
    connector = await world.payments.providers.connector(MERCHANT, "pa_wechat_pay")
    assert port.can(connector, port.Refunding)
    now, number, total = world.clock.now(), payment.latest_attempt or "", Money(10_000, CNY)
    told = await connector.look_up(number, None, total, since=payment.created_at, now=now)
    assert isinstance(told, port.Paid)
    order = port.RefundOrder(
        refund_id="re_by_hand",
        attempt_id=number,
        reference=told.reference,
        amount=Money(2_500, CNY),
        total=total,
        reason=None,
        notify_url=f"{world.notices.url}/notices/{MERCHANT}/pa_wechat_pay",
    )
    await connector.refund(order, now=now)

    async def is_kept() -> bool:
        async with world.db.transaction(readonly=True) as tx:
            rows = await tx.all("SELECT status, note FROM runtime.notices")
        return [(r["status"], "No such refund" in (r["note"] or "")) for r in rows] == [
            ("received", True)
        ]

    await world.until(is_kept)
    assert world.refused_notices == 0
    assert (await world.payment(payment.id)).status == "requires_action"

    await world.until_paid(payment, sweep=True)
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_old_news_after_new_news_changes_nothing(world: World, method: str) -> None:
    """The notice that it was paid, once more after all of it has been given back."""
    payment = await paid(world, method)
    await world.refund(payment, 10_000)

    async def given_back() -> bool:
        return [refund.status for refund in await refunds(world, payment)] == ["succeeded"]

    await world.until(given_back, sweep=True)
    await simulator(world, method).sender.settle()
    await world.payments.finish()
    async with nothing_moves(world):
        simulator(world, method).renotify(payment.latest_attempt or "", 3)
        await simulator(world, method).sender.settle()
        await world.payments.finish()


async def _hear(world: World, attempt_id: str, news: Sequence[object]) -> None:
    for outcome in news:
        async with world.db.transaction() as tx:
            heard = Heard(merchant_id=MERCHANT, attempt_id=attempt_id, outcome=outcome)
            await outcomes.record_outcomes(tx, [heard], at=world.clock.now(), look_ups=HASTY)
