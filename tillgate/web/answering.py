"""Sending an answer: in one piece where the server takes it so, as ASGI's two messages elsewhere.

The server offers it as an ASGI extension: a coroutine that is given the status line with the
headers, each ended by CRLF, and the body.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, Final

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

#: The extension's name in the scope: `async (head, body) -> None`.
WHOLE_ANSWER: Final = "tillgate.whole_answer"


async def send_whole(
    scope: Scope, send: Send, status: int, headers: Sequence[Header], body: bytes
) -> None:
    """Send status, headers (no content-length) and body."""
    length = b"%d" % len(body)
    whole = scope.get("extensions", _NONE).get(WHOLE_ANSWER)
    if whole is not None:
        lines = [b"%b: %b\r\n" % header for header in headers]
        head = b"".join((_status_line(status), length, b"\r\n", *lines))
        assert head.count(b"\n") == len(headers) + 2, "a header is one line"
        await whole(head, body)
        return
    everything = [(b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": everything})
    await send({"type": "http.response.body", "body": body})


_NONE: Final[dict[str, Any]] = {}


@cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: ".encode()
