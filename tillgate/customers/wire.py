"""The API's words for customers and payment methods. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tillgate.customers.machine import TEST_NUMBERS, card_details, test_token
from tillgate.customers.model import Change, Customer, PaymentMethod, Trace
from tillgate.kernel.clock import unix
from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.ids import new_id
from tillgate.web.listing import ListRequest
from tillgate.web.operation import Call
from tillgate.web.reading import (
    Id,
    MetadataChange,
    Request,
    ShortText,
    Text,
    read_metadata,
    read_metadata_change,
)

Email = Annotated[str, Meta(max_length=512)]
Clearable = ShortText | UnsetType | None
MethodType = Literal["card", "alipay", "wechat_pay"]


class Address(Request, frozen=True, kw_only=True):
    """A postal address."""

    city: ShortText | None = None
    country: Annotated[str, Meta(max_length=2)] | None = None
    line1: ShortText | None = None
    line2: ShortText | None = None
    postal_code: ShortText | None = None
    state: ShortText | None = None


class Shipping(Request, frozen=True, kw_only=True):
    """Where something is sent."""

    address: Address
    name: ShortText
    phone: ShortText | None = None
    carrier: ShortText | None = None
    tracking_number: ShortText | None = None


class InvoiceSettings(Request, frozen=True, kw_only=True):
    """The one setting of invoices that concerns us."""

    default_payment_method: Id | None = None


class ChangeCustomer(Request, frozen=True, kw_only=True):
    """What may be changed of a customer; `""` clears a field."""

    address: Address | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    invoice_settings: InvoiceSettings | UnsetType = UNSET
    metadata: MetadataChange | UnsetType = UNSET
    name: Clearable = UNSET
    phone: Clearable = UNSET
    preferred_locales: list[Annotated[str, Meta(max_length=35)]] | UnsetType = UNSET
    shipping: Shipping | UnsetType | None = UNSET


class CreateCustomer(ChangeCustomer, frozen=True, kw_only=True):
    """A new customer; everything is optional."""

    payment_method: Id | UnsetType = UNSET


class ListCustomers(ListRequest, frozen=True, kw_only=True):
    """Customers, newest first."""

    email: Email | None = None


class ShownInvoiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Invoice settings as Stripe shows them."""

    custom_fields: None = None
    default_payment_method: str | None = None
    footer: None = None
    rendering_options: None = None


class ShownCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer."""

    id: str
    object: str = "customer"
    address: dict[str, Any] | None
    balance: int = 0
    cash_balance: None = None
    created: int
    currency: str | None = None
    default_source: str | None = None
    delinquent: bool = False
    description: str | None
    discount: None = None
    email: str | None
    invoice_prefix: str
    invoice_settings: ShownInvoiceSettings
    livemode: bool
    metadata: dict[str, str]
    name: str | None
    next_invoice_sequence: int = 1
    phone: str | None
    preferred_locales: list[str]
    shipping: dict[str, Any] | None
    tax_exempt: str = "none"
    test_clock: None = None
    sequence: int


class DeletedCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer that was deleted."""

    id: str
    object: str = "customer"
    deleted: bool = True


def read_new_customer(call: Call, body: CreateCustomer, at: datetime) -> Change:
    """Return the customer to be made."""
    method = body.payment_method or None
    fields = _changes(body)
    fields.pop("default_payment_method", None)
    fields["metadata"] = read_metadata(body.metadata)
    customer = Customer(merchant_id=call.merchant_id, id=new_id("cus"), created_at=at, **fields)
    settings = body.invoice_settings
    if method and settings is not UNSET and settings.default_payment_method == method:
        customer = msgspec.structs.replace(customer, default_payment_method=method)
    return Change(
        merchant_id=call.merchant_id,
        id=customer.id,
        new=customer,
        attach_to=read_token(method, livemode=call.livemode) if method else None,
        trace=trace_of(call),
    )


def read_customer_change(call: Call, body: ChangeCustomer) -> Change:
    """Return what is to be changed of the customer in the path."""
    changes = _changes(body)
    if body.metadata is not UNSET:
        changes["metadata"] = read_metadata_change(body.metadata)
    return Change(merchant_id=call.merchant_id, id=call.id, changes=changes, trace=trace_of(call))


def read_token(token: str, *, livemode: bool) -> str:
    """Return `pm_card_visa` for `tok_visa` in test mode; anything else as it is."""
    return read_test_token(token, livemode=livemode) or token


def read_test_token(token: str, *, livemode: bool) -> str | None:
    """Return the `pm_card_…` of a test token; None where it is none, or in live mode."""
    return None if livemode else test_token(token)


def trace_of(call: Call) -> Trace:
    """Return what facts are to know of the request."""
    return Trace(call.request_id, call.idempotency_key)


def _changes(body: ChangeCustomer) -> dict[str, Any]:
    """Return the fields that were given, under the room's names."""
    names = ("description", "email", "name", "phone", "preferred_locales")
    changes: dict[str, Any] = {
        name: value for name in names if (value := getattr(body, name)) is not UNSET
    }
    for name in ("address", "shipping"):
        value = getattr(body, name)
        if value is not UNSET:
            changes[name] = None if value is None else msgspec.to_builtins(value)
    email = changes.get("email")
    if email is not None and ("@" not in email or email.startswith("@") or email.endswith("@")):
        raise FieldRefused("email", f"Invalid email address: {email[:80]}", code="email_invalid")
    if body.invoice_settings is not UNSET:
        changes["default_payment_method"] = body.invoice_settings.default_payment_method
    return changes


def show_customer(customer: Customer, *, livemode: bool) -> ShownCustomer:
    """Show a customer."""
    return ShownCustomer(
        id=customer.id,
        address=customer.address,
        created=unix(customer.created_at),
        description=customer.description,
        email=customer.email,
        invoice_prefix=customer.id[-8:].upper(),
        invoice_settings=ShownInvoiceSettings(
            default_payment_method=customer.default_payment_method
        ),
        livemode=livemode,
        metadata=customer.metadata,
        name=customer.name,
        phone=customer.phone,
        preferred_locales=customer.preferred_locales,
        shipping=customer.shipping,
        sequence=customer.sequence,
    )


def show_present_or_deleted(
    customer: Customer, *, livemode: bool
) -> ShownCustomer | DeletedCustomer:
    """Show a customer, or that it was deleted."""
    if customer.deleted_at is not None:
        return DeletedCustomer(id=customer.id)
    return show_customer(customer, livemode=livemode)


# Payment methods -------------------------------------------------------------------------------


class CardForm(Request, frozen=True, kw_only=True):
    """A card: the provider's token; in test mode a documented test number instead."""

    token: Id | None = None
    number: Annotated[str, Meta(max_length=40)] | None = None
    exp_month: Annotated[int, Meta(ge=1, le=12)] | None = None
    exp_year: Annotated[int, Meta(ge=0, le=2200)] | None = None
    cvc: Annotated[str, Meta(max_length=4)] | None = None
    networks: dict[str, Any] | None = None


class BillingDetails(Request, frozen=True, kw_only=True):
    """Who pays the bill."""

    address: Address | None = None
    email: Email | None = None
    name: ShortText | None = None
    phone: ShortText | None = None
    tax_id: ShortText | None = None


class Empty(Request, frozen=True, kw_only=True):
    """Alipay and WeChat Pay need no details."""


class CreateMethod(Request, frozen=True, kw_only=True):
    """A new payment method."""

    type: MethodType
    card: CardForm | None = None
    alipay: Empty | None = None
    wechat_pay: Empty | None = None
    billing_details: BillingDetails | None = None
    metadata: MetadataChange | UnsetType = UNSET
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None


class CardChange(Request, frozen=True, kw_only=True):
    """What may be changed of a card."""

    exp_month: Annotated[int, Meta(ge=1, le=12)] | None = None
    exp_year: Annotated[int, Meta(ge=2000, le=2200)] | None = None


class ChangeMethod(Request, frozen=True, kw_only=True):
    """What may be changed of a payment method."""

    billing_details: BillingDetails | None = None
    card: CardChange | None = None
    metadata: MetadataChange | UnsetType = UNSET
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None


class AttachMethod(Request, frozen=True, kw_only=True):
    """To whom a payment method is attached."""

    customer: Id


class ListMethods(ListRequest, frozen=True, kw_only=True):
    """A customer's payment methods, newest first."""

    customer: Id
    type: MethodType | None = None
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None


class ListCustomerMethods(ListRequest, frozen=True, kw_only=True):
    """The payment methods of the customer in the path, newest first."""

    type: MethodType | None = None
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None


class ShownMethod(msgspec.Struct, frozen=True, kw_only=True):
    """A payment method; besides `type` it has one property of that name."""

    id: str
    object: str = "payment_method"
    allow_redisplay: str
    billing_details: dict[str, Any]
    card: dict[str, Any] | UnsetType = UNSET
    alipay: dict[str, Any] | UnsetType = UNSET
    wechat_pay: dict[str, Any] | UnsetType = UNSET
    created: int
    customer: str | None
    customer_account: None = None
    livemode: bool
    metadata: dict[str, str]
    type: str
    sequence: int


def read_new_method(call: Call, body: CreateMethod, at: datetime) -> Change:
    """Return the payment method to be made."""
    token, details = None, dict[str, Any]()
    if body.type == "card":
        token, details = read_card(body.card, livemode=call.livemode)
    if body.allow_redisplay:
        details["allow_redisplay"] = body.allow_redisplay
    method = PaymentMethod(
        merchant_id=call.merchant_id,
        id=new_id("pm"),
        type=body.type,
        provider_token=token,
        details=details,
        billing_details=_billing(body.billing_details),
        metadata=read_metadata(body.metadata),
        created_at=at,
    )
    return Change(merchant_id=call.merchant_id, id=method.id, new=method, trace=trace_of(call))


def read_card(card: CardForm | None, *, livemode: bool) -> tuple[str, dict[str, Any]]:
    """Return a card's token and what may be shown of it. No number survives this function."""
    if card is None or (card.token is None and card.number is None):
        raise FieldRefused("card", "Missing required param: card.", code="parameter_missing")
    expiry = {"exp_month": card.exp_month, "exp_year": _year(card.exp_year)}
    if card.number is None:
        assert card.token is not None, "one of the two is there"
        token = read_token(card.token, livemode=livemode)
        if token.startswith("tok_") and not livemode:
            raise FieldRefused("card[token]", f"No such token: '{token}'", code="resource_missing")
        return token, {**card_details(token), **_given(expiry)}
    if livemode:
        raise FieldRefused(
            "card[number]",
            "Card numbers are never sent to this server in live mode; send the provider's token.",
            code="card_number_refused",
        )
    token = TEST_NUMBERS.get(card.number.replace(" ", "").replace("-", ""))
    if token is None:
        raise FieldRefused(
            "card[number]",
            "In test mode only the documented test numbers are accepted.",
            code="incorrect_number",
        )
    return token, {**card_details(token), **_given(expiry)}


def _year(year: int | None) -> int | None:
    return year + 2000 if year is not None and year < 100 else year


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _billing(billing: BillingDetails | None) -> dict[str, Any]:
    return {} if billing is None else _given(msgspec.to_builtins(billing))


def read_method_change(call: Call, body: ChangeMethod) -> Change:
    """Return what is to be changed of the payment method in the path."""
    changes: dict[str, Any] = {}
    if body.billing_details is not None:
        changes["billing_details"] = _billing(body.billing_details)
    details = _given(
        {
            "exp_month": body.card.exp_month if body.card else None,
            "exp_year": body.card.exp_year if body.card else None,
            "allow_redisplay": body.allow_redisplay,
        }
    )
    if details:
        changes["details"] = details
    if body.metadata is not UNSET:
        changes["metadata"] = read_metadata_change(body.metadata)
    return Change(merchant_id=call.merchant_id, id=call.id, changes=changes, trace=trace_of(call))


def show_method(method: PaymentMethod, *, livemode: bool) -> ShownMethod:
    """Show a payment method."""
    own: dict[str, Any] = {method.type: {}}
    if method.type == "card":
        own = {"card": show_card(method.details)}
    billing = dict.fromkeys(("address", "email", "name", "phone", "tax_id"))
    return ShownMethod(
        id=method.id,
        allow_redisplay=method.details.get("allow_redisplay", "unspecified"),
        billing_details={**billing, **method.billing_details},
        created=unix(method.created_at),
        customer=method.customer_id,
        livemode=livemode,
        metadata=method.metadata,
        type=method.type,
        sequence=method.sequence,
        **own,
    )


def show_card(details: dict[str, Any]) -> dict[str, Any]:
    """Show what may be shown of a card."""
    brand = details.get("brand", "unknown")
    return {
        "brand": brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": None,
        },
        "country": details.get("country"),
        "display_brand": brand,
        "exp_month": details.get("exp_month"),
        "exp_year": details.get("exp_year"),
        "fingerprint": None,
        "funding": details.get("funding", "unknown"),
        "generated_from": None,
        "last4": details.get("last4", ""),
        "networks": {"available": [brand], "preferred": None},
        "regulated_status": None,
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def test_method(merchant_id: int, token: str, at: datetime) -> PaymentMethod:
    """Return a test token such as `pm_card_visa` as the payment method it stands for."""
    return PaymentMethod(
        merchant_id=merchant_id,
        id=token,
        type="card",
        provider_token=token,
        details=card_details(token),
        created_at=at,
    )
