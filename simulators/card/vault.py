"""Saved cards and the people they belong to."""

from functools import lru_cache
from typing import Final

from simulators.card.books import Books
from simulators.card.cards import ALIASES, CARDS, TOKENS, Card, passes_luhn
from simulators.card.declines import card_error
from simulators.card.errors import ApiError, invalid, missing, no_such, refused
from simulators.card.form import (
    Form,
    choice,
    flag,
    mapping,
    metadata,
    only,
    required,
    text,
    whole,
)
from simulators.card.objects import Customer, PaymentMethod, Plain

_METHOD: Final = frozenset(
    {"type", "card", "billing_details", "metadata", "allow_redisplay", "expand"}
)
_CUSTOMER: Final = frozenset(
    {"address", "description", "email", "metadata", "name", "phone", "shipping", "expand"}
    | {"payment_method", "invoice_settings", "preferred_locales", "tax_exempt", "source"}
)


def create_method(books: Books, form: Form) -> PaymentMethod:
    """POST /v1/payment_methods: save a card given by token or by test number."""
    only(form, _METHOD)
    if required(form, "type") != "card":
        raise invalid("This simulator only knows payment methods of type card.", "type")
    return save_card(books, _card_given(mapping(form, "card")), form)


def _card_given(given: Form) -> Card:
    token = text(given, "token")
    if token is not None:
        card = TOKENS.get(token)
        if card is None:
            raise no_such("token", token, "card[token]", status=400)
        return card
    number = text(given, "number")
    if number is None:
        raise missing("card[number]")
    return _card_numbered(number.replace(" ", ""), given)


def _card_numbered(number: str, given: Form) -> Card:
    if not number.isdigit() or not passes_luhn(number):
        raise _card_refused("incorrect_number", "Your card number is incorrect.", "number")
    card = CARDS.get(number)
    if card is None:
        message = "Your card was declined. Your request was in test mode, but used a non test card."
        raise _card_refused("card_declined", message, "number", "test_mode_live_card")
    month, year = whole(given, "exp_month"), whole(given, "exp_year")
    if month is None or year is None:
        raise missing("card[exp_month]" if month is None else "card[exp_year]")
    if not 1 <= month <= 12:
        raise _card_refused(
            "invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month"
        )
    return card


def _card_refused(code: str, message: str, param: str, decline: str | None = None) -> ApiError:
    error: Plain = {"type": "card_error", "code": code, "message": message, "param": param}
    if decline is not None:
        error["decline_code"] = decline
    return ApiError(402, error)


def save_card(books: Books, card: Card, form: Form) -> PaymentMethod:
    """Keep the card under a new payment method."""
    given = mapping(form, "card")
    month, year = whole(given, "exp_month") or 12, whole(given, "exp_year") or 2034
    details = mapping(form, "billing_details")
    method = PaymentMethod(
        id=books.new_id("pm"),
        billing_details=_billing(details) if details else _NO_BILLING,
        card=_card_shown(card, month, year),
        created=books.now(),
        metadata=metadata(form),
    )
    books.keep_card(method, card)
    return method


def _billing(given: Form) -> Plain:
    shown: Plain = {name: given.get(name) for name in ("address", "email", "name", "phone")}
    return shown | {"tax_id": None}


_NO_BILLING: Final = _billing({})


@lru_cache(maxsize=1024)
def _card_shown(card: Card, month: int, year: int) -> Plain:
    """Show a card; the same card is one dictionary, however often it is saved."""
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": card.address_check,
            "address_postal_code_check": card.postal_check,
            "cvc_check": card.cvc_check,
        },
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": f"fp{int(card.number):x}",
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": card.brand != "amex"},
        "wallet": None,
    }


def named_method(books: Books, name: str) -> PaymentMethod:
    """Return the payment method a request names; a `pm_card_…` alias makes a new one."""
    alias = ALIASES.get(name)
    if alias is not None:
        return save_card(books, alias, {})
    return books.methods.get(name, "payment_method", status=400)


def given_method(books: Books, form: Form, customer: str | None) -> PaymentMethod | None:
    """Return the payment method a payment names or carries inline, if it does either."""
    name = text(form, "payment_method")
    if name is not None:
        method = named_method(books, name)
        require_usable(books, method, customer)
        return method
    data = mapping(form, "payment_method_data")
    if not data:
        return None
    return create_method(books, data)


def require_usable(books: Books, method: PaymentMethod, customer: str | None) -> None:
    """Refuse somebody else's card, and a card that was used up."""
    if method.customer is not None and method.customer != customer:
        raise refused(
            "The payment method you provided is attached to a customer so for security purposes "
            "you must provide the customer in the request.",
            param="payment_method",
        )
    if method.customer is None and books.is_used_up(method.id):
        raise refused(
            "The provided PaymentMethod was previously used with a PaymentIntent without "
            "Customer attachment, or was detached from a Customer. It may not be used again.",
            param="payment_method",
        )


def attach(books: Books, method_id: str, form: Form) -> PaymentMethod:
    """POST /v1/payment_methods/{id}/attach: most declining cards are refused already here."""
    only(form, frozenset({"customer", "expand"}))
    customer = books.customers.get(required(form, "customer"), "customer", status=400)
    method = named_method(books, method_id)
    if method.customer not in (None, customer.id):
        raise refused(
            "The payment method you provided has already been attached to a customer.",
            code="resource_already_exists",
        )
    card = books.card_of(method.id)
    if card.decline is not None and not card.attaches:
        raise card_error(card.decline)
    require_usable(books, method, customer.id)
    method.customer = customer.id
    books.methods.save(method)
    books.publish("payment_method.attached", method)
    return method


def detach(books: Books, method_id: str) -> PaymentMethod:
    """POST /v1/payment_methods/{id}/detach"""
    method = books.methods.get(method_id)
    if method.customer is None:
        raise refused("The payment method you provided is not attached to a customer.")
    method.customer = None
    books.methods.save(method)
    books.use_up(method.id)
    books.publish("payment_method.detached", method)
    return method


def create_customer(books: Books, form: Form) -> Customer:
    """POST /v1/customers"""
    only(form, _CUSTOMER)
    identity = books.new_id("cus")
    customer = Customer(
        id=identity,
        created=books.now(),
        invoice_prefix=identity[-8:].upper(),
        metadata={},
    )
    _describe(customer, form)
    books.customers.add(customer)
    books.publish("customer.created", customer)
    method = text(form, "payment_method")
    if method is not None:
        attach(books, method, {"customer": customer.id})
    return customer


def update_customer(books: Books, customer_id: str, form: Form) -> Customer:
    """POST /v1/customers/{id}"""
    only(form, _CUSTOMER)
    customer = books.customers.get(customer_id)
    _describe(customer, form)
    books.customers.save(customer)
    books.publish("customer.updated", customer, {})
    return customer


def _describe(customer: Customer, form: Form) -> None:
    for name in ("description", "email", "name", "phone"):
        if name in form:
            setattr(customer, name, text(form, name))
    for name in ("address", "shipping"):
        if name in form:
            setattr(customer, name, mapping(form, name) or None)
    customer.tax_exempt = (
        choice(form, "tax_exempt", ("none", "exempt", "reverse")) or customer.tax_exempt
    )
    customer.metadata = metadata(form, customer.metadata)


def wants_save(form: Form) -> bool:
    """Tell whether the payment asks to keep the card for payments without the holder."""
    return text(form, "setup_future_usage") == "off_session" or flag(form, "save_payment_method")
