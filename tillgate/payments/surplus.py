"""A surplus: a second payment of the same order, or one of an amount that the payment had before it
was changed. Taken in, told, and given back, anew if that fails.

Each try is a refund with a number of its own, ordered only once the one before it has failed for
certain; a unique index allows one at a time. What no try brings back stays in suspense, and a
person is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tillgate.kernel import ids
from tillgate.ledger.machine import Books
from tillgate.ledger.model import Journal
from tillgate.payments import booking, store
from tillgate.payments.desk import Desk
from tillgate.payments.machine import PaymentStatus, RefundStatus
from tillgate.payments.model import Attempt, Payment, Refund, RefundView, Trace
from tillgate.runtime.db import Tx

#: Seconds from a refund that failed to the next one; after the last one it is a person's business.
WAITS: Final = (60, 300, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400)


def take_in(desk: Desk, attempt: Attempt, payment: Payment, trace: Trace) -> None:
    """Book what no payment is owed into suspense, tell, and order that it goes back."""
    desk.book(
        attempt,
        payment,
        f"payment:{attempt.id}",
        lambda books: booking.surplus(attempt, booking.Chart(books, attempt, payment)),
    )
    _order(desk, attempt, payment, trace)
    desk.open_break(
        "second_payment" if payment.status == PaymentStatus.SUCCEEDED else "former_amount",
        attempt,
        {"payment": payment.id, "amount": payment.amount},
        {"reference": attempt.reference, "amount": attempt.amount_captured},
    )


def failed(desk: Desk, refund: Refund) -> datetime | None:
    """Return when one that has failed is tried anew; None after the last time, and that is told."""
    tried = sum(
        each.status == RefundStatus.FAILED and each.id != refund.id
        for each in _tries(desk, refund.attempt_id)
    )
    if tried < len(WAITS):
        return desk.at + timedelta(seconds=WAITS[tried])
    ours: dict[str, object] = {"suspense": refund.amount, "tries": tried + 1}
    desk.open_break("second_payment_kept", refund, ours, {"reason": refund.failure_reason})
    return None


async def order_again(tx: Tx, refund: Refund, trace: Trace, *, at: datetime) -> RefundView:
    """Order another refund in place of one that failed, unless that has been done.

    The worker sends it, as any refund that was ordered by a process which died.
    """
    key = (refund.merchant_id, refund.id)
    desk = Desk(at)
    desk.take_in(payments=await store.refunds.lock_payments(tx, [key]))
    desk.take_in(refunds=await store.select_refunds_of_payments(tx, list(desk.payments)))
    attempt_key = (refund.merchant_id, refund.attempt_id)
    desk.take_in(attempts=await store.attempts.select(tx, [attempt_key]))
    refund = desk.change_refund(desk.refunds[key], look_up_at=None)
    attempt, payment = desk.attempts[attempt_key], desk.payment_of(refund)
    if all(each.status == RefundStatus.FAILED for each in _tries(desk, attempt.id)):
        _order(desk, attempt, payment, trace)
    await desk.close(tx)
    return RefundView(max(_tries(desk, attempt.id), key=lambda each: each.id), payment)


def _order(desk: Desk, attempt: Attempt, payment: Payment, trace: Trace) -> None:
    refund_id = ids.new_id("re")

    def decide(books: Books) -> Journal:
        chart = booking.Chart(books, attempt, payment)
        lines = [(chart.second, chart.refunds, attempt.amount_captured)]
        refund = Refund(
            merchant_id=attempt.merchant_id,
            id=refund_id,
            payment_id=payment.id,
            attempt_id=attempt.id,
            amount=attempt.amount_captured,
            currency=attempt.currency,
            status=RefundStatus.CREATED.value,
            reason="duplicate" if payment.status == PaymentStatus.SUCCEEDED else None,
            take_back=lines,
            surplus=True,
            look_up_at=desk.at,
            created_at=desk.at,
        )
        desk.add_refund(refund)
        desk.say_refund("refund.created", refund, trace)
        return booking.journal(refund, "refund", lines)

    desk.book(attempt, payment, f"refund:{refund_id}", decide)
    desk.change_attempt(attempt, amount_refunded=attempt.amount_captured)


def _tries(desk: Desk, attempt_id: str) -> Sequence[Refund]:
    return [r for r in desk.refunds.values() if r.surplus and r.attempt_id == attempt_id]
