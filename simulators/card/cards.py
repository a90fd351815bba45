"""The test cards: which number (or `pm_card_…`, or `tok_…`) does what.

One row a card. A card is approved unless its row says otherwise; a row may name a decline, a
3-D Secure challenge, a decline after the challenge, and how its refunds behave.
"""

from dataclasses import dataclass
from typing import Literal

Challenge = Literal["never", "always", "unless_set_up"]
Settling = Literal["at_once", "later", "fails_later"]
RefundManner = Literal["at_once", "pending", "fails_later"]


@dataclass(frozen=True, slots=True)
class Decline:
    """Why an issuer said no, in Stripe's words."""

    code: str
    decline_code: str | None
    message: str
    advice_code: str | None = "try_again_later"
    blocked: bool = False


def _declined(decline_code: str, advice: str | None = "try_again_later") -> Decline:
    return Decline("card_declined", decline_code, "Your card was declined.", advice)


GENERIC = _declined("generic_decline")
INSUFFICIENT = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
LOST = _declined("lost_card", "do_not_try_again")
STOLEN = _declined("stolen_card", "do_not_try_again")
EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.", "confirm_card_data")
CVC = Decline(
    "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", "confirm_card_data"
)
PROCESSING = Decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
)
VELOCITY = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently "
    "or exceeding its amount limit.",
)
FRAUDULENT = Decline(
    "card_declined", "fraudulent", "Your card was declined.", "do_not_try_again", blocked=True
)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    None,
)
DECLINES: dict[str, Decline] = {
    "generic_decline": GENERIC,
    "insufficient_funds": INSUFFICIENT,
    "lost_card": LOST,
    "stolen_card": STOLEN,
    "expired_card": EXPIRED,
    "incorrect_cvc": CVC,
    "processing_error": PROCESSING,
    "card_velocity_exceeded": VELOCITY,
    "fraudulent": FRAUDULENT,
    "do_not_honor": _declined("do_not_honor"),
}


@dataclass(frozen=True, slots=True)
class Card:
    """One test card and how it behaves."""

    number: str
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    decline: Decline | None = None
    challenge: Challenge = "never"
    after_challenge: Decline | None = None
    refund: RefundManner = "at_once"
    settles: Settling = "at_once"
    attaches: bool = False
    risk: str = "normal"
    cvc_check: str = "pass"
    address_check: str | None = None
    postal_check: str | None = None
    available_at_once: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]


_ALL: tuple[tuple[Card, tuple[str, ...]], ...] = (
    (Card("4242424242424242"), ("visa", "us", "authenticationNotRequired")),
    (Card("4000056655665556", funding="debit"), ("visa_debit",)),
    (Card("5555555555554444", "mastercard"), ("mastercard",)),
    (Card("2223003122003222", "mastercard"), ()),
    (Card("5200828282828210", "mastercard", "debit"), ("mastercard_debit",)),
    (Card("5105105105105100", "mastercard", "prepaid"), ("mastercard_prepaid",)),
    (Card("378282246310005", "amex"), ("amex", "amex_threeDSecureNotSupported")),
    (Card("371449635398431", "amex"), ()),
    (Card("6011111111111117", "discover"), ("discover",)),
    (Card("3056930009020004", "diners"), ("diners",)),
    (Card("3566002020360505", "jcb", country="JP"), ("jcb",)),
    (Card("6200000000000005", "unionpay", country="CN"), ("unionpay",)),
    (Card("4000001560000002", country="CN"), ("cn",)),
    (Card("4000003440000004", country="HK"), ("hk",)),
    (
        Card("4000000000000002", decline=GENERIC),
        ("chargeDeclined", "visa_chargeDeclined"),
    ),
    (
        Card("4000000000009995", decline=INSUFFICIENT),
        ("chargeDeclinedInsufficientFunds", "visa_chargeDeclinedInsufficientFunds"),
    ),
    (Card("4000000000009987", decline=LOST), ("visa_chargeDeclinedLostCard",)),
    (Card("4000000000009979", decline=STOLEN), ("visa_chargeDeclinedStolenCard",)),
    (
        Card("4000000000000069", decline=EXPIRED),
        ("chargeDeclinedExpiredCard", "visa_chargeDeclinedExpiredCard"),
    ),
    (
        Card("4000000000000127", decline=CVC, cvc_check="fail"),
        ("chargeDeclinedIncorrectCvc", "visa_chargeDeclinedIncorrectCvc"),
    ),
    (
        Card("4000000000000119", decline=PROCESSING),
        ("chargeDeclinedProcessingError", "visa_chargeDeclinedProcessingError"),
    ),
    (
        Card("4000000000006975", decline=VELOCITY),
        ("visa_chargeDeclinedVelocityLimitExceeded",),
    ),
    (Card("4000000000000341", decline=GENERIC, attaches=True), ("chargeCustomerFail",)),
    (Card("4100000000000019", decline=FRAUDULENT, risk="highest"), ("radarBlock",)),
    (
        Card("4000000000004954", decline=FRAUDULENT, risk="highest"),
        ("riskLevelHighest", "chargeDeclinedFraudulent"),
    ),
    (Card("4000000000009235", risk="elevated"), ("riskLevelElevated",)),
    (Card("4000000000000101", cvc_check="fail"), ("cvcCheckFail",)),
    (Card("4000000000000036", postal_check="fail"), ("avsZipFail",)),
    (Card("4000000000000010", address_check="fail", postal_check="fail"), ("avsFail",)),
    (Card("4000000000000028", address_check="fail"), ("avsLine1Fail",)),
    (
        Card("4000000000000044", address_check="unavailable", postal_check="unavailable"),
        ("avsUnchecked",),
    ),
    (Card("4000000000007726", refund="pending"), ("pendingRefund",)),
    (Card("4000000000005126", refund="fails_later"), ("refundFail",)),
    (Card("4000000000000077", available_at_once=True), ("bypassPending",)),
    (
        Card("4000002500003155", challenge="unless_set_up"),
        ("authenticationRequiredOnSetup",),
    ),
    (Card("4000002760003184", challenge="always"), ("authenticationRequired",)),
    (
        Card("4000003800000446", challenge="unless_set_up"),
        ("authenticationRequiredSetupForOffSession",),
    ),
    (
        Card("4000008260003178", challenge="always", after_challenge=INSUFFICIENT),
        ("authenticationRequiredChargeDeclinedInsufficientFunds",),
    ),
    (Card("4000000000003220", challenge="always"), ("threeDSecure2Required",)),
    (Card("4000000000003063", challenge="always"), ("threeDSecureRequired",)),
    (
        Card("4000008400001629", challenge="always", after_challenge=GENERIC),
        ("threeDSecureRequiredChargeDeclined",),
    ),
    (
        Card("4000008400001280", decline=PROCESSING),
        ("threeDSecureRequiredProcessingError",),
    ),
    # Not Stripe's: cards never stay in processing there, other kinds of payment do.
    (Card("4000000000020008", settles="later"), ("sim_processing",)),
    (Card("4000000000020016", settles="fails_later"), ("sim_processingFails",)),
    (Card("4000000000003055"), ("threeDSecureOptional",)),
    (Card("4000000000003097"), ("threeDSecureOptionalProcessingError",)),
)

CARDS: dict[str, Card] = {card.number: card for card, _ in _ALL}
ALIASES: dict[str, Card] = {f"pm_card_{name}": card for card, names in _ALL for name in names}
TOKENS: dict[str, Card] = {f"tok_{name}": card for card, names in _ALL for name in names}


def passes_luhn(number: str) -> bool:
    """Tell whether the last digit is the right check digit."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
