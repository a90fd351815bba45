"""What a browser keeps so that a page opened without a connection is still a page.

`worker.js` is a service worker for everything under `/pay/`: it keeps the static files, and how each
page last stood, for a day at most. Its own policy lets it ask this server only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from tillgate.topup_app.assets import Assets
from tillgate.topup_app.languages import languages
from tillgate.topup_app.links import PREFIX

#: The page that is shown where nothing is known of the one that was asked for.
OFFLINE: Final = f"{PREFIX}/offline"
_SOURCE: Final = Path(__file__).parent / "worker.js"
_HEADERS: Final = {
    "Content-Type": "text/javascript; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    # A browser compares it byte by byte with the one it runs.
    "Cache-Control": "no-cache",
}


def script_of(assets: Assets) -> Response:
    """Return the worker with what it is to keep filled in."""
    shell = assets.shell()
    facts = {
        "version": hashlib.sha256("".join(shell).encode()).hexdigest()[:12],
        "shell": shell,
        "offline": {code: f"{OFFLINE}?{urlencode({'lang': code})}" for code in languages()},
    }
    source = _SOURCE.read_text(encoding="utf-8")
    filled = source.replace("self.FILLED_IN", msgspec.json.encode(facts).decode())
    return Response(filled, headers=_HEADERS)
