"""Customers and payment methods as values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A person who pays a merchant."""

    merchant_id: int
    id: str
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    description: str | None = None
    address: dict[str, Any] | None = None
    shipping: dict[str, Any] | None = None
    preferred_locales: list[str] = []
    metadata: dict[str, str] = {}
    default_payment_method: str | None = None
    sequence: int = 1
    created_at: datetime
    deleted_at: datetime | None = None


class PaymentMethod(msgspec.Struct, frozen=True, kw_only=True):
    """A way to pay: a card by its token, or a wallet app."""

    merchant_id: int
    id: str
    customer_id: str | None = None
    type: str
    #: The provider's token; never a card number.
    provider_token: str | None = None
    details: dict[str, Any] = {}
    billing_details: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    sequence: int = 1
    created_at: datetime
    #: When it was taken from its customer; it is never used again.
    detached_at: datetime | None = None


class Trace(msgspec.Struct, frozen=True):
    """Which request asked: carried into the facts."""

    request_id: str | None = None
    idempotency_key: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do to a customer or payment method; exactly one of a batch's items.

    `new` is written; `changes` are fields by name, `metadata` as a change of keys. `delete`
    deletes a customer; `attach_to` ("" detaches) moves a payment method.
    """

    merchant_id: int
    id: str
    new: Customer | PaymentMethod | None = None
    changes: dict[str, Any] = {}
    delete: bool = False
    attach_to: str | None = None
    trace: Trace = Trace()
