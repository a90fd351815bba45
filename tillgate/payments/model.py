"""Payments, attempts and refunds as values, and what is asked of the money path."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

import msgspec

from tillgate.connectors.port import Outcome, Presentation, RefundOutcome
from tillgate.runtime.idempotency import Claim
from tillgate.runtime.notices import RawNotice


class Gift(msgspec.Struct, frozen=True):
    """What a paid payment gives on top (a bonus): booked with it, taken back with it, pro rata."""

    debit: int
    credit: int
    amount: int


class Payment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a merchant wants paid. `status` is one of `machine.PaymentStatus`."""

    merchant_id: int
    id: str
    amount: int
    currency: str
    status: str
    capture_method: str = "automatic"
    confirmation_method: str = "automatic"
    customer_id: str | None = None
    method_types: list[str]
    payment_method: str | None = None
    method_options: dict[str, Any] = {}
    #: The ledger account that is credited; None: the merchant's `sales`.
    pay_into: int | None = None
    #: Where a refund that finds `pay_into` empty may be charged (policy `receivable`).
    owed_account: int | None = None
    #: What happens when money to be refunded is spent already: block, partial or receivable.
    refund_policy: str = "block"
    gifts: list[Gift] = []
    #: The object this payment is made for: `top_…`.
    subject: str | None = None
    amount_capturable: int = 0
    amount_received: int = 0
    amount_refunded: int = 0
    latest_attempt: str | None = None
    open_attempt: str | None = None
    attempts: int = 0
    next_action: dict[str, Any] | None = None
    last_error: dict[str, Any] | None = None
    client_secret: str
    return_url: str | None = None
    description: str | None = None
    receipt_email: str | None = None
    setup_future_usage: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    shipping: dict[str, Any] | None = None
    metadata: dict[str, str] = {}
    expires_at: datetime | None = None
    canceled_at: datetime | None = None
    cancellation_reason: str | None = None
    sequence: int = 1
    created_at: datetime


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try to move a payment's money through one provider."""

    merchant_id: int
    id: str
    payment_id: str
    provider_account_id: str
    provider: str
    presentation: Presentation
    payment_method: str | None = None
    amount: int
    currency: str
    status: str
    reference: str | None = None
    next_step: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    instrument: dict[str, str] = {}
    amount_authorised: int = 0
    #: What we asked the provider to capture, once we did.
    amount_to_capture: int | None = None
    amount_captured: int = 0
    amount_refunded: int = 0
    capture: bool = True
    off_session: bool = False
    return_url: str | None = None
    description: str | None = None
    client_ip: str | None = None
    openid: str | None = None
    #: We want the order closed upstream.
    closing: bool = False
    expires_at: datetime | None = None
    look_up_at: datetime | None = None
    look_ups: int = 0
    sequence: int = 1
    created_at: datetime
    paid_at: datetime | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Money given back. `status` is one of `machine.RefundStatus`."""

    merchant_id: int
    id: str
    payment_id: str
    attempt_id: str
    amount: int
    currency: str
    status: str
    reason: str | None = None
    failure_reason: str | None = None
    reference: str | None = None
    #: The ledger lines (debit, credit, amount) that took the money back at creation.
    take_back: list[tuple[int, int, int]] = []
    #: A second payment, or one of a former amount, given back: it does not count against the payment.
    surplus: bool = False
    metadata: dict[str, str] = {}
    look_up_at: datetime | None = None
    look_ups: int = 0
    sequence: int = 1
    created_at: datetime


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """Where a provider's word and ours differ."""

    merchant_id: int
    id: str
    kind: str
    attempt_id: str | None = None
    refund_id: str | None = None
    ours: dict[str, object]
    theirs: dict[str, object]
    created_at: datetime
    resolved_at: datetime | None = None
    resolution: str | None = None


class Charge(msgspec.Struct, frozen=True):
    """An attempt with its payment: what the wire calls a charge."""

    attempt: Attempt
    payment: Payment


class RefundView(msgspec.Struct, frozen=True):
    """A refund with its payment, as facts carry it."""

    refund: Refund
    payment: Payment


# What is asked ---------------------------------------------------------------------------------


class Trace(msgspec.Struct, frozen=True):
    """Which request asked: carried into the facts."""

    request_id: str | None = None
    idempotency_key: str | None = None
    #: The first transaction attaches what it makes or changes to it.
    claim: Claim | None = None


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """How a payment is to be paid now."""

    method: str  # card, alipay, wechat_pay
    presentation: Presentation
    payment_method: str | None = None  # the provider's token, for cards
    return_url: str | None = None
    off_session: bool = False
    client_ip: str | None = None
    openid: str | None = None


class NewPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment to be opened, and charged at once where `confirmation` is given."""

    merchant_id: int
    id: str
    amount: int
    currency: str
    method_types: list[str]
    capture_method: str = "automatic"
    confirmation_method: str = "automatic"
    customer_id: str | None = None
    payment_method: str | None = None
    method_options: dict[str, Any] = {}
    pay_into: int | None = None
    owed_account: int | None = None
    refund_policy: str = "block"
    gifts: list[Gift] = []
    subject: str | None = None
    return_url: str | None = None
    description: str | None = None
    receipt_email: str | None = None
    setup_future_usage: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    shipping: dict[str, Any] | None = None
    metadata: dict[str, str] = {}
    expires_at: datetime | None = None
    confirmation: Confirmation | None = None


class Order(Protocol):
    """What a route depends on: a payment, or an order for one."""

    @property
    def currency(self) -> str: ...

    @property
    def method_types(self) -> list[str]: ...

    @property
    def capture_method(self) -> str: ...


class NewRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund to be made. `amount=None`: all that is left."""

    merchant_id: int
    id: str
    payment_id: str
    #: The attempt that is to be given back, where it was named: no other one is.
    attempt_id: str | None = None
    amount: int | None = None
    reason: str | None = None
    metadata: dict[str, str] = {}


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """News about an attempt, from an answer, a notice or a look-up."""

    merchant_id: int
    attempt_id: str
    outcome: Outcome | Any  # Closed and NotFound too; msgspec never decodes this
    #: The provider's name for our account, to be compared with what `Paid` says.
    account: str | None = None
    #: Through which of our accounts it was heard: it may speak of its own orders only.
    heard_by: str | None = None
    #: The notice that said so: it is stored as applied together with its effect.
    notice: RawNotice | None = None
    #: Whether another attempt was paid under the reference that the provider names.
    reference_is_taken: bool = False
    #: What the provider was asked to capture, where it was.
    capture: int | None = None
    #: The attempt's, when the capture was begun, where no other capture had been before.
    sequence: int | None = None
    #: The provider's number of the order that a notice is about, where it says one.
    told_of: str | None = None
    #: Where our own pages are, for what the customer has to be shown.
    pages_url: str | None = None
    trace: Trace = Trace()


class RefundHeard(msgspec.Struct, frozen=True, kw_only=True):
    """News about a refund."""

    merchant_id: int
    refund_id: str
    outcome: RefundOutcome | Any
    heard_by: str | None = None
    notice: RawNotice | None = None
    #: The provider's number of the order that was refunded, where a notice says one.
    told_of: str | None = None
    trace: Trace = Trace()
