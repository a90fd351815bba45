"""What happens between the card and its issuer: challenge, approval, decline, capture.

Everything here moves one payment intent and publishes what it did, in Stripe's order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from simulators.card.books import Books
from simulators.card.cards import AUTHENTICATION_REQUIRED, GENERIC, Card, Decline
from simulators.card.declines import card_error, outcome, payment_error
from simulators.card.errors import ApiError
from simulators.card.money import Tariff, book_charge
from simulators.card.objects import Charge, PaymentIntent, PaymentMethod

LATER_SECONDS: Final = 5.0
CHALLENGE_FAILED: Final = Decline(
    "payment_intent_authentication_failure",
    None,
    "The provided PaymentMethod has failed authentication. You can provide "
    "payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
    None,
)


@dataclass(slots=True)
class Terms:
    """How this provider works: where its pages are (known once it listens), what it charges."""

    later: Callable[[float, Callable[[], None]], None]
    public_url: str = ""
    tariff: Tariff = field(default_factory=Tariff)


class Manner(msgspec.Struct, frozen=True):
    """How one confirmation is to be done; `forced` and `told` are faults."""

    off_session: bool = False
    return_url: str | None = None
    refuses_action: bool = False
    is_authenticated: bool = False
    saves: bool = False
    forced: Decline | None = None
    skips_challenge: bool = False
    told_amount: int | None = None
    on_behalf_of: str | None = None


def attempt(
    books: Books, terms: Terms, intent: PaymentIntent, method: PaymentMethod, manner: Manner
) -> None:
    """Try to take the money once; a decline is raised after it was recorded."""
    card = books.card_of(method.id)
    intent.payment_method = method.id
    if _needs_challenge(books, card, method, manner):
        if manner.off_session or manner.refuses_action:
            raise decline(books, intent, method, AUTHENTICATION_REQUIRED)
        _challenge(books, terms, intent, manner)
        return
    reason = manner.forced or card.decline
    if reason is None and manner.is_authenticated:
        reason = card.after_challenge
    if reason is not None:
        raise decline(books, intent, method, reason)
    _approve(books, terms, intent, method, manner)


def _needs_challenge(books: Books, card: Card, method: PaymentMethod, manner: Manner) -> bool:
    if card.challenge == "never" or manner.is_authenticated or manner.skips_challenge:
        return False
    if card.challenge == "always":
        return True
    return not (manner.off_session and books.is_set_up(method.id))


def _challenge(books: Books, terms: Terms, intent: PaymentIntent, manner: Manner) -> None:
    url = f"{terms.public_url}/3ds/{intent.id}?key={intent.client_secret[-24:]}"
    if manner.return_url is None:
        intent.next_action = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
        }
    else:
        books.return_urls[intent.id] = manner.return_url
        intent.next_action = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": manner.return_url, "url": url},
        }
    intent.status = "requires_action"
    books.intents.save(intent)
    books.publish("payment_intent.requires_action", intent)


def decline(
    books: Books, intent: PaymentIntent, method: PaymentMethod, reason: Decline
) -> ApiError:
    """Record a declined attempt and return the 402 that tells of it."""
    charge = _charge(books, intent, method, reason)
    books.add_charge(charge)
    intent.latest_charge = charge.id
    books.publish("charge.failed", charge)
    fail(books, intent, method, reason, charge.id)
    return card_error(reason, charge=charge.id, method=method, intent=intent)


def fail(
    books: Books,
    intent: PaymentIntent,
    method: PaymentMethod | None,
    reason: Decline,
    charge: str | None = None,
) -> None:
    """Send the intent back to where it needs another card."""
    intent.last_payment_error = payment_error(reason, charge, method)
    intent.payment_method = None
    intent.next_action = None
    intent.status = "requires_payment_method"
    books.intents.save(intent)
    books.publish("payment_intent.payment_failed", intent)


def _approve(
    books: Books, terms: Terms, intent: PaymentIntent, method: PaymentMethod, manner: Manner
) -> None:
    charge = _charge(books, intent, method, None)
    charge.on_behalf_of = intent.on_behalf_of = manner.on_behalf_of
    intent.latest_charge = charge.id
    intent.last_payment_error = None
    intent.next_action = None
    _keep(books, intent, method, manner)
    if books.card_of(method.id).settles != "at_once":
        _process(books, terms, intent, charge)
        return
    if intent.capture_method == "manual":
        intent.status = "requires_capture"
        intent.amount_capturable = intent.amount
        books.add_charge(charge)
        books.intents.save(intent)
        books.publish("charge.succeeded", charge)
        books.publish("payment_intent.amount_capturable_updated", intent)
        return
    books.add_charge(charge)
    take(books, terms, intent, charge, intent.amount)
    if manner.told_amount is not None:
        intent.amount_received = manner.told_amount
    books.publish("charge.succeeded", charge)
    books.publish("payment_intent.succeeded", intent)


def _keep(books: Books, intent: PaymentIntent, method: PaymentMethod, manner: Manner) -> None:
    """Keep the card for its holder when asked to; a card nobody keeps is used up."""
    if manner.saves:
        books.set_up(method.id)
    if method.customer is None and intent.customer and intent.setup_future_usage:
        method.customer = intent.customer
        books.methods.save(method)
        books.publish("payment_method.attached", method)
    elif method.customer is None:
        books.use_up(method.id)


def _process(books: Books, terms: Terms, intent: PaymentIntent, charge: Charge) -> None:
    charge.status = "pending"
    charge.paid = False
    intent.status = "processing"
    books.add_charge(charge)
    books.intents.save(intent)
    books.publish("charge.pending", charge)
    books.publish("payment_intent.processing", intent)
    settle_later(books, terms, intent)


def settle_later(books: Books, terms: Terms, intent: PaymentIntent) -> None:
    """Bring a payment in processing to its end, after a while."""
    charge = books.charges.get(intent.latest_charge or "")
    method = books.methods.get(charge.payment_method)

    def settle() -> None:
        if books.card_of(method.id).settles == "later":
            charge.status = "succeeded"
            charge.paid = True
            take(books, terms, intent, charge, intent.amount)
            books.publish("charge.succeeded", charge)
            books.publish("payment_intent.succeeded", intent)
            return
        charge.status = "failed"
        charge.failure_code, charge.failure_message = GENERIC.code, GENERIC.message
        charge.outcome = outcome(GENERIC, "normal")
        books.charges.save(charge)
        books.publish("charge.failed", charge)
        fail(books, intent, method, GENERIC, charge.id)

    terms.later(LATER_SECONDS, settle)


def take(books: Books, terms: Terms, intent: PaymentIntent, charge: Charge, amount: int) -> None:
    """Move the money: the charge is captured and the intent has succeeded."""
    charge.captured = True
    charge.amount_captured = amount
    at_once = books.card_of(charge.payment_method).available_at_once
    book_charge(books, charge, terms.tariff, at_once=at_once)
    intent.amount_received = amount
    intent.amount_capturable = 0
    intent.status = "succeeded"
    books.charges.save(charge)
    books.intents.save(intent)


def _charge(
    books: Books, intent: PaymentIntent, method: PaymentMethod, reason: Decline | None
) -> Charge:
    card = books.card_of(method.id)
    return Charge(
        id=books.new_id("ch"),
        amount=intent.amount,
        billing_details=method.billing_details,
        created=books.now(),
        currency=intent.currency,
        customer=intent.customer,
        description=intent.description,
        failure_code=None if reason is None else reason.code,
        failure_message=None if reason is None else reason.message,
        metadata=intent.metadata,
        outcome=outcome(reason, card.risk),
        paid=reason is None,
        payment_intent=intent.id,
        payment_method=method.id,
        payment_method_details={"card": method.card, "type": "card"},
        receipt_email=intent.receipt_email,
        shipping=intent.shipping,
        statement_descriptor=intent.statement_descriptor,
        statement_descriptor_suffix=intent.statement_descriptor_suffix,
        status="succeeded" if reason is None else "failed",
        transfer_group=intent.transfer_group,
    )
