"""How a declined card reads: in the 402 answer, in `last_payment_error`, and on the charge."""

from functools import lru_cache

from simulators.card.cards import Decline
from simulators.card.errors import DOCS, ApiError
from simulators.card.objects import PaymentMethod, Plain


def payment_error(decline: Decline, charge: str | None, method: PaymentMethod | None) -> Plain:
    """Return the error an intent keeps as its last one."""
    error: Plain = {
        "type": "card_error",
        "code": decline.code,
        "doc_url": DOCS + decline.code.replace("_", "-"),
        "message": decline.message,
    }
    if decline.decline_code is not None:
        error["decline_code"] = decline.decline_code
    if decline.advice_code is not None:
        error["advice_code"] = decline.advice_code
    if charge is not None:
        error["charge"] = charge
    if method is not None:
        error["payment_method"] = method
    return error


def card_error(
    decline: Decline,
    *,
    charge: str | None = None,
    method: PaymentMethod | None = None,
    intent: object = None,
) -> ApiError:
    """Return the 402 that a declined card brings."""
    error = payment_error(decline, charge, method)
    if intent is not None:
        error["payment_intent"] = intent
    return ApiError(402, error)


@lru_cache(maxsize=256)
def outcome(decline: Decline | None, risk: str) -> Plain:
    """Return what the charge says about its outcome."""
    if decline is None:
        return _outcome("approved_by_network", None, risk, "Payment complete.", "authorized")
    if decline.blocked:
        message = "Stripe blocked this payment as too risky."
        return _outcome("not_sent_to_network", "highest_risk_level", risk, message, "blocked")
    message = f"The bank returned the decline code `{decline.decline_code}`."
    return _outcome(
        "declined_by_network", decline.decline_code, risk, message, "issuer_declined"
    ) | {"advice_code": decline.advice_code}


def _outcome(network: str, reason: str | None, risk: str, message: str, kind: str) -> Plain:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": network,
        "reason": reason,
        "risk_level": risk,
        "risk_score": {"normal": 12, "elevated": 70, "highest": 92}[risk],
        "seller_message": message,
        "type": kind,
    }
