"""Where a top-up stands, in the customer's eyes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from tillgate.payments.model import Attempt, Payment
from tillgate.topups.model import TopUpView

#: What is found in `last_error.code` of an order that was not declined by anybody.
_EXPIRED: Final = "payment_intent_payment_attempt_expired"
_CLOSED: Final = "payment_intent_payment_attempt_failed"
_UNREACHABLE: Final = "payment_method_provider_timeout"
#: The provider takes the method and the card, but not so little or so much.
_OF_THE_AMOUNT: Final = frozenset({"amount_too_small", "amount_too_large"})


class Stage(StrEnum):
    """What the customer is shown; each has its part in `order.html`."""

    STARTING = "starting"  # placed, the provider's answer is on its way
    SCAN = "scan"
    REDIRECT = "redirect"
    NO_STEP = "no_step"  # the provider has it, but its code or address never reached us
    WORKING = "working"  # nothing to do but wait for the provider
    UNKNOWN = "unknown"  # asked, no answer: we keep asking
    REVIEW = "review"
    PAID = "paid"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    EXPIRED = "expired"
    CLOSED = "closed"  # before its time, by the customer in the app or by the provider
    CANCELED = "canceled"


OPEN: Final = frozenset(
    {
        Stage.STARTING,
        Stage.SCAN,
        Stage.REDIRECT,
        Stage.NO_STEP,
        Stage.WORKING,
        Stage.UNKNOWN,
        Stage.REVIEW,
    }
)
#: May be canceled by the customer: nobody can have paid without our noticing, we close it first.
CANCELABLE: Final = frozenset({Stage.SCAN, Stage.REDIRECT, Stage.NO_STEP})
#: Nothing was paid and nothing will be, once the old order is closed: the same can be tried again.
RENEWABLE: Final = frozenset({Stage.NO_STEP, Stage.UNREACHABLE, Stage.EXPIRED, Stage.CLOSED})
_OF_ATTEMPT: Final = {
    "created": Stage.STARTING,
    "unknown": Stage.UNKNOWN,
    "mismatched": Stage.REVIEW,
}
#: The word for a stage in a list.
WORD: Final = {
    **dict.fromkeys(OPEN, "waiting"),
    Stage.UNKNOWN: "unknown",
    Stage.STARTING: "unknown",
    Stage.REVIEW: "unknown",
    Stage.PAID: "paid",
    Stage.DECLINED: "declined",
    Stage.UNREACHABLE: "declined",
    Stage.EXPIRED: "expired",
    Stage.CLOSED: "closed",
    Stage.CANCELED: "canceled",
}


@dataclass(frozen=True, slots=True)
class Order:
    """A top-up, or any payment, as the pages show it."""

    id: str
    payment_id: str
    version: int
    stage: Stage
    method: str
    amount: int
    currency: str
    created_at: datetime
    paid_at: datetime | None = None
    expires_at: datetime | None = None
    #: What the QR code says.
    code: str | None = None
    #: Where the customer confirms it.
    url: str | None = None
    error_code: str | None = None
    decline_code: str | None = None
    card: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything may still happen to it."""
        return self.stage in OPEN

    @property
    def is_cancelable(self) -> bool:
        """Whether the customer may call it off."""
        return self.stage in CANCELABLE

    @property
    def is_renewable(self) -> bool:
        """Whether the same can be ordered anew at one touch; a card has to be chosen again."""
        return self.stage in RENEWABLE and self.method != "card"

    @property
    def is_amount_refused(self) -> bool:
        """Whether the same amount would be refused again."""
        return self.stage == Stage.DECLINED and self.error_code in _OF_THE_AMOUNT

    @property
    def word(self) -> str:
        """Its status in a list."""
        return WORD[self.stage]


def order_of(view: TopUpView, attempt: Attempt | None = None) -> Order:
    """Return a top-up as the pages show it; `attempt` is its payment's latest, where known."""
    order = payment_order(view.payment, attempt)
    return replace(order, id=view.top_up.id, created_at=view.top_up.created_at)


def payment_order(payment: Payment, attempt: Attempt | None = None) -> Order:
    """Return a payment as its page shows it, whatever it is for."""
    step: dict[str, Any] = payment.next_action or {}
    error: dict[str, Any] = payment.last_error or {}
    return Order(
        id=payment.id,
        payment_id=payment.id,
        version=payment.sequence,
        stage=stage_of(payment, attempt),
        method=method_of(payment),
        amount=payment.amount,
        currency=payment.currency,
        created_at=payment.created_at,
        paid_at=attempt.paid_at if attempt else None,
        expires_at=_moment(step.get("expires_at")) or (attempt.expires_at if attempt else None),
        code=step.get("content"),
        url=step.get("url"),
        error_code=error.get("code"),
        decline_code=error.get("decline_code"),
        card=_card(attempt),
    )


def stage_of(payment: Payment, attempt: Attempt | None) -> Stage:
    """Return what a payment's state means to the one who pays."""
    match payment.status:
        case "succeeded":
            return Stage.PAID
        case "canceled":
            expired = payment.cancellation_reason == "automatic"
            return _failed(payment) if expired else Stage.CANCELED
        case "requires_payment_method" | "requires_confirmation":
            return _failed(payment)
        case "requires_action":
            step = (payment.next_action or {}).get("type")
            return {"show_qr": Stage.SCAN, "redirect": Stage.REDIRECT}.get(str(step), Stage.NO_STEP)
        case _:
            status = attempt.status if attempt is not None else "waiting"
            return _OF_ATTEMPT.get(status, Stage.WORKING)


def method_of(payment: Payment) -> str:
    """Return the method a payment was confirmed with; a card's is its token."""
    method = payment.payment_method
    return method if method in {"alipay", "wechat_pay"} else "card"


def _failed(payment: Payment) -> Stage:
    """Why the last attempt came to nothing; without one, the order simply ran out."""
    code = (payment.last_error or {}).get("code")
    if code in {None, _EXPIRED}:
        return Stage.EXPIRED
    if code == _CLOSED:
        return Stage.CLOSED
    return Stage.UNREACHABLE if code == _UNREACHABLE else Stage.DECLINED


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _card(attempt: Attempt | None) -> str | None:
    """Return `Visa •••• 4242` of what the provider told us."""
    shown = attempt.instrument if attempt is not None else {}
    brand, last4 = shown.get("brand"), shown.get("last4")
    return f"{brand.capitalize()} •••• {last4}" if brand and last4 else None
