"""Refusals in the customer's words: a page where a page was wanted, JSON where a script asked."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tillgate.kernel.errors import FieldRefused, Kind, Refusal
from tillgate.payments.errors import MethodNotOffered
from tillgate.topup_app.languages import Language
from tillgate.topup_app.limits import TooOften
from tillgate.topup_app.links import LinkExpired, LinkUnknown
from tillgate.topup_app.ordering import AmountTooLarge, OldOrderOpen, ReferenceRefused
from tillgate.topup_app.rendering import Renderer, language_of
from tillgate.wallets.errors import LimitExceeded, WalletClosed
from tillgate.web.refusals import STATUS

_TITLES: Final[dict[type[Refusal], str]] = {
    LinkUnknown: "link_unknown",
    LinkExpired: "link_expired",
    TooOften: "wait",
}
_FIELDS: Final = {"amount": "error_amount_missing", "card": "error_card_missing"}
_SENTENCES: Final[dict[type[Refusal], str]] = {
    TooOften: "error_rate",
    ReferenceRefused: "error_reference",
    OldOrderOpen: "error_old_order",
    MethodNotOffered: "error_method_gone",
    LimitExceeded: "error_limit",
    WalletClosed: "wallet_closed",
}
_KINDS: Final = {
    Kind.UNAVAILABLE: "error_busy",
    Kind.RATE_LIMITED: "error_busy",
    Kind.FORBIDDEN: "error_site",
}


def answer(
    renderer: Renderer, request: Request, refusal: Refusal | None, *, home: str | None
) -> Response:
    """Answer a refusal, or a failure of our own (None). `home`: where a good link leads."""
    status = 500 if refusal is None else STATUS[refusal.kind][0]
    language = language_of(request)
    if request.method == "POST" or "text/html" not in request.headers.get("accept", "*/*"):
        # Only where the effect is unknown may a script repeat by itself, under the same reference.
        body: dict[str, object] = {
            "error": _code_of(refusal),
            "message": say(language, refusal),
            "again": status >= 500 or status == 429,
        }
        if isinstance(refusal, FieldRefused):
            # For whoever writes the script; customers read the message.
            body["detail"] = refusal.message
        return JSONResponse(body, status, headers={"Cache-Control": "no-store"})
    title, note = _page_words(language, refusal, status)
    return renderer.page(request, "sorry.html", status=status, title=title, note=note, home=home)


def _code_of(refusal: Refusal | None) -> str:
    if isinstance(refusal, FieldRefused):
        return refusal.field_code or "refused"
    return getattr(refusal, "code", None) or "refused"


def say(language: Language, refusal: Refusal | None) -> str:
    """Return one sentence a customer understands."""
    if isinstance(refusal, AmountTooLarge):
        most = language.money_short(refusal.most.minor, refusal.most.currency.code)
        return language.say("error_amount_large", most=most)
    if isinstance(refusal, FieldRefused):
        return language[_FIELDS.get(refusal.param or "", "error_unreadable")]
    for kind, key in _SENTENCES.items():
        if isinstance(refusal, kind):
            return language[key]
    return language[_KINDS.get(refusal.kind, "error_ours") if refusal else "error_ours"]


def _page_words(language: Language, refusal: Refusal | None, status: int) -> tuple[str, str]:
    known = _TITLES.get(type(refusal)) if refusal is not None else None
    if known == "wait":
        return language["wait_title"], language["error_rate"]
    if known is None:
        known = "missing" if status == 404 else "sorry"
    return language[f"{known}_title"], language[f"{known}_note"]
