"""What each order does to the wallets, holds and books on the desk: in memory, nothing awaited.

A decision checks everything before it changes anything, so that one that is refused leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from tillgate.kernel import metadata
from tillgate.kernel.errors import FieldRefused, Refusal
from tillgate.kernel.money import Money
from tillgate.ledger.model import Hold, Journal, Line, Posted, sales, wallet_bonus, wallet_principal
from tillgate.wallets import events
from tillgate.wallets.desk import Desk, cause_of, spent_on_day
from tillgate.wallets.errors import (
    BalanceInsufficient,
    CaptureTooLarge,
    CurrencyMismatch,
    HoldEnded,
    HoldNotFound,
    LimitExceeded,
    NotRefundable,
    RefundTooLarge,
    SameWallet,
    TransactionNotFound,
    WalletClosed,
    WalletExists,
    WalletFrozen,
    WalletMoveRefused,
    WalletNotEmpty,
)
from tillgate.wallets.machine import News, Status, after, split_refund, split_spend
from tillgate.wallets.model import (
    AnyOrder,
    CaptureHold,
    Held,
    Limits,
    Moved,
    MoveWallet,
    OpenWallet,
    PlaceHold,
    RefundSpend,
    ReleaseHold,
    Spend,
    Told,
    Transfer,
    UpdateWallet,
    Wallet,
    WalletHold,
    derived_id,
)

Result = Told | Moved | Held


def decide_all(desk: Desk, orders: Sequence[AnyOrder]) -> list[Result | Refusal]:
    """Carry out orders on the desk, in order; one that is refused leaves no trace."""
    results: list[Result | Refusal] = []
    for order in orders:
        try:
            results.append(decide(desk, order))
        except Refusal as refusal:
            results.append(refusal)
    return results


def decide(desk: Desk, order: AnyOrder) -> Result:
    """Carry out one order on the desk, or raise its refusal."""
    return _DECIDE[type(order)](desk, order)


def require_currency(wallet: Wallet, amount: Money) -> None:
    """Refuse an amount that is not in the wallet's currency."""
    if amount.currency != wallet.currency:
        raise CurrencyMismatch(wallet.id, wallet.currency.code, amount.currency.code)


def require_below(wallet: Wallet, limit: str, allowed: int, reached: int) -> None:
    """Refuse what goes over a limit."""
    if reached > allowed:
        raise LimitExceeded(wallet.id, limit, allowed, reached)


def _open(desk: Desk, order: OpenWallet) -> Told:
    existing = desk.wallets.get((order.merchant_id, order.id))
    if existing is not None:
        return Told(desk.view(existing), repeated=True)
    existing = desk.wallet_of(order.merchant_id, order.customer_id, order.currency.code)
    if existing is not None:
        if order.get:
            return Told(desk.view(existing), repeated=True)
        raise WalletExists(existing.id)
    code = order.currency.code
    number = desk.books.number
    wallet = Wallet(
        merchant_id=order.merchant_id,
        id=order.id,
        customer_id=order.customer_id,
        currency=order.currency,
        principal_account=number(order.merchant_id, wallet_principal(order.id, code).code, code),
        bonus_account=number(order.merchant_id, wallet_bonus(order.id, code).code, code),
        status=Status.OPEN,
        limits=order.limits,
        spent_on=None,
        spent_today=0,
        description=order.description,
        metadata=order.metadata,
        sequence=0,
        created_at=order.at,
    )
    desk.open(wallet)
    return Told(desk.publish(events.OPENED, (order.merchant_id, order.id), order))


def _update(desk: Desk, order: UpdateWallet) -> Told:
    wallet = desk.wallet(order.merchant_id, order.wallet_id)
    old = wallet.limits
    changed = replace(
        wallet,
        limits=Limits(
            old.single if order.limit_single is UNSET else order.limit_single,
            old.daily if order.limit_daily is UNSET else order.limit_daily,
            old.balance if order.limit_balance is UNSET else order.limit_balance,
        ),
        description=wallet.description if order.description is UNSET else order.description,
        metadata=metadata.merge(wallet.metadata, order.metadata),
    )
    if changed == wallet:
        return Told(desk.view(wallet), repeated=True)
    desk.change(changed)
    return Told(desk.publish(events.UPDATED, (order.merchant_id, wallet.id), order))


def _move(desk: Desk, order: MoveWallet) -> Told:
    wallet = desk.wallet(order.merchant_id, order.wallet_id)
    status = after(wallet.status, order.news)
    if status is None:
        raise WalletMoveRefused(wallet.id, wallet.status.value, order.news.value)
    if status is wallet.status:
        return Told(desk.view(wallet), repeated=True)
    view = desk.view(wallet)
    if order.news is News.CLOSED and (view.balance or view.held):
        raise WalletNotEmpty(wallet.id, view.balance, view.held)
    desk.change(replace(wallet, status=status))
    name = events.MOVED + order.news.value
    return Told(desk.publish(name, (order.merchant_id, wallet.id), order))


def _spend(desk: Desk, order: Spend) -> Moved:
    repeated = _repeated(desk, order, order.id)
    if repeated is not None:
        return repeated
    wallet = desk.wallet(order.merchant_id, order.wallet_id)
    principal, bonus = _may_spend(desk, wallet, order)
    posted = _post(desk, order, _sold(desk, wallet, principal, bonus))
    desk.count_spent(wallet, order.amount.minor, order.at)
    transaction = replace(
        desk.transaction_of(posted, wallet, order.id, "spend"),
        source=order.source,
        description=order.description,
        metadata=order.metadata,
    )
    desk.record(transaction)
    key = (order.merchant_id, wallet.id)
    return Moved(desk.publish(events.DEBITED, key, order, transaction=transaction), transaction)


def _refund_spend(desk: Desk, order: RefundSpend) -> Moved:
    repeated = _repeated(desk, order, order.id)
    if repeated is not None:
        return repeated
    spent = desk.transactions.get((order.merchant_id, order.transaction_id))
    if spent is None:
        raise TransactionNotFound(order.transaction_id)
    if spent.transaction.type not in {"spend", "capture"}:
        raise NotRefundable(spent.transaction.id, spent.transaction.type)
    wallet = desk.wallet(order.merchant_id, spent.transaction.wallet_id)
    principal_left = -spent.transaction.principal_amount - spent.principal
    bonus_left = -spent.transaction.bonus_amount - spent.bonus
    left = principal_left + bonus_left
    amount = order.amount or Money(left, wallet.currency)
    require_currency(wallet, amount)
    parts = split_refund(amount.minor, principal_left, bonus_left) if left else None
    if parts is None:
        raise RefundTooLarge(spent.transaction.id, amount.minor, left)
    _require_positive(amount)
    if wallet.is_closed:
        raise WalletClosed(wallet.id)
    lines = tuple(
        Line(line.credit, line.debit, line.amount) for line in _sold(desk, wallet, *parts)
    )
    posted = _post(desk, order, lines)
    desk.give_back(spent, *parts)
    transaction = replace(
        desk.transaction_of(posted, wallet, order.id, "spend_refund"),
        source=spent.transaction.id,
        description=order.description,
        metadata=order.metadata,
    )
    desk.record(transaction)
    key = (order.merchant_id, wallet.id)
    return Moved(desk.publish(events.CREDITED, key, order, transaction=transaction), transaction)


def _place(desk: Desk, order: PlaceHold) -> Held:
    earlier = desk.holds.get((order.merchant_id, order.id))
    if earlier is not None:
        wallet = desk.wallet(order.merchant_id, earlier.wallet_id)
        return Held(desk.view(wallet), earlier, repeated=True)
    wallet = desk.wallet(order.merchant_id, order.wallet_id)
    if order.expires_at is not None and order.expires_at <= order.at:
        raise FieldRefused("expires_at", "A hold must expire in the future.")
    principal, bonus = _may_spend(desk, wallet, order)
    parts = ((wallet.principal_account, principal), (wallet.bonus_account, bonus))
    reserved = desk.books.reserve(
        Hold(
            order.merchant_id,
            order.id,
            tuple(part for part in parts if part[1]),
            order.at,
            order.expires_at,
        )
    )
    if isinstance(reserved, Refusal):
        raise reserved
    held = WalletHold(
        merchant_id=order.merchant_id,
        id=order.id,
        wallet_id=wallet.id,
        amount=order.amount.minor,
        principal_amount=principal,
        bonus_amount=bonus,
        captured_amount=0,
        currency=wallet.currency.code,
        status="open",
        transaction_id=None,
        description=order.description,
        metadata=order.metadata,
        expires_at=order.expires_at,
        created_at=order.at,
    )
    desk.keep_hold(held)
    desk.count_spent(wallet, order.amount.minor, order.at)
    return Held(
        desk.publish(events.HOLD_CREATED, (wallet.merchant_id, wallet.id), order, hold=held), held
    )


def _capture(desk: Desk, order: CaptureHold) -> Moved:
    repeated = _repeated(desk, order, order.id)
    if repeated is not None:
        return replace(repeated, hold=desk.holds.get((order.merchant_id, order.hold_id)))
    held = _open_hold(desk, order)
    wallet = desk.wallet(order.merchant_id, held.wallet_id)
    amount = order.amount or Money(held.amount, wallet.currency)
    require_currency(wallet, amount)
    _require_positive(amount)
    parts = split_spend(amount.minor, held.principal_amount, held.bonus_amount)
    if parts is None:
        raise CaptureTooLarge(held.id, amount.minor, held.amount)
    journal = Journal(order.merchant_id, f"capture:{order.id}", _sold(desk, wallet, *parts))
    posted = desk.books.post_hold(order.merchant_id, held.id, journal, at=order.at)
    if isinstance(posted, Refusal):
        raise posted
    _uncount(desk, wallet, held, held.amount - amount.minor, order)
    held = replace(
        held,
        status="captured",
        captured_amount=amount.minor,
        transaction_id=order.id,
        ended_at=order.at,
    )
    desk.keep_hold(held)
    transaction = replace(
        desk.transaction_of(posted, wallet, order.id, "capture"),
        source=held.id,
        description=order.description if order.description is not None else held.description,
        metadata=held.metadata,
    )
    desk.record(transaction)
    key = (order.merchant_id, wallet.id)
    desk.publish(events.HOLD_CAPTURED, key, order, transaction=transaction, hold=held)
    view = desk.publish(events.DEBITED, key, order, transaction=transaction)
    return Moved(view, transaction, hold=held)


def _release(desk: Desk, order: ReleaseHold) -> Held:
    held = desk.holds.get((order.merchant_id, order.hold_id))
    if held is not None and held.status != "open" and (order.expired or held.status == "released"):
        wallet = desk.wallet(order.merchant_id, held.wallet_id)
        return Held(desk.view(wallet), held, repeated=True)
    held = _open_hold(desk, order, may_be_late=True)
    wallet = desk.wallet(order.merchant_id, held.wallet_id)
    late = held.expires_at is not None and held.expires_at <= order.at
    assert late or not order.expired, "a hold was called expired before its time"
    ended = desk.books.void(
        order.merchant_id, held.id, at=order.at, status="expired" if late else "voided"
    )
    if isinstance(ended, Refusal):
        raise ended
    _uncount(desk, wallet, held, held.amount, order)
    held = replace(held, status="expired" if late else "released", ended_at=order.at)
    desk.keep_hold(held)
    name = events.HOLD_EXPIRED if late else events.HOLD_RELEASED
    return Held(desk.publish(name, (wallet.merchant_id, wallet.id), order, hold=held), held)


def _transfer(desk: Desk, order: Transfer) -> Moved:
    repeated = _repeated(desk, order, order.id)
    if repeated is not None:
        return repeated
    sender = desk.wallet(order.merchant_id, order.wallet_id)
    receiver = desk.wallet(order.merchant_id, order.to_wallet_id, param="to")
    if sender.id == receiver.id:
        raise SameWallet
    _may_spend(desk, sender, order, principal_only=True)
    require_currency(receiver, order.amount)
    if receiver.is_closed:
        raise WalletClosed(receiver.id, param="to")
    if receiver.limits.balance is not None:
        reached = desk.view(receiver).balance + order.amount.minor
        require_below(receiver, "balance", receiver.limits.balance, reached)
    line = Line(sender.principal_account, receiver.principal_account, order.amount.minor)
    posted = _post(desk, order, (line,))
    desk.count_spent(sender, order.amount.minor, order.at)
    sent = replace(
        desk.transaction_of(posted, sender, order.id, "transfer_out"),
        source=receiver.id,
        description=order.description,
        metadata=order.metadata,
    )
    received_id = derived_id(receiver.id, posted.cause, posted.at)
    received = replace(
        desk.transaction_of(posted, receiver, received_id, "transfer_in"),
        source=sender.id,
        description=order.description,
    )
    desk.record(sent)
    desk.record(received)
    view = desk.publish(events.DEBITED, (order.merchant_id, sender.id), order, transaction=sent)
    desk.publish(events.CREDITED, (order.merchant_id, receiver.id), order, transaction=received)
    return Moved(view, sent)


def _repeated(desk: Desk, order: AnyOrder, transaction_id: str) -> Moved | None:
    cause = cause_of(order)
    if cause is None or (order.merchant_id, cause) not in desk.books.posted:
        return None
    known = desk.transactions[order.merchant_id, transaction_id].transaction
    wallet = desk.wallet(order.merchant_id, known.wallet_id)
    return Moved(desk.view(wallet), known, repeated=True)


def _may_spend(
    desk: Desk, wallet: Wallet, order: Spend | PlaceHold | Transfer, *, principal_only: bool = False
) -> tuple[int, int]:
    """Return the parts to take, or refuse: status, currency, limits, balance, in this order."""
    amount = order.amount.minor
    if wallet.status is Status.CLOSED:
        raise WalletClosed(wallet.id)
    if wallet.status is Status.FROZEN:
        raise WalletFrozen(wallet.id)
    require_currency(wallet, order.amount)
    _require_positive(order.amount)
    limits = wallet.limits
    if limits.single is not None:
        require_below(wallet, "single", limits.single, amount)
    if limits.daily is not None:
        require_below(wallet, "daily", limits.daily, spent_on_day(wallet, order.at) + amount)
    principal, bonus = desk.available(wallet)
    parts = split_spend(amount, principal, 0 if principal_only else bonus)
    if parts is None:
        available = principal if principal_only else principal + bonus
        raise BalanceInsufficient(wallet.id, available, amount)
    return parts


def _sold(desk: Desk, wallet: Wallet, principal: int, bonus: int) -> tuple[Line, ...]:
    code = wallet.currency.code
    sold = desk.books.number(wallet.merchant_id, sales(code).code, code)
    parts = ((wallet.principal_account, principal), (wallet.bonus_account, bonus))
    return tuple(Line(account, sold, amount) for account, amount in parts if amount)


def _post(desk: Desk, order: AnyOrder, lines: tuple[Line, ...]) -> Posted:
    cause = cause_of(order)
    assert cause is not None, "an order that moves value has a cause"
    posted = desk.books.post(Journal(order.merchant_id, cause, lines), at=order.at)
    if isinstance(posted, Refusal):
        raise posted
    return posted


def _open_hold(
    desk: Desk, order: CaptureHold | ReleaseHold, *, may_be_late: bool = False
) -> WalletHold:
    held = desk.holds.get((order.merchant_id, order.hold_id))
    if held is None:
        raise HoldNotFound(order.hold_id)
    if held.status != "open":
        raise HoldEnded(held.id, held.status)
    if not may_be_late and held.expires_at is not None and held.expires_at <= order.at:
        raise HoldEnded(held.id, "expired")
    return held


def _uncount(
    desk: Desk, wallet: Wallet, held: WalletHold, amount: int, order: CaptureHold | ReleaseHold
) -> None:
    """What a hold gives back on its own day is free again for the daily limit."""
    if amount and wallet.spent_on == held.created_at.date() >= order.at.date():
        desk.count_spent(wallet, -amount, order.at)


def _require_positive(amount: Money) -> None:
    if amount.minor <= 0:
        raise FieldRefused(
            "amount", "An amount must be more than nothing.", code="amount_too_small"
        )


_DECIDE: Mapping[type, Callable[[Desk, Any], Result]] = {
    OpenWallet: _open,
    UpdateWallet: _update,
    MoveWallet: _move,
    Spend: _spend,
    RefundSpend: _refund_spend,
    PlaceHold: _place,
    CaptureHold: _capture,
    ReleaseHold: _release,
    Transfer: _transfer,
}
