"""Refunds that we did not order: somebody made them at the provider itself.

Nothing is booked by them: whose value is to be taken back for them, a person decides. That one is
told by a break, once for each refund.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tillgate.connectors import port
from tillgate.payments import break_store, store
from tillgate.payments.desk import Desk
from tillgate.payments.errors import ChargeNotFound, NotPaid
from tillgate.payments.machine import Status
from tillgate.payments.model import Attempt
from tillgate.runtime import notices
from tillgate.runtime.db import Tx
from tillgate.runtime.notices import RawNotice

#: Our processes' clocks differ by less.
_CLOCKS = timedelta(minutes=1)
_MADE, _FAILED = "foreign_refund", "foreign_refund_failed"
#: Of these a person has the break, which says to give the money back at the provider.
_WITH_A_PERSON = frozenset({Status.MISMATCHED, Status.RETURNED})


async def record(tx: Tx, raw: RawNotice, notice: port.ForeignRefund, *, at: datetime) -> None:
    """Open the break of a refund told, and store the notice as applied.

    Raise where the payment has not been heard of yet: the notice is to be taken up again.
    """
    note = f"a refund that was not ordered here: {notice.number}"
    attempt_id = notice.attempt_id or await _named_by_order(tx, raw, notice)
    if attempt_id is None:
        notices.insert_applied(tx, [raw], at=at, note=f"{note}, of an order that is not ours")
        return
    desk = Desk(at)
    key = (raw.merchant_id, attempt_id)
    payments = await store.attempts.lock_payments(tx, [key])
    desk.take_in(payments=payments, attempts=await store.attempts.select(tx, [key]))
    attempt = desk.attempts.get(key)
    if attempt is None or attempt.provider_account_id != raw.provider_account_id:
        raise ChargeNotFound(attempt_id)
    if attempt.status not in {Status.PAID, *_WITH_A_PERSON}:
        raise NotPaid(attempt.payment_id)
    given_back = [(payment.merchant_id, payment.id) for payment in payments]
    desk.take_in(refunds=await store.select_refunds_of_payments(tx, given_back))
    told = await break_store.select_kinds(tx, raw.merchant_id, attempt_id, notice.number)
    kind = _kind(desk, attempt, notice, told)
    if kind is not None:
        ours: dict[str, object] = {
            "refunded": attempt.amount_refunded,
            "currency": attempt.currency,
        }
        desk.open_break(kind, attempt, ours, _theirs(notice), refund=notice.number)
    await desk.close(tx)
    notices.insert_applied(tx, [raw], at=at, note=note)


async def _named_by_order(tx: Tx, raw: RawNotice, notice: port.ForeignRefund) -> str | None:
    """Return the attempt that was paid by the provider's order; None where the order is not ours."""
    order = notice.order_reference or ""
    found = await store.find_paid(tx, raw.merchant_id, raw.provider_account_id, order)
    # What was opened after the notice is not what it tells of.
    by = raw.received_at + _CLOCKS
    if found is None and await store.may_be_paid(
        tx, raw.merchant_id, raw.provider_account_id, order, by=by
    ):
        raise ChargeNotFound(order)
    return found


def _kind(
    desk: Desk, attempt: Attempt, notice: port.ForeignRefund, told: frozenset[str]
) -> str | None:
    """Return what a person is to hear of, where there is something new."""
    if attempt.status in _WITH_A_PERSON or _is_ours(desk, notice):
        return None
    match notice.outcome:
        case port.Refunded(_, amount) if _is_release(attempt, amount.minor):
            return None
        case port.Refunded() | port.Unknown() if _MADE not in told:
            return _MADE
        case port.RefundFailed() if _MADE in told and _FAILED not in told:
            return _FAILED
        case _:
            return None


def _is_ours(desk: Desk, notice: port.ForeignRefund) -> bool:
    """Whether it is a refund of ours from which somebody has taken our mark."""
    return any(notice.number in {refund.id, refund.reference} for refund in desk.refunds.values())


def _is_release(attempt: Attempt, amount: int) -> bool:
    """Whether it is what was reserved and not captured: older versions of Stripe's events tell its
    release as a refund."""
    return amount == attempt.amount_authorised - attempt.amount_captured


def _theirs(notice: port.ForeignRefund) -> dict[str, object]:
    match notice.outcome:
        case port.Refunded(_, amount):
            name = "total" if notice.is_total else "amount"
            return {"refund": notice.number, name: amount.minor, "currency": amount.currency.code}
        case port.RefundFailed(code, _):
            return {"refund": notice.number, "failure_reason": code}
        case other:
            return {"refund": notice.number, "said": getattr(other, "reason", None)}
