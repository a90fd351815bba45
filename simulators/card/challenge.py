"""The bank's own page of a 3-D Secure challenge, where a person approves or fails it.

It stands under `/3ds/{payment intent}?key=…`; afterwards the person is sent to the `return_url`
with Stripe's three query parameters.
"""

import hmac
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Final, cast
from urllib.parse import urlencode

from simulators.card.accounts import Account
from simulators.card.charging import Manner
from simulators.card.errors import ApiError
from simulators.card.intents import finish_challenge
from simulators.card.objects import PaymentIntent
from simulators.common.http import Request, Response

PREFIX: Final = "/3ds/"
_PAGE: Final = Template(Path(__file__).with_name("challenge.html").read_text("utf-8"))
_DEEDS: Final = (
    '<form method="post"><button name="deed" value="approve">Approve</button>'
    '<button name="deed" value="fail">Fail</button></form>'
)
_EXPONENTS: Final = {"jpy": 0, "krw": 0, "vnd": 0, "kwd": 3, "bhd": 3, "jod": 3, "omr": 3, "tnd": 3}


def answer(account: Account, intent: PaymentIntent, request: Request, manner: Manner) -> Response:
    """Show the challenge, or take the person's answer to it."""
    if not hmac.compare_digest(request.query().get("key", ""), intent.client_secret[-24:]):
        return _page(account, intent, 403, "Not found", "This link is not for you.", "")
    if request.method != "POST":
        return _shown(account, intent)
    if intent.status != "requires_action":
        return _shown(account, intent)
    target = return_address(intent)
    decide(account, intent, manner, passed=request.form().get("deed") == "approve")
    if target is None:
        return _shown(account, intent)
    return Response(303, b"", {"Location": _with_result(target, intent)})


def decide(account: Account, intent: PaymentIntent, manner: Manner, *, passed: bool) -> None:
    """Finish the challenge; that the card is declined after it is recorded, not raised."""
    try:
        finish_challenge(account.books, account.terms, intent, manner, passed=passed)
    except ApiError as error:
        if error.status != 402:
            raise


def return_address(intent: PaymentIntent) -> str | None:
    """Return where the person wants to go back to."""
    action = intent.next_action or {}
    redirect = action.get("redirect_to_url")
    if not isinstance(redirect, dict):
        return None
    return str(cast("Mapping[str, object]", redirect)["return_url"])


def _with_result(target: str, intent: PaymentIntent) -> str:
    is_paid = intent.status in ("succeeded", "requires_capture")
    result = {
        "payment_intent": intent.id,
        "payment_intent_client_secret": intent.client_secret,
        "redirect_status": "succeeded" if is_paid else "failed",
    }
    return target + ("&" if "?" in target else "?") + urlencode(result)


def _shown(account: Account, intent: PaymentIntent) -> Response:
    if intent.status == "requires_action":
        question = "Your bank asks: do you approve this payment?"
        return _page(account, intent, 200, "Confirm your payment", question, _DEEDS)
    state = f"This payment is {intent.status.replace('_', ' ')}. You can close this page."
    return _page(account, intent, 200, "Nothing to confirm", state, "")


def _page(
    account: Account, intent: PaymentIntent, status: int, heading: str, text: str, deeds: str
) -> Response:
    """Render the page; a stranger learns nothing of the payment."""
    is_ours = status == 200
    method = account.books.methods.find(intent.payment_method or "") if is_ours else None
    card = "" if method is None else f"{method.card['brand']} •••• {method.card['last4']}"
    body = _PAGE.substitute(
        heading=escape(heading),
        explanation=escape(text),
        amount=escape(_money(intent)) if is_ours else "",
        card=escape(card),
        intent=escape(intent.id),
        deeds=deeds,
    )
    return Response(
        status,
        body.encode(),
        {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"},
    )


def _money(intent: PaymentIntent) -> str:
    places = _EXPONENTS.get(intent.currency, 2)
    whole, rest = divmod(intent.amount, 10**places)
    shown = f"{whole}.{rest:0{places}d}" if places else str(whole)
    return f"{shown} {intent.currency.upper()}"
