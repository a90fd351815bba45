"""Pages for a person: templates in two languages, static files, a strict policy; nothing inline."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jinja2

from simulators.common.http import Request, Response

_STATIC_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_LANGUAGE: Final = re.compile(r"(?:^|[;,\s])lang=(zh|en)\b")

Texts = Mapping[str, Mapping[str, str]]


class Pages:
    """The pages of one folder, which holds `templates/` and `static/`."""

    def __init__(self, folder: Path, texts: Texts, path: str) -> None:
        self._texts = texts
        self._path = path
        self._static = {
            file.name: (file.read_bytes(), _STATIC_TYPES[file.suffix])
            for file in sorted((folder / "static").iterdir())
            if file.suffix in _STATIC_TYPES
        }
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def show(self, request: Request, template: str, **values: object) -> Response:
        """Draw a page in the language that was asked for, kept, or is accepted."""
        asked = request.query().get("lang", "")
        language = asked if asked in self._texts else _language(request)
        drawn = self._templates.get_template(template)
        html = drawn.render(t=self._texts[language], language=language, **values)
        headers = dict(_HEADERS)
        if asked in self._texts:
            headers["Set-Cookie"] = f"lang={asked}; Path={self._path}; SameSite=Lax; HttpOnly"
        return Response(200, html.encode(), headers)

    def static(self, name: str) -> Response:
        """Answer with a static file."""
        if name not in self._static:
            return Response(404)
        body, kind = self._static[name]
        headers = {"Content-Type": f"{kind}; charset=utf-8", "Cache-Control": "no-cache"}
        return Response(200, body, headers | {"X-Content-Type-Options": "nosniff"})


def _language(request: Request) -> str:
    kept = _LANGUAGE.search(request.headers.get("cookie", ""))
    if kept:
        return kept[1]
    accepted = request.headers.get("accept-language", "").lower()
    zh, en = accepted.find("zh"), accepted.find("en")
    return "zh" if zh >= 0 and (en < 0 or zh < en) else "en"
