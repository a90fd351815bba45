"""The one door of refunds: opening them under an atomic cap, and hearing of them.

A refund takes the money back in the ledger when it is opened, so that it cannot be spent while
the provider works; if the provider says no, or says no days later, it is given again, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec import UnsetType

from tillgate.connectors import port
from tillgate.kernel import metadata
from tillgate.kernel.errors import Refusal
from tillgate.kernel.ids import with_prefix
from tillgate.kernel.metadata import MetadataKeys
from tillgate.ledger.machine import Books
from tillgate.ledger.model import Journal
from tillgate.payments import booking, machine, store, surplus
from tillgate.payments.commands import LookUps, desk_of_payments
from tillgate.payments.desk import Desk
from tillgate.payments.errors import (
    AlreadyRefunded,
    AmountNotPositive,
    ChargeNotRefundable,
    NotPaid,
    PaymentNotFound,
    RefundNotFound,
    RefundTooLarge,
    ValueSpent,
)
from tillgate.payments.machine import PaymentStatus, RefundStatus
from tillgate.payments.model import (
    Attempt,
    NewRefund,
    Payment,
    Refund,
    RefundHeard,
    RefundView,
    Trace,
)
from tillgate.runtime import notices
from tillgate.runtime.db import Tx

#: A refund that can still change by itself.
OPEN = frozenset({RefundStatus.CREATED, RefundStatus.UNKNOWN, RefundStatus.PENDING})


@dataclass(frozen=True, slots=True)
class Refunding:
    """A refund to open."""

    order: NewRefund
    trace: Trace


# Opening -------------------------------------------------------------------------------------


async def open_refunds(
    tx: Tx, items: Sequence[Refunding], *, at: datetime, look_ups: LookUps
) -> list[RefundView | Refusal]:
    """Open refunds, each within what is left of its payment at its turn."""
    keys = [(item.order.merchant_id, item.order.payment_id) for item in items]
    desk = await desk_of_payments(tx, keys, at)
    paid = [
        (payment.merchant_id, payment.latest_attempt)
        for payment in desk.payments.values()
        if payment.latest_attempt is not None
    ]
    desk.take_in(attempts=await store.attempts.select(tx, paid))
    given = [
        key for key, payment in desk.payments.items() if payment.gifts and payment.amount_refunded
    ]
    if given:
        desk.take_in(refunds=await store.select_refunds_of_payments(tx, given))
    orders = [_Order(desk, item, look_ups) for item in items]
    await desk.close(tx)
    return [order.result() for order in orders]


class _Order:
    """One refund to open: it is decided when the books are locked, in turn."""

    def __init__(self, desk: Desk, item: Refunding, look_ups: LookUps) -> None:
        self._desk = desk
        self._item = item
        self._look_ups = look_ups
        self._refusal: Refusal | None = None
        order = item.order
        payment = desk.payments.get((order.merchant_id, order.payment_id))
        if payment is None:
            self._refusal = PaymentNotFound(order.payment_id, param="payment_intent")
            return
        attempt = desk.attempts.get((order.merchant_id, payment.latest_attempt or ""))
        if attempt is None or payment.status != PaymentStatus.SUCCEEDED:
            self._refusal = NotPaid(payment.id)
            return
        if order.attempt_id not in {None, attempt.id}:
            self._refusal = ChargeNotRefundable(with_prefix("ch", order.attempt_id or ""))
            return
        self._attempt = attempt
        desk.book(attempt, payment, f"refund:{order.id}", self._decide)

    def result(self) -> RefundView | Refusal:
        """Return what became of it; the desk is closed."""
        if self._refusal is not None:
            return self._refusal
        refund = self._desk.refunds[self._item.order.merchant_id, self._item.order.id]
        return RefundView(refund, self._desk.payment_of(refund))

    def _decide(self, books: Books) -> Journal | None:
        order = self._item.order
        payment = self._desk.payments[order.merchant_id, order.payment_id]
        left = payment.amount_received - payment.amount_refunded
        chart = booking.Chart(books, self._attempt, payment)
        amount = order.amount
        if amount is None:
            taken = booking.taken_back(payment, self._desk.refunds_of(payment))
            partial = payment.refund_policy == "partial"
            amount = booking.refundable_now(books, payment, taken, chart) if partial else left
        if order.amount is not None and order.amount <= 0:
            self._refusal = AmountNotPositive("amount")
        elif left == 0:
            self._refusal = AlreadyRefunded(with_prefix("ch", self._attempt.id))
        elif amount > left:
            self._refusal = RefundTooLarge(amount, left)
        elif amount == 0:
            self._refusal = ValueSpent(left, left)
        else:
            return self._open(books, payment, chart, amount)
        return None

    def _open(
        self, books: Books, payment: Payment, chart: booking.Chart, amount: int
    ) -> Journal | None:
        taken = booking.taken_back(payment, self._desk.refunds_of(payment))
        lines = booking.take_back(books, payment, taken, amount, chart)
        if isinstance(lines, ValueSpent):
            self._refusal = lines
            return None
        desk, order, attempt = self._desk, self._item.order, self._attempt
        refund = Refund(
            merchant_id=order.merchant_id,
            id=order.id,
            payment_id=payment.id,
            attempt_id=attempt.id,
            amount=amount,
            currency=payment.currency,
            status=RefundStatus.CREATED.value,
            reason=order.reason,
            take_back=lines,
            metadata=order.metadata,
            look_up_at=desk.at + timedelta(seconds=self._look_ups.calling_seconds),
            created_at=desk.at,
        )
        desk.add_refund(refund)
        payment = desk.change_payment(payment, amount_refunded=payment.amount_refunded + amount)
        attempt = desk.attempts[attempt.merchant_id, attempt.id]
        attempt = desk.change_attempt(attempt, amount_refunded=attempt.amount_refunded + amount)
        desk.say_refund("refund.created", refund, self._item.trace)
        desk.say_charge("attempt.refunded", attempt, payment, self._item.trace)
        return booking.journal(refund, "refund", lines)


# Hearing -------------------------------------------------------------------------------------


async def record_refund_outcomes(
    tx: Tx, items: Sequence[RefundHeard], *, at: datetime, look_ups: LookUps
) -> list[RefundView | Refusal]:
    """Move refunds by what was heard of them; book what follows, once."""
    keys = sorted({(item.merchant_id, item.refund_id) for item in items})
    desk = Desk(at)
    desk.take_in(payments=await store.refunds.lock_payments(tx, keys))
    desk.take_in(refunds=await store.refunds.select(tx, keys))
    paid_twice = {(r.merchant_id, r.payment_id) for r in desk.refunds.values() if r.surplus}
    if paid_twice:
        desk.take_in(refunds=await store.select_refunds_of_payments(tx, sorted(paid_twice)))
    attempts = {(refund.merchant_id, refund.attempt_id) for refund in desk.refunds.values()}
    desk.take_in(attempts=await store.attempts.select(tx, sorted(attempts)))
    results = [_hear(desk, item, look_ups) for item in items]
    await desk.close(tx)
    heard = [
        item.notice
        for item, refusal in zip(items, results, strict=True)
        if item.notice and refusal is None
    ]
    notices.insert_applied(tx, heard, at=at)
    return [
        RefundView(desk.refunds[key], desk.payment_of(desk.refunds[key]))
        if refusal is None
        else refusal
        for item, refusal in zip(items, results, strict=True)
        for key in [(item.merchant_id, item.refund_id)]
    ]


def _hear(desk: Desk, item: RefundHeard, look_ups: LookUps) -> Refusal | None:
    refund = desk.refunds.get((item.merchant_id, item.refund_id))
    if refund is None or item.heard_by not in {None, _account_of(desk, refund)}:
        return RefundNotFound(item.refund_id)
    order = desk.attempts[refund.merchant_id, refund.attempt_id].reference
    if item.told_of is not None and order not in {None, item.told_of}:
        desk.open_break("reference", refund, {"order": order}, {"order": item.told_of})
        return None
    news = machine.refund_news_of(item.outcome)
    if isinstance(item.outcome, port.Refunded) and (
        item.outcome.amount.minor != refund.amount
        or item.outcome.amount.currency.code != refund.currency
    ):
        ours: dict[str, object] = {"amount": refund.amount, "currency": refund.currency}
        desk.open_break("amount", refund, ours, {"amount": str(item.outcome.amount)})
        news = machine.RefundNews.UNKNOWN
    try:
        status = machine.refund_after(refund.status, news)
    except machine.Contradiction:
        desk.open_break("contradiction", refund, {"status": refund.status}, {"news": news.value})
        if refund.look_up_at is not None:
            desk.change_refund(refund, look_up_at=None)  # a second payment must not go back again
        return None
    if status == refund.status:
        if status in OPEN:
            desk.change_refund(refund, look_up_at=_next_look_up(desk, refund, item, look_ups))
        return None
    _move(desk, refund, status, item, look_ups)
    return None


def _account_of(desk: Desk, refund: Refund) -> str:
    return desk.attempts[refund.merchant_id, refund.attempt_id].provider_account_id


def _move(
    desk: Desk, refund: Refund, status: RefundStatus, item: RefundHeard, look_ups: LookUps
) -> None:
    before = refund.status
    changes: dict[str, Any] = {"status": status.value, "look_ups": 0}
    reference: str | None = getattr(item.outcome, "reference", None)
    if reference:
        changes["reference"] = reference
    if isinstance(item.outcome, port.RefundFailed):
        changes["failure_reason"] = item.outcome.code
    changes["look_up_at"] = _next_look_up(desk, refund, item, look_ups) if status in OPEN else None
    refund = desk.change_refund(refund, **changes)
    attempt = desk.attempts[refund.merchant_id, refund.attempt_id]
    if status == RefundStatus.SUCCEEDED:
        _book_made(desk, refund, attempt)
    if status == RefundStatus.FAILED:
        if refund.surplus:
            refund = desk.change_refund(refund, look_up_at=surplus.failed(desk, refund))
        _give_again(desk, refund, attempt, was_made=before == RefundStatus.SUCCEEDED)
        desk.say_refund("refund.failed", refund, item.trace)
        refund = desk.change_refund(refund)  # each event has a number of its own
    desk.say_refund("refund.updated", refund, item.trace)


def _book_made(desk: Desk, refund: Refund, attempt: Attempt) -> None:
    payment = desk.payment_of(refund)

    def decide(books: Books) -> Journal:
        chart = booking.Chart(books, attempt, payment)
        lines = [(chart.refunds, chart.receivable, refund.amount)]
        return booking.journal(refund, "refund_made", lines)

    desk.book(attempt, payment, f"refund_made:{refund.id}", decide)


def _give_again(desk: Desk, refund: Refund, attempt: Attempt, *, was_made: bool) -> None:
    payment = desk.payment_of(refund)

    def decide(books: Books) -> Journal:
        chart = booking.Chart(books, attempt, payment)
        lines = [(credit, debit, amount) for debit, credit, amount in refund.take_back]
        if was_made:
            lines.insert(0, (chart.receivable, chart.refunds, refund.amount))
        return booking.journal(refund, "refund_failed", lines)

    desk.book(attempt, payment, f"refund_failed:{refund.id}", decide)
    desk.change_attempt(attempt, amount_refunded=attempt.amount_refunded - refund.amount)
    if not refund.surplus:
        desk.change_payment(payment, amount_refunded=payment.amount_refunded - refund.amount)


def _next_look_up(desk: Desk, refund: Refund, item: RefundHeard, look_ups: LookUps) -> datetime:
    moment = machine.next_look_up(
        desk.at,
        refund.look_ups,
        first_seconds=look_ups.first_seconds,
        most_seconds=look_ups.most_seconds,
        deadline=None,
    )
    pause = getattr(item.outcome, "retry_after_seconds", None)
    return moment if pause is None else max(moment, desk.at + timedelta(seconds=pause))


# What a merchant may change --------------------------------------------------------------------


async def annotate(
    tx: Tx,
    merchant_id: int,
    refund_id: str,
    change: MetadataKeys | UnsetType | None,
    trace: Trace,
    *,
    at: datetime,
) -> RefundView:
    """Change a refund's metadata key by key; nothing else of it is the merchant's to change."""
    key = (merchant_id, refund_id)
    desk = Desk(at)
    desk.take_in(payments=await store.refunds.lock_payments(tx, [key]))
    desk.take_in(refunds=await store.refunds.select(tx, [key]))
    refund = desk.refunds.get(key)
    if refund is None:
        raise RefundNotFound(refund_id)
    refund = desk.change_refund(refund, metadata=metadata.merge(refund.metadata, change))
    desk.say_refund("refund.updated", refund, trace)
    await desk.close(tx)
    return RefundView(refund, desk.payment_of(refund))
