"""What this Stripe keeps and shows: one struct a resource, its fields in Stripe's own words.

A struct is both the record and the answer, so rendering is one encode. Fields we never fill are
there as null, because official clients expect every documented key.
"""

from typing import Literal

import msgspec

API_VERSION = "2026-10-28.endive"

IntentStatus = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "succeeded",
    "canceled",
]
RefundStatus = Literal["pending", "requires_action", "succeeded", "failed", "canceled"]
Plain = dict[str, object]


class PaymentIntent(msgspec.Struct, kw_only=True):
    """A customer's wish to pay, through all its states."""

    id: str
    object: Literal["payment_intent"] = "payment_intent"
    amount: int
    amount_capturable: int = 0
    amount_details: Plain = {}
    amount_received: int = 0
    application: None = None
    application_fee_amount: None = None
    automatic_payment_methods: Plain | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    capture_method: str = "automatic_async"
    client_secret: str
    confirmation_method: str = "automatic"
    created: int
    currency: str
    customer: str | None = None
    customer_account: None = None
    description: str | None = None
    excluded_payment_method_types: None = None
    last_payment_error: Plain | None = None
    latest_charge: str | None = None
    livemode: bool = False
    metadata: dict[str, str]
    next_action: Plain | None = None
    on_behalf_of: str | None = None
    payment_method: str | None = None
    payment_method_configuration_details: None = None
    payment_method_options: Plain | None = None
    payment_method_types: list[str]
    processing: Plain | None = None
    receipt_email: str | None = None
    review: None = None
    setup_future_usage: str | None = None
    shipping: Plain | None = None
    source: None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    status: IntentStatus
    transfer_data: None = None
    transfer_group: str | None = None


class Charge(msgspec.Struct, kw_only=True):
    """One attempt to take the money."""

    id: str
    object: Literal["charge"] = "charge"
    amount: int
    amount_captured: int = 0
    amount_refunded: int = 0
    application: None = None
    application_fee: None = None
    application_fee_amount: None = None
    authorization_code: str | None = None
    balance_transaction: str | None = None
    billing_details: Plain
    calculated_statement_descriptor: str = "SIMULATED SHOP"
    captured: bool = False
    created: int
    currency: str
    customer: str | None = None
    description: str | None = None
    disputed: bool = False
    failure_balance_transaction: None = None
    failure_code: str | None = None
    failure_message: str | None = None
    fraud_details: Plain = {}
    livemode: bool = False
    metadata: dict[str, str]
    on_behalf_of: str | None = None
    outcome: Plain
    paid: bool
    payment_intent: str
    payment_method: str
    payment_method_details: Plain
    radar_options: Plain = {}
    receipt_email: str | None = None
    receipt_number: None = None
    receipt_url: None = None
    refunded: bool = False
    review: None = None
    shipping: Plain | None = None
    source: None = None
    source_transfer: None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    status: Literal["pending", "succeeded", "failed"]
    transfer_data: None = None
    transfer_group: str | None = None


class Refund(msgspec.Struct, kw_only=True):
    """Money on its way back to the card."""

    id: str
    object: Literal["refund"] = "refund"
    amount: int
    balance_transaction: str | None = None
    charge: str
    created: int
    currency: str
    description: None = None
    destination_details: Plain
    failure_balance_transaction: str | None = None
    failure_reason: str | None = None
    instructions_email: None = None
    metadata: dict[str, str]
    next_action: None = None
    payment_intent: str
    pending_reason: str | None = None
    reason: str | None = None
    receipt_number: None = None
    source_transfer_reversal: None = None
    status: RefundStatus
    transfer_reversal: None = None


class PaymentMethod(msgspec.Struct, kw_only=True):
    """A saved card; the test number behind it is never shown."""

    id: str
    object: Literal["payment_method"] = "payment_method"
    allow_redisplay: str = "unspecified"
    billing_details: Plain
    card: Plain
    created: int
    customer: str | None = None
    customer_account: None = None
    livemode: bool = False
    metadata: dict[str, str]
    type: Literal["card"] = "card"


class Customer(msgspec.Struct, kw_only=True):
    """Somebody who pays."""

    id: str
    object: Literal["customer"] = "customer"
    address: Plain | None = None
    balance: int = 0
    created: int
    currency: None = None
    default_source: None = None
    delinquent: bool = False
    description: str | None = None
    discount: None = None
    email: str | None = None
    invoice_prefix: str
    invoice_settings: Plain = {}
    livemode: bool = False
    metadata: dict[str, str]
    name: str | None = None
    next_invoice_sequence: int = 1
    phone: str | None = None
    preferred_locales: list[str] = []
    shipping: Plain | None = None
    tax_exempt: str = "none"
    test_clock: None = None


class BalanceTransaction(msgspec.Struct, kw_only=True):
    """One movement of our balance at the provider: what the reconciler compares with."""

    id: str
    object: Literal["balance_transaction"] = "balance_transaction"
    amount: int
    available_on: int
    balance_type: str = "payments"
    created: int
    currency: str
    description: str | None = None
    exchange_rate: None = None
    fee: int
    fee_details: list[Plain]
    net: int
    reporting_category: str
    source: str
    status: Literal["pending", "available"]
    type: str


class Event(msgspec.Struct, kw_only=True):
    """Something that happened; `data` is the object as it was at that moment."""

    id: str
    object: Literal["event"] = "event"
    account: str | None = None
    api_version: str = API_VERSION
    created: int
    data: msgspec.Raw
    livemode: bool = False
    pending_webhooks: int
    request: Plain
    type: str


class WebhookEndpoint(msgspec.Struct, kw_only=True):
    """Where events are sent. The secret is shown only when the endpoint is made."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    api_version: str | None = None
    application: None = None
    created: int
    description: str | None = None
    enabled_events: list[str]
    livemode: bool = False
    metadata: dict[str, str]
    secret: str | None = None
    status: Literal["enabled", "disabled"] = "enabled"
    url: str


Resource = (
    PaymentIntent
    | Charge
    | Refund
    | PaymentMethod
    | Customer
    | BalanceTransaction
    | Event
    | WebhookEndpoint
)
