"""The one door of payments and attempts, a batch at a time, inside the caller's transaction.

Every change locks the payment's row, asks the machine, books, publishes, and is written with the
rest of its batch. Nothing here awaits a provider.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tillgate.kernel import ids, metadata
from tillgate.kernel.errors import Refusal
from tillgate.ledger import commands as ledger
from tillgate.payments import machine, store
from tillgate.payments.desk import Desk
from tillgate.payments.errors import (
    AmountNotPositive,
    CaptureTooLarge,
    NotNow,
    PaidIntoWallet,
    PaymentChanged,
    PaymentNotFound,
    UnexpectedState,
)
from tillgate.payments.machine import PaymentStatus, Status
from tillgate.payments.model import (
    Attempt,
    Charge,
    Confirmation,
    NewPayment,
    Payment,
    Trace,
)
from tillgate.runtime.db import Tx
from tillgate.wallets import commands as wallets
from tillgate.wallets import queries as wallet_queries
from tillgate.wallets.errors import WalletClosed
from tillgate.wallets.model import Wallet

#: What the books of a wallet, and the bonus given with it, depend on.
_BOOKED_AS = frozenset({"amount", "currency"})
#: What of a payment decides how it is confirmed and through which account. Not its amount: any account
#: takes any, and what is asked for is what stands in the locked row.
_CHOSEN_BY = (
    "currency", "method_types", "capture_method", "customer_id", "payment_method", "method_options",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """Through which provider account an attempt goes, and how long its order lives."""

    provider_account_id: str
    provider: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class LookUps:
    """How often the provider is asked about what is open."""

    first_seconds: float
    most_seconds: float
    #: While a call may still be under way, nobody else looks.
    calling_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Opening:
    """A payment to open, and to attempt at once where there is a route."""

    order: NewPayment
    route: Route | None
    trace: Trace


@dataclass(frozen=True, slots=True)
class Confirming:
    """A payment to attempt now, as it stands with these changes."""

    #: As it was when its route and confirmation were chosen.
    payment: Payment
    confirmation: Confirmation
    route: Route
    trace: Trace
    changes: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Capturing:
    """Reserved money to take. `amount=None`: all of it."""

    merchant_id: int
    payment_id: str
    amount: int | None
    trace: Trace
    #: What it changes of the payment's words, as in `change`.
    words: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture to ask the provider for."""

    attempt: Attempt
    #: Whether no other may be under way.
    is_first: bool


@dataclass(frozen=True, slots=True)
class Canceling:
    """A payment to end without money."""

    merchant_id: int
    payment_id: str
    reason: str | None
    trace: Trace


# Opening -------------------------------------------------------------------------------------


async def open_payments(
    tx: Tx, openings: Sequence[Opening], *, at: datetime, look_ups: LookUps
) -> list[Payment | Charge]:
    """Write new payments, each with its first attempt where it is to be charged at once."""
    desk = Desk(at)
    results = [_open(desk, opening, look_ups) for opening in openings]
    await desk.close(tx)
    return results


async def open_attempts(
    tx: Tx, items: Sequence[Confirming], *, at: datetime, look_ups: LookUps
) -> list[Charge | Refusal]:
    """Open an attempt of each payment, if it may have one now."""
    keys = [(item.payment.merchant_id, item.payment.id) for item in items]
    desk = await desk_of_payments(tx, keys, at)
    refused = await _not_taken_in(tx, desk)
    results = [
        refused.get(key) or _confirm(desk, item, look_ups)
        for key, item in zip(keys, items, strict=True)
    ]
    await desk.close(tx)
    return results


async def require_room(tx: Tx, wanted: Sequence[tuple[Wallet, int]]) -> list[Refusal | None]:
    """Refuse what its wallet's balance limit has no room for, with all that is still to come.

    Nobody who is refused here has been asked for money. Whoever asks for the same room waits for
    this transaction, and then sees what it has opened. Locks the books.
    """
    limited = [wallet for wallet, _ in wanted if wallet.limits.balance is not None]
    if not limited:
        return [None] * len(wanted)
    await ledger.lock(tx, {wallet.merchant_id for wallet in limited})
    accounts = {(wallet.merchant_id, wallet.principal_account) for wallet in limited}
    coming = await store.select_coming(tx, accounts)
    return list(await wallets.require_room(tx, wanted, coming))


async def begin_captures(
    tx: Tx, items: Sequence[Capturing], *, at: datetime, look_ups: LookUps
) -> list[Capture | Refusal]:
    """Note what is to be captured, before the provider is asked to, and the words that go with it.

    Words that do not fit are raised: nobody may be charged for what is then refused.
    """
    desk = await desk_of_payments(tx, [(i.merchant_id, i.payment_id) for i in items], at)
    await lay_open_attempts(tx, desk)
    results = [_begin_capture(desk, item, look_ups) for item in items]
    await desk.close(tx)
    return results


async def begin_cancels(
    tx: Tx, items: Sequence[Canceling], *, at: datetime, look_ups: LookUps
) -> list[Payment | Charge | Refusal]:
    """End payments that have no open attempt; mark the others for closing upstream first."""
    desk = await desk_of_payments(tx, [(i.merchant_id, i.payment_id) for i in items], at)
    await lay_open_attempts(tx, desk)
    results = [_begin_cancel(desk, item, look_ups) for item in items]
    await desk.close(tx)
    return results


async def change(
    tx: Tx, merchant_id: int, payment_id: str, changes: dict[str, Any], *, at: datetime
) -> Payment | Refusal:
    """Change what a merchant may change of a payment while it is not under way.

    `metadata` and `method_options` are changes of keys, merged with what stands there now.
    The amount may be changed between two attempts: an order of the former amount that is paid all
    the same is a surplus. The currency may not, once there has been an attempt.
    """
    desk = await desk_of_payments(tx, [(merchant_id, payment_id)], at)
    payment = desk.payments.get((merchant_id, payment_id))
    if payment is None:
        return PaymentNotFound(payment_id)
    changed = _change(desk, payment, changes)
    await desk.close(tx)
    return changed


def _change(desk: Desk, payment: Payment, changes: dict[str, Any]) -> Payment | Refusal:
    frozen = {"amount", "currency", "payment_method", "capture_method", "method_types"}
    if payment.status not in machine.CONFIRMABLE and frozen & set(changes):
        return UnexpectedState("update", payment.status, payment)
    if payment.attempts and changes.get("currency", payment.currency) != payment.currency:
        # An earlier order may still be paid, in the currency it was made in.
        return NotNow("change the currency of", "because it has been attempted", payment)
    fixed = sorted(_BOOKED_AS & set(changes)) if payment.pay_into is not None else []
    if fixed:
        return PaidIntoWallet(fixed[0])
    if changes.get("payment_method") and payment.status in machine.CONFIRMABLE:
        changes = {**changes, "status": PaymentStatus.REQUIRES_CONFIRMATION.value}
    changes = {"last_error": None, **changes, **_merged(payment, changes)}
    return desk.change_payment(payment, **changes)


def _merged(payment: Payment, changes: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    if "metadata" in changes:
        merged["metadata"] = metadata.merge(payment.metadata, changes["metadata"])
    if "method_options" in changes:
        merged["method_options"] = {**payment.method_options, **changes["method_options"]}
    return merged


def _open(desk: Desk, opening: Opening, look_ups: LookUps) -> Payment | Charge:
    order = opening.order
    fields = {
        name: getattr(order, name) for name in order.__struct_fields__ if name != "confirmation"
    }
    payment = Payment(
        **fields,
        status=(
            PaymentStatus.REQUIRES_CONFIRMATION
            if order.payment_method
            else PaymentStatus.REQUIRES_PAYMENT_METHOD
        ).value,
        client_secret=f"{order.id}_secret_{secrets.token_hex(12)}",
        created_at=desk.at,
    )
    desk.add_payment(payment)
    desk.say_payment("payment.created", payment, opening.trace)
    if order.confirmation is None or opening.route is None:
        return payment
    return _attempt(desk, payment, order.confirmation, opening.route, look_ups)


async def _not_taken_in(tx: Tx, desk: Desk) -> dict[tuple[int, str], Refusal]:
    """Return the payments whose wallets take no more: closed since, or, of those that failed once and
    were not counted as coming any more, filled up since."""
    asked = await _to_be_paid_into(tx, desk)
    refused: dict[tuple[int, str], Refusal] = {
        (payment.merchant_id, payment.id): WalletClosed(wallet.id, param="intent")
        for payment, wallet in asked
        if wallet.is_closed
    }
    failed = [one for one in asked if one[0].attempts and not one[1].is_closed]
    full = await require_room(
        tx,
        [(wallet, one.amount + sum(gift.amount for gift in one.gifts)) for one, wallet in failed],
    )
    for (payment, _), refusal in zip(failed, full, strict=True):
        if refusal is not None:
            refusal.param = "intent"  # its amount is the one at fault; this request names none
            refused[payment.merchant_id, payment.id] = refusal
    return refused


async def _to_be_paid_into(tx: Tx, desk: Desk) -> list[tuple[Payment, Wallet]]:
    """Return the payments on the desk that may be confirmed and go into a wallet, with it."""
    found = [
        ((payment.merchant_id, payment.pay_into), payment)
        for payment in desk.payments.values()
        if payment.pay_into is not None
        and payment.open_attempt is None
        and payment.status in machine.CONFIRMABLE
    ]
    if not found:
        return []
    behind = await wallet_queries.wallets_behind(tx, {account for account, _ in found})
    return [(payment, behind[account]) for account, payment in found if account in behind]


def _confirm(desk: Desk, item: Confirming, look_ups: LookUps) -> Charge | Refusal:
    payment = desk.payments.get((item.payment.merchant_id, item.payment.id))
    if payment is None:
        return PaymentNotFound(item.payment.id)
    if payment.status not in machine.CONFIRMABLE or payment.open_attempt is not None:
        return UnexpectedState("confirm", payment.status, payment)
    if payment.expires_at is not None and payment.expires_at <= desk.at:
        return NotNow("confirm", "because it has expired", payment)
    if any(getattr(payment, name) != getattr(item.payment, name) for name in _CHOSEN_BY):
        return PaymentChanged()
    if item.changes:
        changed = _change(desk, payment, item.changes)
        if isinstance(changed, Refusal):
            return changed
        payment = changed
    return _attempt(desk, payment, item.confirmation, item.route, look_ups)


def _attempt(
    desk: Desk, payment: Payment, confirmation: Confirmation, route: Route, look_ups: LookUps
) -> Charge:
    attempt = Attempt(
        merchant_id=payment.merchant_id,
        id=ids.new_id("att"),
        payment_id=payment.id,
        provider_account_id=route.provider_account_id,
        provider=route.provider,
        presentation=confirmation.presentation,
        payment_method=confirmation.payment_method,
        amount=payment.amount,
        currency=payment.currency,
        status=Status.CREATED.value,
        capture=payment.capture_method != "manual",
        off_session=confirmation.off_session,
        return_url=confirmation.return_url or payment.return_url,
        description=payment.description,
        client_ip=confirmation.client_ip,
        openid=confirmation.openid,
        expires_at=_earlier(route.expires_at, payment.expires_at),
        look_up_at=desk.at + timedelta(seconds=look_ups.calling_seconds),
        created_at=desk.at,
    )
    desk.add_attempt(attempt)
    payment = desk.change_payment(
        payment,
        status=PaymentStatus.PROCESSING.value,
        payment_method=payment.payment_method or confirmation.payment_method or confirmation.method,
        latest_attempt=attempt.id,
        open_attempt=attempt.id,
        attempts=payment.attempts + 1,
        next_action=None,
        last_error=None,
        return_url=confirmation.return_url or payment.return_url,
    )
    return Charge(attempt, payment)


def _begin_capture(desk: Desk, item: Capturing, look_ups: LookUps) -> Capture | Refusal:
    payment = desk.payments.get((item.merchant_id, item.payment_id))
    if payment is None:
        return PaymentNotFound(item.payment_id)
    if payment.status != PaymentStatus.REQUIRES_CAPTURE or payment.open_attempt is None:
        return UnexpectedState("capture", payment.status, payment)
    amount = payment.amount_capturable if item.amount is None else item.amount
    if amount <= 0:
        return AmountNotPositive("amount_to_capture")
    if amount > payment.amount_capturable:
        return CaptureTooLarge(amount, payment.amount_capturable)
    attempt = desk.attempts[payment.merchant_id, payment.open_attempt]
    if attempt.closing:
        return NotNow("capture", "while it is being canceled", payment)
    if attempt.amount_to_capture not in (None, amount):
        return NotNow("capture", "while another amount of it is being captured", payment)
    is_first = attempt.amount_to_capture is None
    changes: dict[str, Any] = {**item.words, **_merged(payment, item.words)}
    if payment.last_error is not None:
        changes["last_error"] = None
    if changes:
        desk.change_payment(payment, **changes)
    attempt = desk.change_attempt(
        attempt,
        amount_to_capture=amount,
        error=None,
        look_up_at=desk.at + timedelta(seconds=look_ups.calling_seconds),
        look_ups=0,
    )
    return Capture(attempt, is_first)


def _begin_cancel(desk: Desk, item: Canceling, look_ups: LookUps) -> Payment | Charge | Refusal:
    payment = desk.payments.get((item.merchant_id, item.payment_id))
    if payment is None:
        return PaymentNotFound(item.payment_id)
    if payment.status not in machine.CANCELABLE:
        return UnexpectedState("cancel", payment.status, payment)
    reason = item.reason or payment.cancellation_reason or "requested_by_customer"
    if payment.open_attempt is None:
        payment = desk.change_payment(
            payment,
            status=PaymentStatus.CANCELED.value,
            cancellation_reason=reason,
            canceled_at=desk.at,
        )
        desk.say_payment("payment.canceled", payment, item.trace)
        return payment
    attempt = desk.attempts[payment.merchant_id, payment.open_attempt]
    if attempt.amount_to_capture is not None:
        return NotNow("cancel", "while it is being captured", payment)
    payment = desk.change_payment(payment, cancellation_reason=reason)
    attempt = desk.change_attempt(
        attempt,
        closing=True,
        look_ups=0,
        look_up_at=desk.at + timedelta(seconds=look_ups.calling_seconds),
    )
    return Charge(attempt, payment)


# Pieces -------------------------------------------------------------------------------------


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    moments = [moment for moment in (one, other) if moment is not None]
    return min(moments) if moments else None


async def desk_of_payments(tx: Tx, keys: Sequence[tuple[int, str]], at: datetime) -> Desk:
    desk = Desk(at)
    desk.take_in(payments=await store.lock_payments(tx, sorted(set(keys))))
    return desk


async def lay_open_attempts(tx: Tx, desk: Desk) -> None:
    """Lay the payments' open attempts on the desk too, where they are not yet."""
    missing = {
        (payment.merchant_id, payment.open_attempt)
        for payment in desk.payments.values()
        if payment.open_attempt is not None
        and (payment.merchant_id, payment.open_attempt) not in desk.attempts
    }
    if missing:
        desk.take_in(attempts=await store.attempts.select(tx, sorted(missing)))
