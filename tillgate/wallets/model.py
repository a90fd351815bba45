"""Wallets, their transactions and holds as values, and what can be asked of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from tillgate.kernel.ids import make_id
from tillgate.kernel.metadata import MetadataKeys
from tillgate.kernel.money import Currency, Money
from tillgate.wallets.machine import News, Status

HoldStatus = Literal["open", "captured", "released", "expired"]


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """In minor units; None: no limit."""

    single: int | None = None
    daily: int | None = None
    balance: int | None = None


NO_LIMITS = Limits()


class Wallet(msgspec.Struct, frozen=True):
    """A wallet's terms. Its balances are the ledger's."""

    merchant_id: int
    id: str
    customer_id: str
    currency: Currency
    principal_account: int
    bonus_account: int
    status: Status
    limits: Limits
    #: The UTC day that `spent_today` counts.
    spent_on: date | None
    spent_today: int
    description: str | None
    metadata: Mapping[str, str]
    sequence: int
    created_at: datetime

    @property
    def is_closed(self) -> bool:
        """Whether it takes no new value."""
        return self.status is Status.CLOSED


class WalletView(msgspec.Struct, frozen=True):
    """A wallet with its balances, as facts and the API show it; amounts in minor units."""

    merchant_id: int
    id: str
    customer_id: str
    currency: str
    status: str
    balance: int
    principal: int
    bonus: int
    held: int
    available: int
    limits: Limits
    description: str | None
    metadata: Mapping[str, str]
    sequence: int
    created_at: datetime


class Transaction(msgspec.Struct, frozen=True):
    """What one journal meant to one wallet; amounts are signed, plus is into the wallet."""

    merchant_id: int
    id: str
    wallet_id: str
    journal: int
    type: str
    amount: int
    principal_amount: int
    bonus_amount: int
    #: Where the wallet stood after it, by the ledger.
    balance_after: int
    currency: str
    cause: str
    source: str | None
    description: str | None
    metadata: Mapping[str, str]
    amount_refunded: int
    created_at: datetime


class WalletHold(msgspec.Struct, frozen=True):
    """Value set aside in a wallet until it is captured, released or expires."""

    merchant_id: int
    id: str
    wallet_id: str
    amount: int
    principal_amount: int
    bonus_amount: int
    captured_amount: int
    currency: str
    status: HoldStatus
    transaction_id: str | None
    description: str | None
    metadata: Mapping[str, str]
    expires_at: datetime | None
    created_at: datetime
    ended_at: datetime | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What every order to a wallet says: whose, when, and by which request."""

    merchant_id: int
    at: datetime
    request_id: str | None = None
    idempotency_key: str | None = None


def _no_metadata() -> Mapping[str, str]:
    return {}


class OpenWallet(Order, frozen=True, kw_only=True):
    """Open a wallet; where the customer has it already, refuse, or return it if `get`."""

    id: str
    customer_id: str
    currency: Currency
    limits: Limits = NO_LIMITS
    description: str | None = None
    metadata: Mapping[str, str] = msgspec.field(default_factory=_no_metadata)
    get: bool = False


class UpdateWallet(Order, frozen=True, kw_only=True):
    """Change terms; what is unset stays. Metadata is merged key by key."""

    wallet_id: str
    limit_single: int | UnsetType | None = UNSET
    limit_daily: int | UnsetType | None = UNSET
    limit_balance: int | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    metadata: MetadataKeys | UnsetType | None = UNSET


class MoveWallet(Order, frozen=True, kw_only=True):
    """Freeze, unfreeze, close or reopen a wallet."""

    wallet_id: str
    news: News


class Spend(Order, frozen=True, kw_only=True):
    """Take value out for goods; `id` is the transaction's, the same id spends once."""

    id: str
    wallet_id: str
    amount: Money
    source: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = msgspec.field(default_factory=_no_metadata)


class RefundSpend(Order, frozen=True, kw_only=True):
    """Give back a spend or a capture, whole (`amount=None`: what is left of it) or in part."""

    id: str
    transaction_id: str
    amount: Money | None = None
    description: str | None = None
    metadata: Mapping[str, str] = msgspec.field(default_factory=_no_metadata)


class PlaceHold(Order, frozen=True, kw_only=True):
    """Set value aside."""

    id: str
    wallet_id: str
    amount: Money
    expires_at: datetime | None = None
    description: str | None = None
    metadata: Mapping[str, str] = msgspec.field(default_factory=_no_metadata)


class CaptureHold(Order, frozen=True, kw_only=True):
    """Spend what is held, or less (the rest is free again); `id` is the transaction's."""

    id: str
    hold_id: str
    amount: Money | None = None
    description: str | None = None


class ReleaseHold(Order, frozen=True, kw_only=True):
    """Free what is held. The sweep says `expired`, and is deaf to holds that have ended."""

    hold_id: str
    expired: bool = False


class Transfer(Order, frozen=True, kw_only=True):
    """Move principal to another wallet of the merchant; `id` is the outgoing transaction's."""

    id: str
    wallet_id: str
    to_wallet_id: str
    amount: Money
    description: str | None = None
    metadata: Mapping[str, str] = msgspec.field(default_factory=_no_metadata)


class RecordMovement(Order, frozen=True, kw_only=True):
    """Give the wallets on a journal that others posted their transactions."""

    cause: str
    source: str | None = None
    description: str | None = None


AnyOrder = (
    OpenWallet | UpdateWallet | MoveWallet | Spend | RefundSpend | PlaceHold | CaptureHold
    | ReleaseHold | Transfer
)  # fmt: skip


class Told(msgspec.Struct, frozen=True):
    """A wallet as it stands after an order about its terms."""

    wallet: WalletView
    #: True where nothing changed now: the order had been carried out before.
    repeated: bool = False


class Moved(msgspec.Struct, frozen=True):
    """A wallet and the transaction that moved its value."""

    wallet: WalletView
    transaction: Transaction
    repeated: bool = False
    #: Of a capture.
    hold: WalletHold | None = None


class Held(msgspec.Struct, frozen=True):
    """A wallet and its hold."""

    wallet: WalletView
    hold: WalletHold
    repeated: bool = False


def derived_id(wallet_id: str, cause: str, at: datetime) -> str:
    """Return the id of a wallet's transaction that others caused: always the same one."""
    digest = hashlib.sha256(f"{wallet_id} {cause}".encode()).digest()
    return make_id("wtx", int(at.timestamp() * 1000), int.from_bytes(digest[:10], "big"))
