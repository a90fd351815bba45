"""Where providers send their notices: `POST /notices/{merchant_id}/{account_id}`.

The notice is verified and applied, or stored where that takes long (`payments/hearing.py`), and then
answered in the provider's own words. One that is too large, for nobody, or not genuine changes
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from tillgate.connectors.port import Ack
from tillgate.kernel.errors import Kind, Refusal
from tillgate.payments.flows import Payments
from tillgate.web.answering import send_whole

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX: Final = "/notices/"
MAX_BYTES: Final = 262_144
_log = logging.getLogger("tillgate.notices")

_NOBODY: Final = Ack(404, b"", "text/plain")
_NOT_NOW: Final = Ack(503, b"", "text/plain")
_TOO_LARGE: Final = Ack(413, b"", "text/plain")
_ONLY_POST: Final = Ack(405, b"", "text/plain")


class NoticeEndpoint:
    """The ASGI application of notices."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ack = await self._ack(scope, receive)
        headers = [(b"content-type", ack.content_type.encode())]
        await send_whole(scope, send, ack.status, headers, ack.body)

    async def _ack(self, scope: Scope, receive: Receive) -> Ack:
        if scope["method"] != "POST":
            return _ONLY_POST
        merchant_id, _, account_id = scope["path"].removeprefix(PREFIX).partition("/")
        if not merchant_id.isascii() or not merchant_id.isdigit() or len(merchant_id) > 18:
            return _NOBODY
        body = await _body(receive)
        if body is None:
            return _TOO_LARGE
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        try:
            return await self._payments.notices.receive(int(merchant_id), account_id, headers, body)
        except Refusal as refusal:
            return _NOBODY if refusal.kind == Kind.NOT_FOUND else _NOT_NOW
        except Exception:  # noqa: BLE001  the provider sends it again
            _log.exception("a notice could not be stored")
            return _NOT_NOW


async def _body(receive: Receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            return None
        if not message.get("more_body"):
            return body
