"""The API's words for wallets, their transactions and holds. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypedDict

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tillgate.kernel.clock import from_unix, unix
from tillgate.kernel.ids import new_id
from tillgate.kernel.money import MAX_MINOR, Currency, Money, currency
from tillgate.wallets.machine import News
from tillgate.wallets.model import (
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
    Transaction,
    Transfer,
    UpdateWallet,
    WalletHold,
    WalletView,
)
from tillgate.web.listing import CursorRequest
from tillgate.web.operation import Call
from tillgate.web.reading import (
    Amount,
    CurrencyCode,
    Id,
    MetadataChange,
    Request,
    ShortText,
    Text,
    Unix,
    read_metadata,
    read_metadata_change,
)

Limit = Annotated[int, Meta(ge=1, le=MAX_MINOR)]


class LimitsForm(Request, frozen=True, kw_only=True):
    """Limits in the smallest unit; `""` takes one away."""

    single: Limit | UnsetType | None = UNSET
    daily: Limit | UnsetType | None = UNSET
    balance: Limit | UnsetType | None = UNSET


class CreateWallet(Request, frozen=True, kw_only=True):
    """A wallet of one customer in one currency."""

    customer: Id
    currency: CurrencyCode
    limits: LimitsForm = LimitsForm()
    description: Text | None = None
    metadata: MetadataChange | UnsetType = UNSET


class ChangeWallet(Request, frozen=True, kw_only=True):
    """What may be changed of a wallet."""

    limits: LimitsForm = LimitsForm()
    description: Text | UnsetType | None = UNSET
    metadata: MetadataChange | UnsetType = UNSET


class ListWallets(CursorRequest, frozen=True, kw_only=True):
    """Wallets, newest first."""

    customer: Id | None = None


class SpendForm(Request, frozen=True, kw_only=True):
    """Value to be spent."""

    amount: Amount
    currency: CurrencyCode
    source: ShortText | None = None
    description: Text | None = None
    metadata: MetadataChange | UnsetType = UNSET


class LinkForm(Request, frozen=True, kw_only=True):
    """How long a link to the wallet's pages is to be good for."""

    expires_in: Annotated[int, Meta(ge=60, le=31_536_000)] = 2_592_000


class ShownLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link by which a wallet's holder reaches its top-up pages; whoever has it may top it up."""

    object: str = "wallet_link"
    wallet: str
    url: str
    expires_at: int


class TransferForm(Request, frozen=True, kw_only=True):
    """Principal to be moved to another wallet of the same merchant."""

    to: Id
    amount: Amount
    currency: CurrencyCode
    description: Text | None = None
    metadata: MetadataChange | UnsetType = UNSET


class RefundSpendForm(Request, frozen=True, kw_only=True):
    """How much of a spend is given back; without an amount, all that is left of it."""

    amount: Amount | UnsetType = UNSET
    description: Text | None = None
    metadata: MetadataChange | UnsetType = UNSET


class ChangeTransaction(Request, frozen=True, kw_only=True):
    """The words on a transaction; its amounts cannot change."""

    description: Text | UnsetType | None = UNSET
    metadata: MetadataChange | UnsetType = UNSET


class HoldForm(Request, frozen=True, kw_only=True):
    """Value to be set aside."""

    amount: Amount
    currency: CurrencyCode
    expires_at: Unix | None = None
    description: Text | None = None
    metadata: MetadataChange | UnsetType = UNSET


class CaptureForm(Request, frozen=True, kw_only=True):
    """How much of a hold is spent; without an amount, all of it. The rest is free again."""

    amount: Amount | UnsetType = UNSET
    description: Text | None = None


class ShownLimits(msgspec.Struct, frozen=True):
    """Limits; null is none."""

    single: int | None
    daily: int | None
    balance: int | None


class ShownWallet(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer holds with the merchant in one currency."""

    id: str
    object: str = "wallet"
    available: int
    balance: int
    bonus_balance: int
    created: int
    currency: str
    customer: str
    description: str | None
    held: int
    limits: ShownLimits
    livemode: bool
    metadata: dict[str, str]
    principal_balance: int
    sequence: int
    status: str


class ShownTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of a wallet; amounts are signed, plus is into the wallet."""

    id: str
    object: str = "wallet_transaction"
    amount: int
    amount_refunded: int
    balance_after: int
    bonus_amount: int
    created: int
    currency: str
    description: str | None
    journal: int
    livemode: bool
    metadata: dict[str, str]
    principal_amount: int
    source: str | None
    type: str
    wallet: str


class ShownHold(msgspec.Struct, frozen=True, kw_only=True):
    """Value set aside in a wallet."""

    id: str
    object: str = "wallet_hold"
    amount: int
    bonus_amount: int
    captured_amount: int
    created: int
    currency: str
    description: str | None
    expires_at: int | None
    livemode: bool
    metadata: dict[str, str]
    principal_amount: int
    status: str
    transaction: str | None
    wallet: str


class _Head(TypedDict):
    """What every order says first: whose it is, when it came, and by which request."""

    merchant_id: int
    at: datetime
    request_id: str | None
    idempotency_key: str | None


def _head(call: Call, at: datetime) -> _Head:
    return {
        "merchant_id": call.merchant_id,
        "at": at,
        "request_id": call.request_id,
        "idempotency_key": call.idempotency_key,
    }


def read_new_wallet(call: Call, body: CreateWallet, at: datetime) -> OpenWallet:
    """Return the wallet to be opened."""
    limits = body.limits
    return OpenWallet(
        **_head(call, at),
        id=new_id("wal"),
        customer_id=body.customer,
        currency=currency(body.currency),
        limits=Limits(limits.single or None, limits.daily or None, limits.balance or None),
        description=body.description,
        metadata=read_metadata(body.metadata),
    )


def read_wallet_change(call: Call, body: ChangeWallet, at: datetime) -> UpdateWallet:
    """Return what is to be changed of the wallet in the path."""
    return UpdateWallet(
        **_head(call, at),
        wallet_id=call.id,
        limit_single=body.limits.single,
        limit_daily=body.limits.daily,
        limit_balance=body.limits.balance,
        description=body.description,
        metadata=read_metadata_change(body.metadata),
    )


def read_move(call: Call, news: News, at: datetime) -> MoveWallet:
    """Return the order to freeze, unfreeze, close or reopen the wallet in the path."""
    return MoveWallet(
        **_head(call, at),
        wallet_id=call.id,
        news=news,
    )


def read_spend(call: Call, body: SpendForm, at: datetime) -> Spend:
    """Return what is to be spent from the wallet in the path."""
    return Spend(
        **_head(call, at),
        id=new_id("wtx"),
        wallet_id=call.id,
        amount=Money(body.amount, currency(body.currency)),
        source=body.source,
        description=body.description,
        metadata=read_metadata(body.metadata),
    )


def read_transfer(call: Call, body: TransferForm, at: datetime) -> Transfer:
    """Return what is to be moved from the wallet in the path."""
    return Transfer(
        **_head(call, at),
        id=new_id("wtx"),
        wallet_id=call.id,
        to_wallet_id=body.to,
        amount=Money(body.amount, currency(body.currency)),
        description=body.description,
        metadata=read_metadata(body.metadata),
    )


def read_refund(call: Call, body: RefundSpendForm, unit: Currency, at: datetime) -> RefundSpend:
    """Return what is to be given back of the transaction in the path."""
    return RefundSpend(
        **_head(call, at),
        id=new_id("wtx"),
        transaction_id=call.id,
        amount=None if body.amount is UNSET else Money(body.amount, unit),
        description=body.description,
        metadata=read_metadata(body.metadata),
    )


def read_hold(call: Call, body: HoldForm, at: datetime) -> PlaceHold:
    """Return what is to be set aside in the wallet in the path."""
    expires_at = None if body.expires_at is None else from_unix(body.expires_at)
    return PlaceHold(
        **_head(call, at),
        id=new_id("hold"),
        wallet_id=call.id,
        amount=Money(body.amount, currency(body.currency)),
        expires_at=expires_at,
        description=body.description,
        metadata=read_metadata(body.metadata),
    )


def read_capture(call: Call, body: CaptureForm, unit: Currency, at: datetime) -> CaptureHold:
    """Return what is to be spent of the hold in the path."""
    return CaptureHold(
        **_head(call, at),
        id=new_id("wtx"),
        hold_id=call.id,
        amount=None if body.amount is UNSET else Money(body.amount, unit),
        description=body.description,
    )


def read_release(call: Call, at: datetime) -> ReleaseHold:
    """Return the order to free the hold in the path."""
    return ReleaseHold(
        **_head(call, at),
        hold_id=call.id,
    )


def show_wallet(wallet: WalletView, *, livemode: bool) -> ShownWallet:
    """Show a wallet with its balances."""
    return ShownWallet(
        id=wallet.id,
        available=wallet.available,
        balance=wallet.balance,
        bonus_balance=wallet.bonus,
        created=unix(wallet.created_at),
        currency=wallet.currency,
        customer=wallet.customer_id,
        description=wallet.description,
        held=wallet.held,
        limits=ShownLimits(wallet.limits.single, wallet.limits.daily, wallet.limits.balance),
        livemode=livemode,
        metadata=dict(wallet.metadata),
        principal_balance=wallet.principal,
        sequence=wallet.sequence,
        status=wallet.status,
    )


def show_transaction(transaction: Transaction, *, livemode: bool) -> ShownTransaction:
    """Show a movement of a wallet."""
    return ShownTransaction(
        id=transaction.id,
        amount=transaction.amount,
        amount_refunded=transaction.amount_refunded,
        balance_after=transaction.balance_after,
        bonus_amount=transaction.bonus_amount,
        created=unix(transaction.created_at),
        currency=transaction.currency,
        description=transaction.description,
        journal=transaction.journal,
        livemode=livemode,
        metadata=dict(transaction.metadata),
        principal_amount=transaction.principal_amount,
        source=transaction.source,
        type=transaction.type,
        wallet=transaction.wallet_id,
    )


def show_hold(hold: WalletHold, *, livemode: bool) -> ShownHold:
    """Show a hold."""
    return ShownHold(
        id=hold.id,
        amount=hold.amount,
        bonus_amount=hold.bonus_amount,
        captured_amount=hold.captured_amount,
        created=unix(hold.created_at),
        currency=hold.currency,
        description=hold.description,
        expires_at=None if hold.expires_at is None else unix(hold.expires_at),
        livemode=livemode,
        metadata=dict(hold.metadata),
        principal_amount=hold.principal_amount,
        status=hold.status,
        transaction=hold.transaction_id,
        wallet=hold.wallet_id,
    )


def show_result(
    result: Told | Moved | Held, *, livemode: bool
) -> ShownWallet | ShownTransaction | ShownHold:
    """Show what an order came to: the wallet, the transaction or the hold."""
    if isinstance(result, Told):
        return show_wallet(result.wallet, livemode=livemode)
    if isinstance(result, Held):
        return show_hold(result.hold, livemode=livemode)
    return show_transaction(result.transaction, livemode=livemode)
