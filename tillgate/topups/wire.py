"""The API's words for top-ups. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tillgate.kernel.clock import unix
from tillgate.kernel.money import MAX_MINOR
from tillgate.payments.shown import show_action, show_error
from tillgate.payments.wire import MethodData, MethodOptions, MethodType
from tillgate.topups.model import TopUpView
from tillgate.web.listing import ListRequest
from tillgate.web.reading import Amount, CurrencyCode, Id, MetadataChange, Request, Text, Unix, Url


class CreateTopUp(Request, frozen=True, kw_only=True):
    """A customer's order to add value to a wallet, charged at once."""

    wallet: Id
    amount: Amount
    currency: CurrencyCode
    bonus_amount: Annotated[int, Meta(ge=0, le=MAX_MINOR)] = 0
    confirm: bool = True
    description: Text | None = None
    expires_at: Unix | None = None
    metadata: MetadataChange | UnsetType = UNSET
    off_session: bool = False
    payment_method: Id | None = None
    payment_method_data: MethodData | None = None
    payment_method_options: MethodOptions | None = None
    payment_method_types: list[MethodType] | None = None
    refund_policy: Literal["block", "partial", "receivable"] = "block"
    return_url: Url | None = None


class ListTopUps(ListRequest, frozen=True, kw_only=True):
    """Top-ups, newest first."""

    wallet: Id | None = None


class ShownTopUp(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up; `status` is that of its payment."""

    id: str
    object: str = "top_up"
    amount: int
    amount_refunded: int
    bonus_amount: int
    client_secret: str
    created: int
    currency: str
    customer: str
    description: str | None
    expires_at: int | None
    last_payment_error: dict[str, Any] | None
    livemode: bool
    metadata: dict[str, str]
    next_action: dict[str, Any] | None
    payment_intent: str
    payment_method: str | None
    payment_method_types: list[str]
    refund_policy: str
    sequence: int
    status: str
    wallet: str


def show_top_up(view: TopUpView, *, livemode: bool) -> ShownTopUp:
    """Show a top-up with its payment's state."""
    top_up, payment = view.top_up, view.payment
    return ShownTopUp(
        id=top_up.id,
        amount=top_up.amount,
        amount_refunded=payment.amount_refunded,
        bonus_amount=top_up.bonus_amount,
        client_secret=payment.client_secret,
        created=unix(top_up.created_at),
        currency=top_up.currency,
        customer=top_up.customer_id,
        description=payment.description,
        expires_at=None if payment.expires_at is None else unix(payment.expires_at),
        last_payment_error=show_error(payment),
        livemode=livemode,
        metadata=top_up.metadata,
        next_action=show_action(payment),
        payment_intent=payment.id,
        payment_method=payment.payment_method,
        payment_method_types=payment.method_types,
        refund_policy=payment.refund_policy,
        sequence=payment.sequence,
        status=view.status,
        wallet=top_up.wallet_id,
    )


def show_failure(failure: dict[str, Any], view: TopUpView, *, livemode: bool) -> dict[str, Any]:
    """Show a top-up whose payment failed: the payment's error with the top-up beside it."""
    shown = msgspec.to_builtins(show_top_up(view, livemode=livemode))
    return {"error": {**failure["error"], "top_up": shown}}
