"""A small HTTP/1.1 server on httptools, because a simulator must be able to misbehave.

It can hang after reading a request, drop the connection with a TCP reset, and stop listening
altogether so that callers see a real "connection refused". It hands the handler the raw target and
the raw body bytes (providers sign those), and accepts absolute-form request lines.
A handler that returns a `Response` at once costs no task; one that returns an awaitable may wait.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import Final, cast

import httptools

from simulators.common.forms import read_form

MAX_BODY_BYTES: Final = 1 << 20
#: Turns of the loop between a socket's acceptance and `connection_made`: its task, then its call.
_TURNS_TO_BE_MADE: Final = 3
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_log = logging.getLogger("simulators")


class Ending(Enum):
    """How an exchange ends for the caller."""

    SEND = "send"
    HANG = "hang"
    RESET = "reset"


class Request:
    """One request as it came: `target` is path and query exactly as sent, `body` the raw bytes."""

    __slots__ = ("body", "headers", "host_port", "method", "path", "peer", "query_string", "target")

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.target = target
        self.path, _, self.query_string = target.partition("?")
        self.headers = headers
        self.body = body
        self.peer = ""
        self.host_port = headers.get("host", "")

    def query(self) -> dict[str, str]:
        """The query string as a mapping; a repeated name keeps its last value."""
        return read_form(self.query_string)

    def form(self) -> dict[str, str]:
        """The urlencoded body as a mapping."""
        return read_form(self.body.decode("utf-8", "replace"))


class Response:
    """What goes back, or how the exchange breaks off."""

    __slots__ = ("body", "ending", "headers", "status")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        ending: Ending = Ending.SEND,
    ) -> None:
        self.status = status
        self.body = body
        self.headers: Mapping[str, str] = headers or {}
        self.ending = ending

    def encode(self, *, close: bool) -> bytes:
        """The bytes of the answer on the wire."""
        lines = [f"{name}: {value}\r\n" for name, value in self.headers.items()]
        if self.status not in (204, 304):
            lines.append(f"Content-Length: {len(self.body)}\r\n")
        if close:
            lines.append("Connection: close\r\n")
        phrase = _PHRASES.get(self.status, "Unknown")
        head = f"HTTP/1.1 {self.status} {phrase}\r\n{''.join(lines)}\r\n"
        return head.encode("latin-1", "replace") + self.body


Handler = Callable[[Request], "Response | Awaitable[Response]"]
HANG: Final = Response(ending=Ending.HANG)
RESET: Final = Response(ending=Ending.RESET)
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def json_response(body: bytes, status: int = 200) -> Response:
    """A plain JSON answer."""
    return Response(status, body, {"Content-Type": "application/json; charset=utf-8"})


class Server:
    """A listener that can be switched off and on again at the same port."""

    def __init__(self, handler: Handler, host: str = "127.0.0.1", port: int = 0) -> None:
        self._handler = handler
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.host = host
        self.port = port

    @property
    def url(self) -> str:
        """The base address, without a slash at the end."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host
        return f"http://{host}:{self.port}"

    @property
    def is_listening(self) -> bool:
        """Whether a caller would be let in."""
        return self._listener is not None

    async def start(self) -> None:
        """Listen; port 0 picks a free one and keeps it for later starts."""
        if self._listener is not None:
            return
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Connection(self._handler, self._connections),
            self.host,
            self.port,
            backlog=1024,
            reuse_address=True,
        )
        self.port = int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Refuse new connections and drop the open ones."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        # asyncio would forget the socket of a connection that is being made, open, if the listener
        # were closed under it: let nobody else in, and wait. uvloop lets one more in all the same.
        for wire in listener.sockets:
            asyncio.get_running_loop().remove_reader(wire.fileno())
        for turn in range(2 * _TURNS_TO_BE_MADE):
            if turn == _TURNS_TO_BE_MADE:
                listener.close()
            for connection in list(self._connections):
                connection.drop()
            await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listener.wait_closed(), 2)


class _Connection(asyncio.Protocol):
    def __init__(self, handler: Handler, connections: "set[_Connection]") -> None:
        self._handler = handler
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._peer = ""
        self._is_hung = False
        self._clear()

    def _clear(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400)
        except httptools.HttpParserError:
            self._refuse(400)

    # httptools callbacks

    def on_message_begin(self) -> None:
        self._clear()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[_header_name(name)] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            self._refuse(413)
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, _origin_form(self._url), self._headers, b"".join(self._body))
        request.peer = self._peer
        keep_alive = self._parser.should_keep_alive()
        if self._task is not None or self._is_hung:
            self._waiting.append((request, keep_alive))
            return
        self._serve(request, keep_alive=keep_alive)

    # serving

    def _serve(self, request: Request, *, keep_alive: bool) -> None:
        try:
            answer = self._handler(request)
        except Exception:  # noqa: BLE001 - a bug here must not look like a lost connection
            _log.exception("handler failed")
            answer = Response(500, b"simulator bug")
        if isinstance(answer, Response):
            self._finish(answer, keep_alive=keep_alive)
            return
        self._task = asyncio.ensure_future(self._serve_later(answer, keep_alive=keep_alive))

    async def _serve_later(self, answer: Awaitable[Response], *, keep_alive: bool) -> None:
        try:
            response = await answer
        except Exception:  # noqa: BLE001 - as above
            _log.exception("handler failed")
            response = Response(500, b"simulator bug")
        self._task = None
        self._finish(response, keep_alive=keep_alive)
        while self._waiting and self._task is None and not self._is_hung:
            request, keep_alive = self._waiting.popleft()
            self._serve(request, keep_alive=keep_alive)

    def _finish(self, response: Response, *, keep_alive: bool) -> None:
        if self._transport is None:
            return
        if response.ending is Ending.RESET:
            self.drop()
        elif response.ending is Ending.HANG:
            self._is_hung = True
        else:
            self._transport.write(response.encode(close=not keep_alive))
            if not keep_alive:
                self._transport.close()

    def _refuse(self, status: int) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(Response(status).encode(close=True))
            self._transport.close()

    def drop(self) -> None:
        """Break off with a TCP reset."""
        if self._transport is None:
            return
        wire = self._transport.get_extra_info("socket")
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()


@lru_cache(maxsize=256)
def _header_name(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _origin_form(url: bytes) -> str:
    """Path and query as sent; an absolute-form request line loses its scheme and host."""
    text = url.decode("latin-1")
    if text.startswith("/"):
        return text
    _, found, rest = text.partition("://")
    if not found:
        return "/"
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"
