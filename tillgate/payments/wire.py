"""What the API reads about payments (payment_intents), attempts (charges) and refunds. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tillgate.connectors.port import Presentation
from tillgate.customers.wire import BillingDetails, CardForm, Email, Shipping
from tillgate.kernel.errors import FieldRefused
from tillgate.payments.model import Trace
from tillgate.runtime.idempotency import Claim
from tillgate.web.listing import ListRequest
from tillgate.web.operation import Call
from tillgate.web.reading import (
    Amount,
    CurrencyCode,
    Id,
    MetadataChange,
    Request,
    ShortText,
    Text,
    Url,
    given,
    read_metadata_change,
)

#: What can be cleared or changed of a payment, under the room's own names.
_TERMS = (
    "description",
    "receipt_email",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
)
_CLEARED = {name: name for name in ("payment_method", "shipping")} | {"customer": "customer_id"}

MethodType = Literal["card", "alipay", "wechat_pay"]
Descriptor = Annotated[str, Meta(max_length=22)]


class Empty(Request, frozen=True, kw_only=True):
    """No details are needed."""


class AutomaticMethods(Request, frozen=True, kw_only=True):
    """Offer every method that some provider account of the merchant takes in the currency."""

    enabled: bool
    allow_redirects: Literal["always", "never"] | None = None


class MethodData(Request, frozen=True, kw_only=True):
    """A payment method given on the spot."""

    type: MethodType
    card: CardForm | None = None
    alipay: Empty | None = None
    wechat_pay: Empty | None = None
    billing_details: BillingDetails | None = None
    metadata: MetadataChange | UnsetType = UNSET


class AlipayOptions(Request, frozen=True, kw_only=True):
    """How the customer is brought to Alipay: `page` unless said otherwise."""

    presentation: Literal["page", "wap", "app", "qr"] | None = None
    setup_future_usage: Literal["none"] | None = None


class WechatOptions(Request, frozen=True, kw_only=True):
    """Where the customer is: at a screen with a phone beside it (`web`), or in an app or browser."""

    client: Literal["web", "ios", "android", "mobile_web", "jsapi"] | None = None
    app_id: ShortText | None = None
    openid: ShortText | None = None
    setup_future_usage: Literal["none"] | None = None


class CardOptions(Request, frozen=True, kw_only=True):
    """Options of cards."""

    request_three_d_secure: Literal["automatic", "any", "challenge"] | None = None


class MethodOptions(Request, frozen=True, kw_only=True):
    """Options by type of payment method."""

    alipay: AlipayOptions | None = None
    wechat_pay: WechatOptions | None = None
    card: CardOptions | None = None


class Terms(Request, frozen=True, kw_only=True):
    """What creating and updating have in common."""

    allowed_payment_method_types: list[MethodType] | None = None
    customer: Id | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    metadata: MetadataChange | UnsetType = UNSET
    payment_method: Id | UnsetType | None = UNSET
    payment_method_data: MethodData | None = None
    payment_method_options: MethodOptions | None = None
    payment_method_types: list[MethodType] | None = None
    receipt_email: Email | UnsetType | None = UNSET
    setup_future_usage: Literal["on_session", "off_session"] | UnsetType | None = UNSET
    shipping: Shipping | UnsetType | None = UNSET
    statement_descriptor: Descriptor | UnsetType | None = UNSET
    statement_descriptor_suffix: Descriptor | UnsetType | None = UNSET


class CreateIntent(Terms, frozen=True, kw_only=True):
    """A payment to be made; with `confirm` it is charged at once."""

    amount: Amount
    currency: CurrencyCode
    automatic_payment_methods: AutomaticMethods | None = None
    capture_method: Literal["automatic", "automatic_async", "manual"] = "automatic"
    confirm: bool = False
    confirmation_method: Literal["automatic", "manual"] = "automatic"
    off_session: bool = False
    return_url: Url | None = None
    use_stripe_sdk: bool = False


class ChangeIntent(Terms, frozen=True, kw_only=True):
    """What may be changed of a payment before it is under way."""

    amount: Amount | UnsetType = UNSET
    currency: CurrencyCode | None = None
    capture_method: Literal["automatic", "automatic_async", "manual"] | None = None


class ConfirmIntent(Request, frozen=True, kw_only=True):
    """How the payment is to be paid now."""

    capture_method: Literal["automatic", "automatic_async", "manual"] | None = None
    client_secret: ShortText | None = None
    off_session: bool = False
    payment_method: Id | None = None
    payment_method_data: MethodData | None = None
    payment_method_options: MethodOptions | None = None
    receipt_email: Email | None = None
    return_url: Url | None = None
    setup_future_usage: Literal["on_session", "off_session"] | None = None
    shipping: Shipping | None = None
    use_stripe_sdk: bool = False


class CaptureIntent(Request, frozen=True, kw_only=True):
    """How much of the reserved money is taken; the rest is released."""

    amount_to_capture: Amount | UnsetType = UNSET
    final_capture: bool = True
    metadata: MetadataChange | UnsetType = UNSET
    statement_descriptor: Descriptor | None = None
    statement_descriptor_suffix: Descriptor | None = None


class CancelIntent(Request, frozen=True, kw_only=True):
    """Why the payment is ended."""

    cancellation_reason: (
        Literal["duplicate", "fraudulent", "requested_by_customer", "abandoned"] | None
    ) = None


class RetrieveIntent(Request, frozen=True, kw_only=True):
    """A publishable key needs the payment's client_secret."""

    client_secret: ShortText | None = None


class ListIntents(ListRequest, frozen=True, kw_only=True):
    """Payments, newest first."""

    customer: Id | None = None


class ListCharges(ListRequest, frozen=True, kw_only=True):
    """Charges, newest first."""

    customer: Id | None = None
    payment_intent: Id | None = None


class CreateRefund(Request, frozen=True, kw_only=True):
    """Money to be given back: of a payment_intent or of a charge; all that is left, or `amount`."""

    amount: Amount | UnsetType = UNSET
    charge: Id | None = None
    metadata: MetadataChange | UnsetType = UNSET
    payment_intent: Id | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None


class ChangeRefund(Request, frozen=True, kw_only=True):
    """What may be changed of a refund."""

    metadata: MetadataChange | UnsetType = UNSET


class ListRefunds(ListRequest, frozen=True, kw_only=True):
    """Refunds, newest first."""

    charge: Id | None = None
    payment_intent: Id | None = None


def trace_of(call: Call) -> Trace:
    """Return what facts are to know of the request, and what it has of its key."""
    is_keyed = call.idempotency_key is not None and call.operation.resume is not None
    claim = Claim(call.asked, call.is_held) if is_keyed else None
    return Trace(call.request_id, call.idempotency_key, claim)


def presentation_of(method: str, options: dict[str, Any]) -> Presentation:
    """Return how the customer is brought to the provider."""
    mine: dict[str, Any] = options.get(method) or {}
    if method == "card":
        return "card"
    if method == "alipay":
        return mine.get("presentation") or "page"
    match mine.get("client"):
        case "ios" | "android":
            return "app"
        case "mobile_web":
            return "h5"
        case "jsapi":
            return "jsapi"
        case _:
            return "qr"


def read_options(options: MethodOptions | None) -> dict[str, Any]:
    """Return the options as they are kept: what was given, by type."""
    if options is None:
        return {}
    given: dict[str, dict[str, Any] | None] = msgspec.to_builtins(options)
    return {
        method: {name: value for name, value in fields.items() if value is not None}
        for method, fields in given.items()
        if fields is not None
    }


def read_types(body: Terms) -> list[MethodType] | None:
    """Return the types a payment takes, by Stripe's newer or older name for them."""
    if body.allowed_payment_method_types is not None and body.payment_method_types is not None:
        raise FieldRefused(
            "payment_method_types",
            "allowed_payment_method_types and payment_method_types mean the same; give one.",
        )
    return body.allowed_payment_method_types or body.payment_method_types


def without_redirects(types: list[str], body: CreateIntent, method: str | None) -> list[str]:
    """Leave out what sends the customer elsewhere, where the payment must not."""
    automatic = body.automatic_payment_methods
    if automatic is None or automatic.allow_redirects != "never":
        return types
    if method == "alipay":
        name = "automatic_payment_methods[allow_redirects]"
        raise FieldRefused(name, "Alipay sends the customer to its own page or app.")
    return [kind for kind in types if kind != "alipay"] or ["card"]


def read_terms(body: CreateIntent | ChangeIntent) -> dict[str, Any]:
    """Return what is given of what a payment says and allows, as it is kept."""
    return {name: value for name in _TERMS if (value := getattr(body, name)) is not UNSET}


def read_changes(body: ChangeIntent) -> dict[str, Any]:
    """Return what is to be changed of a payment, the payment method and the currency apart.

    `metadata` and `method_options` are changes of keys: they are merged under the payment's lock.
    """
    changes = read_terms(body)
    for name, own in _CLEARED.items():
        value = getattr(body, name)
        if value is not UNSET and (name != "payment_method" or value is None):
            changes[own] = msgspec.to_builtins(value)
    if body.metadata is not UNSET:
        changes["metadata"] = read_metadata_change(body.metadata)
    types = read_types(body)
    if types is not None:
        changes["method_types"] = list(dict.fromkeys(types))
    if body.payment_method_options is not None:
        changes["method_options"] = read_options(body.payment_method_options)
    for name, value in (("amount", given(body.amount)), ("capture_method", body.capture_method)):
        changes |= {} if value is None else {name: value}
    return changes


def read_words(body: CaptureIntent) -> dict[str, Any]:
    """Return what a capture changes of a payment's words."""
    words: dict[str, Any] = {
        name: value
        for name in ("statement_descriptor", "statement_descriptor_suffix")
        if (value := getattr(body, name)) is not None
    }
    if body.metadata is not UNSET:
        words["metadata"] = read_metadata_change(body.metadata)
    return words


def read_client_secret(given: str | None) -> str:
    """Return the client_secret that a publishable key must come with."""
    if given is None:
        raise FieldRefused(
            "client_secret", "Missing required param: client_secret.", code="parameter_missing"
        )
    return given
