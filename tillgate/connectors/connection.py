"""One kept-alive HTTP/1.1 connection to a provider: a request goes out, its whole answer comes back.

What was written may have arrived, so whatever ends an exchange after that is `LostError`; nothing
here writes twice. An answer is whole by its length, by its last chunk, or, where it states neither,
by the end of the connection.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

import httptools

from tillgate.connectors.client import HttpResponse, LostError

MAX_HEAD_BYTES: Final = 65_536


class GoneError(LostError):
    """The connection ended before a byte of the answer came, as one does that was kept too long."""


class Connection(asyncio.Protocol):
    """A connection. `may_stay` tells after an exchange whether it can carry another."""

    def __init__(self, read_seconds: float) -> None:
        self._read_seconds = read_seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HttpResponse] | None = None
        self.may_stay = False
        self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it can carry a request."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, message: bytes, max_bytes: int, until: float) -> HttpResponse:
        """Write one request, the connection being open, and wait for its answer until then."""
        assert self._transport is not None, "only an open connection is asked"
        self._expect(max_bytes, until)
        answer = self._answer = self._loop.create_future()
        self._timer = self._loop.call_at(self._due, self._look_at_clock)
        self._transport.write(message)
        try:
            return await answer
        finally:
            self._timer.cancel()
            self._answer = None

    def close(self) -> None:
        """Close it; what is under way is lost."""
        if self._transport is not None:
            self._transport.close() if self.may_stay else self._transport.abort()

    def _expect(self, max_bytes: int, until: float) -> None:
        self.may_stay = False
        self._max_bytes, self._until = max_bytes, until
        self._heard_at = self._loop.time()
        self._heard = self._size = 0
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._is_head_whole = self._ends_with_connection = False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def _due(self) -> float:
        return min(self._until, self._heard_at + self._read_seconds)

    def _look_at_clock(self) -> None:
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._look_at_clock)
        else:
            self._fail(LostError("no answer in time"))

    def _finish(self) -> None:
        if self._answer is not None and not self._answer.done():
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            response = HttpResponse(self._parser.get_status_code(), self._headers, body)
            self._answer.set_result(response)

    def _fail(self, error: LostError) -> None:
        self.may_stay = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.may_stay = False
        if self._answer is None:
            return
        if self._ends_with_connection and exc is None:
            self._finish()
        elif self._heard:
            self._fail(LostError("the connection ended within the answer"))
        else:
            self._fail(GoneError("the connection ended before the answer"))

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            # Nobody has asked: the next answer must not be mistaken for this one.
            self.may_stay = False
            self.close()
            return
        self._heard += len(data)
        self._heard_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(LostError(f"not an answer we can read ({type(error).__name__})"))
        most = 2 * self._max_bytes if self._is_head_whole else 0
        if self._heard > MAX_HEAD_BYTES + most:
            self._fail(LostError("the answer is larger than we read"))

    # httptools

    def on_message_begin(self) -> None:
        if self._answer is not None and self._answer.done():
            self.may_stay = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_head_whole:  # what trails the body could pass for what was said before it
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._is_head_whole = True
        self._ends_with_connection = not (
            "content-length" in self._headers or "transfer-encoding" in self._headers
        )

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_bytes:
            self._fail(LostError("the answer is larger than we read"))
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # only a word that the answer will come
            self._headers = {}
            self._is_head_whole = self._ends_with_connection = False
        elif self._answer is not None and not self._answer.done():
            self.may_stay = self._parser.should_keep_alive()
            self._finish()
