"""Hearing of attempts: the one door by which news moves an attempt, its payment and the money.

The same door for an answer, a notice and a look-up, in any order and any number of times.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from tillgate.connectors import port
from tillgate.kernel.errors import Refusal
from tillgate.ledger.commands import Memory
from tillgate.ledger.machine import Books
from tillgate.ledger.model import Journal
from tillgate.payments import booking, hosted, machine, store, surplus
from tillgate.payments.commands import LookUps, lay_open_attempts
from tillgate.payments.desk import Desk
from tillgate.payments.errors import ChargeNotFound
from tillgate.payments.machine import News, PaymentStatus, Status
from tillgate.payments.model import Attempt, Charge, Heard, Payment, Trace
from tillgate.runtime import logs, notices
from tillgate.runtime.db import Tx
from tillgate.runtime.lane import Lane

#: Providers keep whole seconds, and clocks differ.
_EARLY = timedelta(minutes=1)
_log = logging.getLogger("tillgate.payments")


async def record_outcomes(
    tx: Tx,
    items: Sequence[Heard],
    *,
    at: datetime,
    look_ups: LookUps,
    memory: Memory | None = None,
) -> list[Charge | Refusal]:
    """Move attempts by what was heard of them; book the money the first time we hear of it."""
    keys = sorted({(item.merchant_id, item.attempt_id) for item in items})
    desk = Desk(at, memory)
    desk.take_in(payments=await store.attempts.lock_payments(tx, keys))
    desk.take_in(attempts=await store.attempts.select(tx, keys))
    await lay_open_attempts(tx, desk)
    results = [_hear(desk, item, look_ups) for item in items]
    await desk.close(tx)
    heard = [
        item.notice
        for item, result in zip(items, results, strict=True)
        if item.notice and isinstance(result, Charge)
    ]
    # Last of all: whoever stores one of them raw waits from here on for the end of this transaction.
    notices.insert_applied(tx, heard, at=at)
    # A later item of the batch may have moved the same payment on.
    return [
        Charge(
            desk.attempts[result.attempt.merchant_id, result.attempt.id],
            desk.payment_of(result.attempt),
        )
        if isinstance(result, Charge)
        else result
        for result in results
    ]


async def record(lane: Lane[Heard, Charge], item: Heard) -> Charge:
    """Record one outcome in its lane. A payment that the provider has told of another attempt
    already is a mismatch: it is known by the index alone, since it is next to never."""
    try:
        return await lane.submit(item)
    except asyncpg.UniqueViolationError as error:
        if getattr(error, "constraint_name", None) != "attempts_reference":
            raise
    return await lane.submit(msgspec.structs.replace(item, reference_is_taken=True))


def _hear(desk: Desk, item: Heard, look_ups: LookUps) -> Charge | Refusal:
    attempt = desk.attempts.get((item.merchant_id, item.attempt_id))
    if attempt is None or item.heard_by not in {None, attempt.provider_account_id}:
        return ChargeNotFound(item.attempt_id)
    payment = desk.payment_of(attempt)
    if _is_of_another_order(desk, attempt, item):
        return Charge(attempt, payment)
    news = _checked(desk, attempt, item)
    try:
        status = machine.after(attempt.status, news)
    except machine.Contradiction:
        desk.open_break("contradiction", attempt, {"status": attempt.status}, {"news": news.value})
        return Charge(attempt, payment)
    if _is_taken_back(attempt, item):
        return _take_back(desk, attempt, payment, item.outcome, look_ups)
    if status == attempt.status:
        attempt = _listen_on(desk, attempt, item.outcome, look_ups)
        return Charge(attempt, _end_unseen(desk, attempt, payment, item))
    if attempt.status == Status.DECLINED and status == Status.PAID:
        desk.open_break("contradiction", attempt, {"status": "declined"}, {"news": "paid"})
    attempt = _moved(desk, attempt, status, item.outcome, look_ups)
    return Charge(attempt, _carry(desk, attempt, payment, item))


def _is_of_another_order(desk: Desk, attempt: Attempt, item: Heard) -> bool:
    """Tell whether the news is of an order that bears the attempt's id and is not the attempt's."""
    claimants = getattr(item.outcome, "claimants", ())
    if claimants:
        ours: dict[str, object] = {"reference": attempt.reference}
        desk.open_break("ambiguous", attempt, ours, {"references": list(claimants)})
    told_of = item.told_of
    if isinstance(item.outcome, port.Paid) and attempt.status == Status.PAID:
        told_of = told_of or item.outcome.reference
    if told_of is None or attempt.reference in {None, told_of}:
        return False
    news = machine.news_of(item.outcome).value
    desk.open_break(
        "reference", attempt, {"reference": attempt.reference}, {"reference": told_of, "news": news}
    )
    return True


def _checked(desk: Desk, attempt: Attempt, item: Heard) -> News:
    """Return the news, unless the provider speaks of another amount, currency, account or payment."""
    outcome: Any = item.outcome
    news = machine.news_of(outcome)
    reserved = isinstance(outcome, port.Waiting) and outcome.on == "capture"
    if not (isinstance(outcome, port.Paid) or reserved) or outcome.amount is None:
        return news
    captured = attempt.amount_to_capture if isinstance(outcome, port.Paid) else None
    ours: dict[str, object] = {
        "amount": attempt.amount if captured is None else captured,
        "currency": attempt.currency,
        "account": item.account,
        "reference": None if item.reference_is_taken else outcome.reference,
    }
    theirs: dict[str, object] = {
        "amount": outcome.amount.minor,
        "currency": outcome.amount.currency.code,
        "account": outcome.account,
        "reference": outcome.reference,
    }
    for kind in ("amount", "currency", "account", "reference"):
        if kind == "account" and outcome.account is None:
            continue
        if ours[kind] != theirs[kind]:
            # Of what was returned a person has seen to it: this is only told again.
            is_settled = attempt.status == Status.RETURNED
            if not is_settled and (attempt.status != Status.PAID or kind != "amount"):
                desk.open_break(kind, attempt, ours, theirs)
            return News.MISMATCHED if attempt.status != Status.PAID else News.PAID
    return news


def _is_taken_back(attempt: Attempt, item: Heard) -> bool:
    """Whether a capture is no more: the provider has refused it, or was certainly not asked."""
    if attempt.status != Status.AUTHORISED or attempt.amount_to_capture is None:
        return False
    if isinstance(item.outcome, port.CaptureRefused):
        return attempt.amount_to_capture == item.capture
    return isinstance(item.outcome, port.NotSent) and attempt.sequence == item.sequence


def _take_back(
    desk: Desk, attempt: Attempt, payment: Payment, outcome: Any, look_ups: LookUps
) -> Charge:
    """The money stays reserved: it can be captured anew, or let go.

    Why, the attempt keeps until the next capture, for whoever repeats this one: the payment's last
    error is gone as soon as anything else of it is changed.
    """
    error = _capture_error(outcome)
    attempt = desk.change_attempt(
        attempt,
        amount_to_capture=None,
        error=error,
        look_up_at=_next_look_up(desk, attempt, outcome, look_ups),
    )
    is_the_payments = payment.open_attempt == attempt.id  # and not of one that was paid otherwise
    return Charge(
        attempt, desk.change_payment(payment, **({"last_error": error} if is_the_payments else {}))
    )


def _listen_on(desk: Desk, attempt: Attempt, outcome: Any, look_ups: LookUps) -> Attempt:
    """Nothing moved; remember what is new, and when to ask again."""
    shown = getattr(outcome, "instrument", None)
    if shown and not attempt.instrument:
        # A notice was faster than our answer, and said less.
        attempt = desk.change_attempt(attempt, instrument=dict(shown))
    if attempt.status not in machine.OPEN:
        return attempt
    changes: dict[str, Any] = {"look_up_at": _next_look_up(desk, attempt, outcome, look_ups)}
    if isinstance(outcome, port.Waiting):
        if outcome.step is not None:
            changes["next_step"] = show_step(outcome.step)
        if outcome.reference:
            changes["reference"] = outcome.reference
    return desk.change_attempt(attempt, **changes)


def _moved(
    desk: Desk, attempt: Attempt, status: Status, outcome: Any, look_ups: LookUps
) -> Attempt:
    logs.say(
        _log,
        "heard of an attempt",
        {
            "merchant": attempt.merchant_id,
            "payment.id": attempt.payment_id,
            "attempt.id": attempt.id,
            "provider": attempt.provider,
            "event.outcome": status.value,
        },
    )
    changes: dict[str, Any] = {"status": status.value, "look_ups": 0}
    if getattr(outcome, "reference", None):
        changes["reference"] = outcome.reference
    if getattr(outcome, "instrument", None):
        changes["instrument"] = dict(outcome.instrument)
    match outcome:
        case port.Paid() if status == Status.PAID:
            changes.update(
                amount_captured=outcome.amount.minor, paid_at=outcome.at or desk.at, error=None
            )
        case port.Waiting():
            changes["next_step"] = None if outcome.step is None else show_step(outcome.step)
            if outcome.on == "capture":
                changes["amount_authorised"] = (
                    outcome.amount.minor if outcome.amount else attempt.amount
                )
        case port.Declined():
            changes["error"] = {
                "type": "card_error" if attempt.presentation == "card" else "invalid_request_error",
                "code": outcome.code,
                "decline_code": outcome.decline_code,
                "message": outcome.message,
                "provider_code": outcome.provider_code,
            }
        case port.NotSent():
            changes["error"] = _UNREACHED
        case port.Closed() | port.NotFound() if not attempt.closing or attempt.error is None:
            changes["error"] = _why_closed(attempt, desk.at)
        case _:
            pass
    opened = msgspec.structs.replace(attempt, status=status.value, look_ups=0)
    changes["look_up_at"] = (
        _next_look_up(desk, opened, outcome, look_ups) if status in machine.OPEN else None
    )
    return desk.change_attempt(attempt, **changes)


def _next_look_up(desk: Desk, attempt: Attempt, outcome: Any, look_ups: LookUps) -> datetime:
    moment = machine.next_look_up(
        desk.at,
        attempt.look_ups,
        first_seconds=look_ups.first_seconds,
        most_seconds=look_ups.most_seconds,
        deadline=attempt.expires_at,
    )
    pause = getattr(outcome, "retry_after_seconds", None)
    return moment if pause is None else max(moment, desk.at + timedelta(seconds=pause))


def _end_unseen(desk: Desk, attempt: Attempt, payment: Payment, item: Heard) -> Payment:
    """A canceled order that the provider has not met yet cannot be closed there before it expires.

    The payment ends now; the attempt stays open, so that a customer who pays all the same is found.
    """
    unseen = machine.news_of(item.outcome) == News.ABSENT and attempt.closing
    if not unseen or attempt.status != Status.WAITING:
        return payment
    if payment.cancellation_reason is None or payment.open_attempt != attempt.id:
        return payment
    if payment.status == PaymentStatus.CANCELED:
        return payment
    desk.change_attempt(attempt, look_up_at=attempt.expires_at)
    payment = desk.change_payment(
        payment, status=PaymentStatus.CANCELED.value, canceled_at=desk.at, next_action=None
    )
    desk.say_payment("payment.canceled", payment, item.trace)
    return payment


# What an attempt's move means for its payment ------------------------------------------------


def _carry(desk: Desk, attempt: Attempt, payment: Payment, item: Heard) -> Payment:
    match attempt.status:
        case Status.PAID:
            return _carry_paid(desk, attempt, payment, item.trace)
        case Status.DECLINED | Status.NOT_SENT | Status.CLOSED:
            return _carry_ended(desk, attempt, payment, item.trace)
        case Status.MISMATCHED:
            return _carry_mismatched(desk, attempt, payment, item.trace)
        case _ if payment.open_attempt != attempt.id:
            return payment
        case Status.AUTHORISED:
            payment = desk.change_payment(
                payment,
                status=PaymentStatus.REQUIRES_CAPTURE.value,
                amount_capturable=attempt.amount_authorised,
                next_action=None,
                last_error=None,
            )
            desk.say_payment("payment.amount_capturable_updated", payment, item.trace)
            desk.say_charge("attempt.authorised", attempt, payment, item.trace)
            return payment
        case _:
            return _carry_open(desk, attempt, payment, item)


def _carry_open(desk: Desk, attempt: Attempt, payment: Payment, item: Heard) -> Payment:
    on = item.outcome.on if isinstance(item.outcome, port.Waiting) else "provider"
    status = machine.payment_status(attempt.status, on=on, canceling=False)
    action = None
    if status == PaymentStatus.REQUIRES_ACTION:
        action = _with_page(attempt.next_step, payment, item.pages_url)
    payment = desk.change_payment(payment, status=status.value, next_action=action)
    name = "requires_action" if status == PaymentStatus.REQUIRES_ACTION else "processing"
    desk.say_payment(f"payment.{name}", payment, item.trace)
    return payment


def _carry_mismatched(desk: Desk, attempt: Attempt, payment: Payment, trace: Trace) -> Payment:
    """Hold the payment back; of an order that had ended only tell, for the payment went on."""
    is_open = payment.open_attempt == attempt.id
    held: dict[str, Any] = {"status": PaymentStatus.PROCESSING.value, "next_action": None}
    payment = desk.change_payment(payment, **(held if is_open else {}))
    desk.say_payment("payment.mismatched", payment, trace)
    return payment


def _carry_ended(desk: Desk, attempt: Attempt, payment: Payment, trace: Trace) -> Payment:
    if payment.open_attempt != attempt.id:
        return payment
    if payment.status == PaymentStatus.CANCELED:
        return desk.change_payment(payment, open_attempt=None)
    canceling = payment.cancellation_reason is not None
    status = machine.payment_status(attempt.status, on="customer", canceling=canceling)
    changes: dict[str, Any] = {
        "status": status.value,
        "open_attempt": None,
        "next_action": None,
        "amount_capturable": 0,
    }
    if canceling:
        changes["canceled_at"] = desk.at
    else:
        changes["last_error"] = attempt.error
    payment = desk.change_payment(payment, **changes)
    if canceling:
        desk.say_payment("payment.canceled", payment, trace)
        return payment
    is_released = machine.is_released(attempt.status, attempt.amount_authorised)
    name = "attempt.released" if is_released else "attempt.failed"
    desk.say_charge(name, attempt, payment, trace)
    desk.say_payment("payment.attempt_failed", payment, trace)
    return payment


def _carry_paid(desk: Desk, attempt: Attempt, payment: Payment, trace: Trace) -> Payment:
    """The payment has succeeded, unless the money is a surplus.

    A payment's amount may be changed between two attempts, as everywhere in Stripe's dialect (a
    basket changes after a decline). So an old order that is paid late may be of another amount: it
    pays for what nobody wants any more, and a newer order that is open must stay payable.
    """
    if payment.status == PaymentStatus.SUCCEEDED or attempt.amount != payment.amount:
        surplus.take_in(desk, attempt, payment, trace)
        return payment
    other = payment.open_attempt
    captured = attempt.amount_to_capture is not None
    payment = desk.change_payment(
        payment,
        status=PaymentStatus.SUCCEEDED.value,
        amount_received=attempt.amount_captured,
        amount_capturable=0,
        latest_attempt=attempt.id,
        open_attempt=None,
        next_action=None,
        last_error=None,
        canceled_at=None,
        cancellation_reason=None,
    )
    if other is not None and other != attempt.id:
        # Money came late while another order could still be paid: close that one now.
        rival = desk.attempts[attempt.merchant_id, other]
        desk.change_attempt(rival, closing=True, look_up_at=desk.at, look_ups=0)
    paid = payment

    def settle(books: Books) -> Journal:
        return booking.settlement(paid, attempt, booking.Chart(books, attempt, paid))

    desk.book(attempt, payment, f"payment:{attempt.id}", settle)
    desk.say_charge(
        "attempt.captured" if captured else "attempt.succeeded", attempt, payment, trace
    )
    desk.say_payment("payment.succeeded", payment, trace)
    return payment


def why_not_captured(outcome: Any, heard: Charge) -> dict[str, Any] | None:
    """Return what to say of a capture that came to nothing."""
    if heard.attempt.status == Status.DECLINED:
        return heard.attempt.error or {}
    unsent = isinstance(outcome, port.NotSent) and heard.attempt.amount_to_capture is None
    if heard.attempt.status == Status.AUTHORISED and (
        unsent or isinstance(outcome, port.CaptureRefused)
    ):
        return _capture_error(outcome)
    return None


def _capture_error(outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, port.NotSent):
        return _UNREACHED
    return {
        **_failure(outcome.code, outcome.message),
        "type": "card_error" if outcome.decline_code else "invalid_request_error",
        "decline_code": outcome.decline_code,
        "provider_code": outcome.code,
    }


# Pieces -------------------------------------------------------------------------------------


def show_step(step: port.NextStep) -> dict[str, Any]:
    """Return the next step as plain JSON: `type` and its fields."""
    match step:
        case port.ShowQr():
            return {"type": "show_qr", "content": step.content, "expires_at": _iso(step.expires_at)}
        case port.Redirect():
            return {"type": "redirect", "url": step.url, "expires_at": _iso(step.expires_at)}
        case port.OpenApp():
            return {
                "type": "open_app",
                "parameters": dict(step.parameters),
                "order_string": step.order_string,
            }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _with_page(
    step: dict[str, Any] | None, payment: Payment, pages_url: str | None
) -> dict[str, Any] | None:
    """A code can be shown by whoever holds it, or by our own page of the payment."""
    if step is None or step["type"] != "show_qr" or pages_url is None:
        return step
    return {**step, "hosted_url": hosted.page_url(pages_url, payment)}


def _why_closed(attempt: Attempt, at: datetime) -> dict[str, Any]:
    """An order that ended well before its time was closed by somebody; the others ran out."""
    if attempt.expires_at is not None and at < attempt.expires_at - _EARLY:
        return _failure(
            "payment_intent_payment_attempt_failed",
            "The order was closed before the customer had paid.",
        )
    return _failure(
        "payment_intent_payment_attempt_expired",
        "The customer did not pay before the order was closed.",
    )


def _failure(code: str, message: str) -> dict[str, Any]:
    return {
        "type": "invalid_request_error",
        "code": code,
        "decline_code": None,
        "message": message,
        "provider_code": None,
    }


_UNREACHED = _failure("payment_method_provider_timeout", "The provider could not be reached.")
