"""Stripe's words to ours and back. Pure. Amounts are whole minor units on this wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, cast

from tillgate.connectors.port import (
    Ack,
    AttemptNotice,
    CaptureRefused,
    Charge,
    Closed,
    Declined,
    ForeignRefund,
    NotFound,
    Notice,
    NotSent,
    OtherNotice,
    Outcome,
    Paid,
    Redirect,
    Refunded,
    RefundFailed,
    RefundNotice,
    RefundOrder,
    RefundOutcome,
    RefundPending,
    Unknown,
    Waiting,
)
from tillgate.kernel.clock import from_unix, unix
from tillgate.kernel.money import CURRENCIES, Money

INTENTS: Final = "/v1/payment_intents"
REFUNDS: Final = "/v1/refunds"
ACCOUNT: Final = "/v1/account"
#: The charge tells which card was charged; before there is one, the payment method tells which
#: will be. An event has neither in full, so what is not asked for now is never heard.
EXPANDED: Final = {"expand[0]": "latest_charge", "expand[1]": "payment_method"}
_ALL_EXPANDED: Final = {name: f"data.{path}" for name, path in EXPANDED.items()}

#: Codes of a refused request that say the order can never be made as it was asked.
_REFUSALS: Final = frozenset(
    {
        "amount_too_small",
        "amount_too_large",
        "resource_missing",
        "payment_method_invalid_parameter",
        "payment_method_unactivated",
        "payment_method_unexpected_state",
        "payment_method_currency_mismatch",
        "currency_not_supported",
    }
)
#: Codes of a refused capture that leave open whether an earlier one took the money.
_PERHAPS_CAPTURED: Final = frozenset({"charge_already_captured", "payment_intent_unexpected_state"})
#: Codes that say this refund will not be made.
_REFUND_REFUSALS: Final = {
    "charge_already_refunded": "declined",
    "charge_not_refundable": "declined",
    "charge_disputed": "charge_for_pending_refund_disputed",
    "refund_disputed_payment": "charge_for_pending_refund_disputed",
    "resource_missing": "declined",
    "payment_intent_unexpected_state": "declined",
    "insufficient_funds": "insufficient_funds",
    "balance_insufficient": "insufficient_funds",
}
_REASONS: Final = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
_CARD_FIELDS: Final = ("brand", "last4", "exp_month", "exp_year", "country", "funding")
#: An attempt is opened a moment before its order is made, by clocks that may differ.
_CLOCK_SLACK_SECONDS: Final = 300
_CALLED_WITHIN_SECONDS: Final = 600
_LATEST_SECONDS: Final = 10**11
_MOST_CLAIMANTS: Final = 10

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ours:
    """What an answer must be of to be believed, and who gave it."""

    livemode: bool
    #: Our account's name, where we know it.
    account: str | None = None
    #: The account that our key opens, or that an event names.
    told_by: str | None = None


# What we say --------------------------------------------------------------------------------------


def charge_form(charge: Charge, account: str | None) -> dict[str, str]:
    """Return the form that makes and confirms a PaymentIntent in one request."""
    named = {} if account is None else {"metadata[account]": account}
    form = {
        "amount": str(charge.amount.minor),
        "currency": charge.amount.currency.code,
        "confirm": "true",
        "payment_method": charge.payment_method or "",
        "payment_method_types[0]": "card",
        "capture_method": "automatic" if charge.capture else "manual",
        "description": charge.description[:1000],
        **EXPANDED,
        **{f"metadata[{name}]": value for name, value in charge.metadata.items()},
        "metadata[attempt]": charge.attempt_id,
        **named,
    }
    if charge.off_session:
        form["off_session"] = "true"
    elif charge.return_url is not None:
        form["return_url"] = charge.return_url
    return form


def search_params(attempt_id: str) -> dict[str, str]:
    """Return the search for an attempt's PaymentIntent."""
    return {"query": f"metadata['attempt']:'{attempt_id}'", **_ALL_EXPANDED}


def list_params(since: datetime, now: datetime, after: str | None) -> dict[str, str]:
    """Return one page of all PaymentIntents that can be the attempt's."""
    # The call goes out right after the attempt was opened: what was made later is another's.
    latest = min(unix(now), unix(since) + _CALLED_WITHIN_SECONDS)
    page = {
        "created[gte]": str(unix(since) - _CLOCK_SLACK_SECONDS),
        "created[lte]": str(latest + _CLOCK_SLACK_SECONDS),
        "limit": "100",
        **_ALL_EXPANDED,
    }
    return page if after is None else {**page, "starting_after": after}


def refunds_params(intent: str, after: str | None) -> dict[str, str]:
    """Return one page of a PaymentIntent's refunds."""
    page = {"payment_intent": intent, "limit": "100"}
    return page if after is None else {**page, "starting_after": after}


def refund_form(order: RefundOrder) -> dict[str, str]:
    """Return the form of a refund."""
    form = {
        "payment_intent": order.reference,
        "amount": str(order.amount.minor),
        "metadata[refund]": order.refund_id,
        "metadata[attempt]": order.attempt_id,
    }
    if order.reason in _REASONS:
        form["reason"] = order.reason
    return form


# What they say ------------------------------------------------------------------------------------


def intent_outcome(intent: Body, attempt_id: str, ours: Ours) -> Outcome | Closed:
    """Read a PaymentIntent that should be this attempt's."""
    if intent.get("object") != "payment_intent" or metadata(intent, "attempt") != attempt_id:
        return Unknown("the answer is about another order")
    if intent.get("livemode") is not ours.livemode:
        return Unknown("the answer is of another mode")
    reference = _name(intent.get("id"))
    if reference is None:
        return Unknown("a PaymentIntent without an id")
    account = _account_of(intent, ours)
    outcome = _outcome(intent, reference, account)
    moved = isinstance(outcome, Paid) or (isinstance(outcome, Waiting) and outcome.on == "capture")
    if account != ours.account and account is not None and not moved:
        return Unknown("the answer is about another account", reference)
    return outcome


def _account_of(intent: Body, ours: Ours) -> str | None:
    """Return whose money it is: another account than ours, wherever one is named, or else ours.

    Stripe names none for our own: the key or the secret is of one account. Another one stands in
    an event that was told to its platform, in money collected on behalf of it or passed on to it,
    and in our own mark if another installation made the order.
    """
    names = [
        ours.told_by,
        intent.get("on_behalf_of"),
        mapping(intent.get("transfer_data")).get("destination"),
        metadata(intent, "account") if ours.account else None,
    ]
    named = [name for name in names if isinstance(name, str) and name]
    return next((name for name in named if name != ours.account), named[0] if named else None)


def _outcome(intent: Body, reference: str, account: str | None) -> Outcome | Closed:
    shown = _instrument(intent)
    match intent:
        case {"status": "succeeded"}:
            return _paid(intent, reference, account)
        case {"status": "requires_capture"}:
            amount = _money(intent, "amount_capturable")
            return Waiting(
                reference=reference,
                on="capture",
                amount=amount,
                account=account,
                instrument=shown,
            )
        case {"status": "processing"}:
            return Waiting(reference=reference, on="provider", instrument=shown)
        case {"status": "requires_action", "next_action": {"redirect_to_url": {"url": str(url)}}}:
            return Waiting(Redirect(url), reference=reference, instrument=shown)
        case {"status": "requires_action"}:
            return Waiting(reference=reference, instrument=shown)
        case {"status": "requires_payment_method", "last_payment_error": {"code": str()} as error}:
            return declined(error, reference)
        case {"status": "canceled"}:
            return Closed()
        case _:
            return Unknown(f"unrecognised status {str(intent.get('status'))[:40]!r}", reference)


def _paid(intent: Body, reference: str, account: str | None) -> Outcome:
    amount = _money(intent, "amount_received")
    if amount is None:
        return Unknown("paid an unreadable amount", reference)
    at = _moment(mapping(intent.get("latest_charge")).get("created"))
    return Paid(reference, amount, at=at, account=account, instrument=_instrument(intent))


def declined(error: Body, reference: str | None) -> Declined:
    """Read a card error or a `last_payment_error`."""
    decline_code = error.get("decline_code")
    return Declined(
        code=str(error.get("code"))[:64],
        message=str(error.get("message") or "The card was declined.")[:256],
        decline_code=str(decline_code)[:64] if decline_code else None,
        provider_code=str(error.get("code"))[:64],
        reference=reference,
        instrument=card_of(mapping(error.get("payment_method"))),
    )


def refusal(status: int, error: Body, attempt_id: str, ours: Ours) -> Outcome | Closed:
    """Read an error as the answer to a charge."""
    intent = mapping(error.get("payment_intent"))
    reference = intent.get("id") if metadata(intent, "attempt") == attempt_id else None
    code, kind = str(error.get("code") or ""), error.get("type")
    if status == 402 and kind == "card_error" and code and intent.get("status") != "succeeded":
        return declined(error, reference)
    if code == "payment_intent_unexpected_state" and reference is not None:
        return intent_outcome(intent, attempt_id, ours)
    if status in (400, 404) and kind == "invalid_request_error" and code in _REFUSALS:
        return declined(error, reference)
    if status in (401, 403):
        return NotSent(f"refused unprocessed: HTTP {status} {code}".rstrip())
    return unrecognised(status, error)


def charged(outcome: Outcome | Closed) -> Outcome:
    """Return what a new order's state means: one already canceled will not be paid."""
    if isinstance(outcome, Closed):
        return Declined("order_closed", "The order was canceled.", provider_code="canceled")
    return outcome


def capture_refusal(
    status: int, error: Body, attempt_id: str, ours: Ours
) -> Outcome | CaptureRefused:
    """Read an error as the answer to a capture: a request refused as such leaves the money reserved."""
    code, kind = str(error.get("code") or ""), error.get("type")
    refused = status in (400, 402, 404) and kind in ("invalid_request_error", "card_error")
    stands = mapping(error.get("payment_intent")).get("status", "requires_capture")
    if refused and stands == "requires_capture" and code not in _PERHAPS_CAPTURED:
        decline_code = error.get("decline_code")
        return CaptureRefused(
            code=code[:64] or "payment_method_provider_decline",
            message=str(error.get("message") or "The capture was refused.")[:256],
            decline_code=str(decline_code)[:64] if decline_code else None,
        )
    return charged(refusal(status, error, attempt_id, ours))


def unrecognised(status: int, error: Body) -> Unknown:
    """Return an error that decides nothing."""
    code = str(error.get("code") or error.get("type") or "no code")[:64]
    return Unknown(f"answered HTTP {status} {code}")


def refund_of(refund: Body, order_amount: Money | None = None) -> RefundOutcome:
    """Read a refund object."""
    reference = refund.get("id")
    amount = _money(refund, "amount")
    if refund.get("object") != "refund" or not isinstance(reference, str) or amount is None:
        return Unknown("an unreadable refund")
    if order_amount is not None and amount != order_amount:
        return Unknown("the refund is of another amount", reference)
    match refund.get("status"):
        case "succeeded":
            return Refunded(reference, amount)
        case "pending" | "requires_action":
            return RefundPending(reference)
        case "failed":
            reason = str(refund.get("failure_reason") or "unknown")[:64]
            return RefundFailed(reason, f"The refund failed: {reason}.", reference)
        case "canceled":
            return RefundFailed("merchant_request", "The refund was canceled.", reference)
        case other:
            return Unknown(f"unrecognised refund status {str(other)[:40]!r}", reference)


def refund_refusal(status: int, error: Body) -> RefundOutcome:
    """Read an error as the answer to a refund."""
    code = str(error.get("code") or "")
    message = str(error.get("message") or "The refund was refused.")[:256]
    refused = status in (400, 402, 404) and error.get("type") != "idempotency_error"
    if refused and code in _REFUND_REFUSALS:
        return RefundFailed(_REFUND_REFUSALS[code], message)
    if refused and not code and error.get("param") == "amount":
        return RefundFailed("declined", message)
    if status in (401, 403):
        return NotSent(f"refused unprocessed: HTTP {status} {code}".rstrip())
    return unrecognised(status, error)


def notice_of(event: Body, ours: Ours) -> Notice:
    """Read a genuine event; one that names an account is told to the platform of that account."""
    told_by = event.get("account")
    ours = replace(ours, told_by=told_by if isinstance(told_by, str) and told_by else None)
    kind = str(event.get("type"))[:64]
    subject = mapping(mapping(event.get("data")).get("object"))
    attempt_id, refund_id = metadata(subject, "attempt"), metadata(subject, "refund")
    match subject.get("object"):
        case "payment_intent" if attempt_id and kind.startswith("payment_intent."):
            outcome = intent_outcome(subject, attempt_id, ours)
            return AttemptNotice(attempt_id, outcome, _name(subject.get("id")))
        case "refund" if refund_id and ours.told_by not in (None, ours.account):
            return RefundNotice(refund_id, Unknown("the event is of another account"))
        case "refund" if refund_id and kind.startswith(("refund.", "charge.refund.")):
            order = _name(subject.get("payment_intent"))
            return RefundNotice(refund_id, refund_of(subject), order)
        case "refund" if not refund_id and ours.told_by in (None, ours.account):
            return _foreign_refund(subject) or OtherNotice(kind)
        case _:
            return OtherNotice(kind)


def _foreign_refund(refund: Body) -> ForeignRefund | None:
    """Read a refund without our mark, such as one made in the dashboard: only its order is named."""
    number, order = _name(refund.get("id")), _name(refund.get("payment_intent"))
    if number is None or order is None:
        return None
    return ForeignRefund(number, refund_of(refund), order_reference=order)


def ack(*, accepted: bool) -> Ack:
    """Return what ends Stripe's repeats, or asks for the next one: all but 2xx does."""
    if accepted:
        return Ack(200, b'{"received":true}', "application/json")
    return Ack(400, b'{"received":false}', "application/json")


def card_of(method: Body) -> dict[str, str]:
    """Return what may be shown of a card, as text."""
    card = mapping(method.get("card"))
    return {name: str(card[name])[:32] for name in _CARD_FIELDS if card.get(name) is not None}


def method_answer(status: int, method: Body) -> dict[str, Any] | NotFound | Unknown:
    """Return what may be shown of a saved payment method."""
    if status == 404:
        return NotFound()
    if method.get("object") != "payment_method":
        return unrecognised(status, mapping(method.get("error")))
    card = mapping(method.get("card"))
    shown = {name: card.get(name) for name in (*_CARD_FIELDS, "fingerprint")}
    return {"id": method.get("id"), "type": method.get("type"), **shown}


def metadata(subject: Body, name: str) -> str | None:
    """Return one of the subject's metadata."""
    return _name(mapping(subject.get("metadata")).get(name))


def marked(found: Sequence[Body], name: str, wanted: str) -> list[Body]:
    """Return those that bear our mark."""
    return [each for each in found if metadata(each, name) == wanted]


def only(found: Sequence[Body]) -> Body | Unknown | NotFound:
    """Return the one that was found; of several, we cannot tell which one is ours."""
    if len(found) > 1:
        claimants = tuple(str(each.get("id"))[:64] for each in found[:_MOST_CLAIMANTS])
        return Unknown("several bear our number", claimants=claimants)
    return found[0] if found else NotFound()


def rows(page: Body) -> list[Body]:
    """Return the objects of a list or a search."""
    data = page.get("data")
    found = cast(list[object], data) if isinstance(data, list) else []
    return [mapping(row) for row in found]


def _instrument(intent: Body) -> dict[str, str]:
    details = mapping(mapping(intent.get("latest_charge")).get("payment_method_details"))
    return card_of(details) or card_of(mapping(intent.get("payment_method")))


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _money(subject: Body, name: str) -> Money | None:
    minor, code = subject.get(name), subject.get("currency")
    currency = CURRENCIES.get(code) if isinstance(code, str) else None
    if not isinstance(minor, int) or isinstance(minor, bool) or minor < 0 or currency is None:
        return None
    return Money(minor, currency)


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int) or not 0 < seconds < _LATEST_SECONDS:
        return None
    return from_unix(seconds)


def mapping(value: object) -> Body:
    """Return a JSON object, or an empty one where it is something else."""
    return cast(Body, value) if isinstance(value, dict) else {}
