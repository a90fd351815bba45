"""Top-ups as values."""

from __future__ import annotations

from datetime import datetime

import msgspec

from tillgate.payments.model import Confirmation, Payment


class TopUp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order to add value to a wallet."""

    merchant_id: int
    id: str
    wallet_id: str
    customer_id: str
    payment_id: str
    amount: int
    bonus_amount: int = 0
    currency: str
    metadata: dict[str, str] = {}
    #: Its own row never changes; what is told of a top-up bears its payment's sequence.
    sequence: int = 1
    created_at: datetime


class TopUpView(msgspec.Struct, frozen=True):
    """A top-up with its payment, which says where it stands."""

    top_up: TopUp
    payment: Payment

    @property
    def status(self) -> str:
        """`succeeded`, `canceled`, or what the payment waits for."""
        return self.payment.status


class NewTopUp(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up to be made, and charged at once where `confirmation` is given."""

    merchant_id: int
    id: str
    wallet_id: str
    amount: int
    currency: str
    method_types: list[str]
    bonus_amount: int = 0
    refund_policy: str = "block"
    confirmation: Confirmation | None = None
    return_url: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    expires_at: datetime | None = None
    capture_method: str = "automatic"
