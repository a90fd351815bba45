"""The bank's own page of a 3-D Secure challenge, where a person approves or fails it.

It stands under `/3ds/{payment intent}?key=…`; afterwards the person is sent to the `return_url`
with Stripe's three query parameters.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import jinja2

from simulators.card.accounts import Account
from simulators.card.charging import Manner
from simulators.card.errors import ApiError
from simulators.card.intents import finish_challenge
from simulators.card.objects import PaymentIntent
from simulators.common.http import Request, Response
from simulators.common.phone import money

PREFIX: Final = "/3ds/"
_PAGE: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("challenge.html")
# No form-action: a browser would hold the redirect to the merchant after the form against it.
_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "lang": "en",
        "title": "Confirm your payment",
        "bank": "Your bank",
        "card": "Card",
        "number": "Payment",
        "question": "Do you approve this payment?",
        "approve": "Approve",
        "fail": "Fail",
        "over": "There is nothing to confirm any more. You can close this page.",
        "stranger": "There is no such payment here.",
        "simulated": "Simulator. No real money moves.",
    },
    "zh": {
        "lang": "zh-CN",
        "title": "确认付款",
        "bank": "您的发卡银行",
        "card": "银行卡",
        "number": "付款号",
        "question": "是否同意这笔付款？",
        "approve": "同意",
        "fail": "验证失败",
        "over": "没有需要确认的付款，可以关闭本页。",
        "stranger": "这里没有这笔付款。",
        "simulated": "模拟环境，不会发生真实扣款。",
    },
}


def answer(account: Account, intent: PaymentIntent, request: Request, manner: Manner) -> Response:
    """Show the challenge, or take the person's answer to it."""
    if not hmac.compare_digest(request.query().get("key", ""), intent.client_secret[-24:]):
        return stranger(request)
    if request.method != "POST" or intent.status != "requires_action":
        return _page(account, intent, request)
    decide(account, intent, manner, passed=request.form().get("deed") == "approve")
    target = way_back(account, intent)
    if target is None:
        return _page(account, intent, request)
    return Response(303, b"", {"Location": target, "Cache-Control": "no-store"})


def decide(account: Account, intent: PaymentIntent, manner: Manner, *, passed: bool) -> None:
    """Finish the challenge; that the card is declined after it is recorded, not raised."""
    try:
        finish_challenge(account.books, account.terms, intent, manner, passed=passed)
    except ApiError as error:
        if error.status != 402:
            raise


def way_back(account: Account, intent: PaymentIntent) -> str | None:
    """Return where the person goes afterwards, with the result, if the merchant said so."""
    target = account.books.return_urls.get(intent.id)
    if target is None:
        return None
    is_paid = intent.status in ("succeeded", "requires_capture", "processing")
    result = {
        "payment_intent": intent.id,
        "payment_intent_client_secret": intent.client_secret,
        "redirect_status": "succeeded" if is_paid else "failed",
    }
    return target + ("&" if "?" in target else "?") + urlencode(result)


def stranger(request: Request) -> Response:
    """Answer somebody whose link is not ours; they learn nothing of any payment."""
    return _render(request, 404, intent=None)


def _page(account: Account, intent: PaymentIntent, request: Request) -> Response:
    charge = account.books.charges.find(intent.latest_charge or "")
    method_id = intent.payment_method or (charge.payment_method if charge else "")
    method = account.books.methods.find(method_id)
    card = (
        ""
        if method is None
        else f"{str(method.card['brand']).capitalize()} •••• {method.card['last4']}"
    )
    amount = money(intent.amount, intent.currency.upper())
    return _render(request, 200, intent=intent, card=card, amount=amount)


def _render(request: Request, status: int, **values: object) -> Response:
    wanted = request.headers.get("accept-language", "en").lower()
    language = request.query().get("lang") or ("zh" if wanted.startswith("zh") else "en")
    page = _PAGE.render(t=_TEXTS.get(language, _TEXTS["en"]), **values)
    return Response(status, page.encode(), _HEADERS)
