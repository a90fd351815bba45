"""The verbs of a payment intent, and the end of its challenge."""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from simulators.card.books import Books
from simulators.card.charging import CHALLENGE_FAILED, Manner, Terms, attempt, fail, take
from simulators.card.errors import invalid, missing, unexpected_state
from simulators.card.form import (
    Form,
    choice,
    flag,
    listed,
    mapping,
    metadata,
    only,
    required,
    text,
    whole,
)
from simulators.card.money import check_amount, check_currency
from simulators.card.objects import PaymentIntent, PaymentMethod, Plain
from simulators.card.vault import given_method, wants_save

_SHARED: Final = frozenset(
    {"amount", "currency", "customer", "description", "metadata", "payment_method", "expand"}
    | {"payment_method_data", "payment_method_options", "payment_method_types", "receipt_email"}
    | {"setup_future_usage", "shipping", "statement_descriptor", "statement_descriptor_suffix"}
    | {"transfer_group", "capture_method", "save_payment_method"}
)
_HOW: Final = frozenset(
    {"off_session", "return_url", "error_on_requires_action", "use_stripe_sdk", "mandate_data"}
    | {"confirmation_token", "radar_options", "client_secret"}
)
_CREATE: Final = _SHARED | _HOW | {"confirm", "confirmation_method", "automatic_payment_methods"}
_CONFIRM: Final = _HOW | frozenset(
    {"payment_method", "payment_method_data", "payment_method_options", "payment_method_types"}
    | {"receipt_email", "setup_future_usage", "shipping", "capture_method", "expand"}
    | {"save_payment_method"}
)
_CAPTURE: Final = frozenset(
    {"amount_to_capture", "final_capture", "metadata", "expand", "amount_details"}
    | {"statement_descriptor", "statement_descriptor_suffix", "application_fee_amount"}
)
# Shared by every intent, and so never changed in place.
_CARD: Final = ["card"]
_AUTOMATIC: Final[dict[str, Plain]] = {
    redirects: {"allow_redirects": redirects, "enabled": True} for redirects in ("always", "never")
}
_OPEN: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
_TEXTS: Final = (
    "description",
    "receipt_email",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
_CAPTURE_METHODS: Final = ("automatic", "automatic_async", "manual")
_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")


def create(books: Books, terms: Terms, form: Form, fate: Manner) -> PaymentIntent:
    """POST /v1/payment_intents"""
    only(form, _CREATE)
    intent = _new(books, form)
    confirms = flag(form, "confirm")
    if confirms:
        _require_return_url(intent, form)
    manner = _manner(form, fate)
    method = given_method(books, form, intent.customer)
    if method is not None:
        intent.payment_method = method.id
        intent.status = "requires_confirmation"
    elif confirms:
        raise missing("payment_method")
    books.intents.add(intent)
    books.tag(intent)
    books.publish("payment_intent.created", intent)
    if confirms and method is not None:
        attempt(books, terms, intent, method, manner)
    return intent


def _new(books: Books, form: Form) -> PaymentIntent:
    amount = whole(form, "amount")
    if amount is None:
        raise missing("amount")
    currency = check_currency(required(form, "currency"))
    customer = text(form, "customer")
    if customer is not None:
        books.customers.get(customer, "customer", status=400)
    automatic, kinds = _kinds(form)
    identity = books.new_id("pi")
    intent = PaymentIntent(
        id=identity,
        amount=check_amount(amount, currency),
        automatic_payment_methods=automatic,
        client_secret=books.new_id(f"{identity}_secret"),
        confirmation_method=choice(form, "confirmation_method", ("automatic", "manual"))
        or "automatic",
        created=books.now(),
        currency=currency,
        customer=customer,
        metadata=metadata(form),
        payment_method_types=kinds,
        status="requires_payment_method",
    )
    _describe(intent, form)
    return intent


def _kinds(form: Form) -> tuple[Plain | None, list[str]]:
    """Return the automatic setting and the kinds of payment; naming kinds turns automatic off."""
    kinds = listed(form, "payment_method_types")
    if kinds:
        if kinds != ["card"]:
            raise invalid("This simulator only takes cards.", "payment_method_types")
        return None, _CARD
    automatic = mapping(form, "automatic_payment_methods")
    if automatic and not flag(automatic, "enabled"):
        return None, _CARD
    redirects = choice(automatic, "allow_redirects", ("always", "never")) or "always"
    return _AUTOMATIC[redirects], _CARD


def _describe(intent: PaymentIntent, form: Form) -> None:
    for name in _TEXTS:
        if name in form:
            setattr(intent, name, text(form, name))
    if "shipping" in form:
        intent.shipping = dict(mapping(form, "shipping")) or None
    if "payment_method_options" in form:
        intent.payment_method_options = dict(mapping(form, "payment_method_options")) or None
    intent.capture_method = (
        choice(form, "capture_method", _CAPTURE_METHODS) or intent.capture_method
    )


def _become(intent: PaymentIntent, draft: PaymentIntent) -> None:
    """Let the intent be as the draft is, now that nothing in the form was refused."""
    for name in PaymentIntent.__struct_fields__:
        setattr(intent, name, getattr(draft, name))


def _require_return_url(intent: PaymentIntent, form: Form) -> None:
    """Insist on a return address where another kind of payment could send the payer away."""
    automatic = intent.automatic_payment_methods
    if automatic is None or automatic["allow_redirects"] == "never":
        return
    if text(form, "return_url") is None and not _is_off_session(form):
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your "
            "Dashboard. Because some of these payment methods might redirect your customer off "
            "of your page, you must provide a `return_url`. If you don't want to accept "
            "redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` "
            "and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup "
            "Intents and Payment Intents.",
            "return_url",
        )


def _is_off_session(form: Form) -> bool:
    return text(form, "off_session") in ("true", "one_off", "recurring")


def _manner(form: Form, fate: Manner) -> Manner:
    return_url = text(form, "return_url")
    if return_url is not None and "://" not in return_url:
        raise invalid("Not a valid URL", "return_url", "url_invalid")
    return replace(
        fate,
        off_session=_is_off_session(form),
        return_url=return_url,
        refuses_action=flag(form, "error_on_requires_action"),
        saves=wants_save(form),
    )


def update(books: Books, intent_id: str, form: Form) -> PaymentIntent:
    """POST /v1/payment_intents/{id}"""
    only(form, _SHARED)
    intent = books.intents.get(intent_id)
    amount = whole(form, "amount")
    if amount is not None or "currency" in form or "payment_method" in form:
        _require_state(intent, _OPEN, "updated")
    draft = replace(intent)
    if "currency" in form:
        draft.currency = check_currency(required(form, "currency"))
    if amount is not None:
        draft.amount = check_amount(amount, draft.currency)
    _describe(draft, form)
    draft.metadata = metadata(form, intent.metadata)
    method = given_method(books, form, intent.customer)
    if method is not None:
        draft.payment_method = method.id
        draft.status = "requires_confirmation"
    _become(intent, draft)
    books.tag(intent)
    books.intents.save(intent)
    return intent


def confirm(books: Books, terms: Terms, intent_id: str, form: Form, fate: Manner) -> PaymentIntent:
    """POST /v1/payment_intents/{id}/confirm"""
    only(form, _CONFIRM)
    intent = books.intents.get(intent_id)
    _require_state(intent, _OPEN, "confirmed")
    _require_return_url(intent, form)
    manner = _manner(form, fate)
    method = given_method(books, form, intent.customer)
    if method is None and intent.payment_method is not None:
        method = books.methods.get(intent.payment_method)
    if method is None:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method. "
            "You can either update the PaymentIntent with a payment method and then confirm it "
            "again, or confirm it again directly with a payment method."
        )
        raise unexpected_state(message, intent)
    draft = replace(intent)
    _describe(draft, form)
    _become(intent, draft)
    saves = manner.saves or intent.setup_future_usage == "off_session"
    attempt(books, terms, intent, method, replace(manner, saves=saves))
    return intent


def _require_state(intent: PaymentIntent, allowed: Iterable[str], deed: str) -> None:
    if intent.status not in allowed:
        message = (
            f"This PaymentIntent's status is {intent.status}; "
            f"only a PaymentIntent with one of the following statuses may be {deed}: "
            f"{', '.join(allowed)}."
        )
        raise unexpected_state(message, intent)


def capture(books: Books, terms: Terms, intent_id: str, form: Form) -> PaymentIntent:
    """POST /v1/payment_intents/{id}/capture: what is not captured is let go."""
    only(form, _CAPTURE)
    intent = books.intents.get(intent_id)
    asked = whole(form, "amount_to_capture")
    _require_state(intent, ("requires_capture",), "captured")
    amount = intent.amount_capturable if asked is None else asked
    if amount < 1:
        raise invalid("Invalid positive integer", "amount_to_capture")
    if amount > intent.amount_capturable:
        message = (
            f"The requested capture amount ({amount}) is greater than the amount you can "
            f"capture for this PaymentIntent ({intent.amount_capturable})."
        )
        raise invalid(message, "amount_to_capture", "amount_too_large")
    check_amount(amount, intent.currency)
    charge = books.charges.get(intent.latest_charge or "")
    intent.metadata = metadata(form, intent.metadata)
    books.tag(intent)
    take(books, terms, intent, charge, amount)
    books.publish("charge.captured", charge)
    books.publish("payment_intent.succeeded", intent)
    return intent


def cancel(books: Books, intent_id: str, form: Form) -> PaymentIntent:
    """POST /v1/payment_intents/{id}/cancel: an authorisation is let go."""
    only(form, frozenset({"cancellation_reason", "expand"}))
    intent = books.intents.get(intent_id)
    reason = choice(form, "cancellation_reason", _REASONS)
    _require_state(intent, (*_OPEN, "requires_capture"), "canceled")
    end(books, intent, reason)
    return intent


def end(books: Books, intent: PaymentIntent, reason: str | None) -> None:
    """Bring an unpaid intent to its end."""
    was_authorised = intent.status == "requires_capture"
    intent.status = "canceled"
    intent.canceled_at = books.now()
    intent.cancellation_reason = reason
    intent.amount_capturable = 0
    intent.next_action = None
    books.intents.save(intent)
    if was_authorised:
        charge = books.charges.get(intent.latest_charge or "")
        charge.amount_refunded = charge.amount
        charge.refunded = True
        books.charges.save(charge)
        books.publish("charge.refunded", charge, {"amount_refunded": 0, "refunded": False})
    books.publish("payment_intent.canceled", intent)


def finish_challenge(
    books: Books, terms: Terms, intent: PaymentIntent, manner: Manner, *, passed: bool
) -> None:
    """The holder answered the challenge. A decline after it is not an error of the holder's."""
    _require_state(intent, ("requires_action",), "authenticated")
    method = books.methods.get(intent.payment_method or "")
    if not passed:
        fail(books, intent, method, CHALLENGE_FAILED)
        return
    saves = intent.setup_future_usage == "off_session"
    attempt(books, terms, intent, method, replace(manner, is_authenticated=True, saves=saves))


def pay_by_hand(
    books: Books, terms: Terms, intent: PaymentIntent, method: PaymentMethod, manner: Manner
) -> None:
    """A person pays an intent that was left open, as they would with the card form."""
    _require_state(intent, _OPEN, "paid")
    attempt(books, terms, intent, method, replace(manner, skips_challenge=True))
