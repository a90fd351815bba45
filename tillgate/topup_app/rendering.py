"""Templates to answers: words, amounts, assets and the headers every page carries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlencode

import jinja2
import markupsafe
from starlette.requests import Request
from starlette.responses import HTMLResponse

from tillgate.topup_app.assets import Assets
from tillgate.topup_app.devices import device_of
from tillgate.topup_app.languages import Language, choose, languages

_FOLDER: Final = Path(__file__).parent
SECURITY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # The address is the key to the wallet: other sites never see it.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


class Renderer:
    """Writes pages."""

    def __init__(self, assets: Assets, phone_url: str | None) -> None:
        self._phone_url = phone_url
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        known = cast("dict[str, Any]", self._environment.globals)
        known["asset"] = assets.address
        known["script_names"] = assets.scripts
        known["icon"] = _icons(_FOLDER / "icons")
        filters = cast("dict[str, Any]", self._environment.filters)
        filters.update(milliseconds=_milliseconds, utc=_utc, capital=_capital)

    def page(
        self, request: Request, template: str, *, status: int = 200, **values: object
    ) -> HTMLResponse:
        """Return a page in the customer's language; what is on it is nobody else's business."""
        language = language_of(request)
        asked = request.query_params.get("lang")
        kept = {"lang": language.code} if asked == language.code else {}

        def address(path: str, **params: str | None) -> str:
            """Return an address of the same wallet, in the same language."""
            query = {**kept, **{name: value for name, value in params.items() if value}}
            return path + (f"?{urlencode(query)}" if query else "")

        html = self._environment.get_template(template).render(
            t=language,
            languages=list(languages().values()),
            here=request.url.path,
            query={k: v for k, v in request.query_params.items() if k in {"tab", "after"}},
            address=address,
            phone_url=self._phone_url,
            device=device_of(request.headers),
            **values,
        )
        headers = {
            **SECURITY,
            "Content-Language": language.tag,
            "Cache-Control": "no-store",
            "Vary": "Accept-Language, User-Agent",
        }
        return HTMLResponse(html, status, headers)


def language_of(request: Request) -> Language:
    """Return the language of an answer."""
    return choose(request.query_params.get("lang"), request.headers.get("accept-language", ""))


def _icons(folder: Path) -> Mapping[str, markupsafe.Markup]:
    """Our own drawings, written into the page."""
    return {
        path.stem: markupsafe.Markup(path.read_text(encoding="utf-8").strip())
        for path in folder.glob("*.svg")
    }


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _utc(moment: datetime) -> str:
    """For browsers without scripts; the others write it in their own time."""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _capital(text: str) -> str:
    """A sentence may begin with a word that is put in."""
    return text[:1].upper() + text[1:]
