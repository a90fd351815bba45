"""A small keep-alive HTTP/1.1 client on httptools, for notices only.

An ordinary client costs several times as much CPU, and the simulators share their processor with
the system they are measured against. So a request on a kept connection costs no task: it is
written at once, and its answer is a future. A kept connection that the other side closed without a
byte of an answer is replaced by a new one; anything else that breaks is the caller's to see.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import httptools

_MOST_BODY: Final = 4096
_DEFAULTS: Final = {"Accept": "*/*", "User-Agent": "notices/1.0"}
#: Status and the first bytes of the body.
Answer = tuple[int, bytes]


class BrokenExchange(Exception):
    """No whole answer came."""


class _Place(NamedTuple):
    """Where connections go."""

    host: str
    port: int
    is_secure: bool


class Client:
    """Posts to any number of hosts, keeping idle connections."""

    def __init__(self) -> None:
        self._pools: dict[_Place, _Pool] = {}

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> asyncio.Future[Answer]:
        """Status and the first bytes of the answer; redirects are not followed."""
        exchange = _Exchange(timeout_seconds)
        try:
            place, target, host = _read_address(url)
        except (BrokenExchange, ValueError) as error:
            exchange.fail(error)
            return exchange.answer
        exchange.request = _encode(target, host, headers, body)
        pool = self._pools.get(place)
        if pool is None:
            pool = self._pools[place] = _Pool(place)
        pool.carry(exchange)
        return exchange.answer

    def close(self) -> None:
        """Drop every connection; what is under way is cancelled."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()


class _Exchange:
    """One request under way: its bytes, its answer, and how to break off what carries it."""

    __slots__ = ("_timer", "answer", "break_off", "request")

    def __init__(self, timeout_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self.request = b""
        self.answer: asyncio.Future[Answer] = loop.create_future()
        self.break_off: Callable[[], object] = self.answer.cancel
        self._timer = loop.call_later(timeout_seconds, self._run_out)

    def finish(self, status: int, body: bytes) -> None:
        self._timer.cancel()
        if not self.answer.done():
            self.answer.set_result((status, body))

    def fail(self, error: Exception) -> None:
        self._timer.cancel()
        if not self.answer.done():
            self.answer.set_exception(error)

    def cancel(self) -> None:
        self._timer.cancel()
        self.answer.cancel()

    def _run_out(self) -> None:
        self.fail(TimeoutError())
        self.break_off()


class _Pool:
    """The connections to one place."""

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._opening: dict[asyncio.Task[None], _Exchange] = {}
        self.idle: list[_Wire] = []
        self.wires: set[_Wire] = set()

    def carry(self, exchange: _Exchange) -> None:
        """Ask on the connection that was used last, or on a new one."""
        while self.idle:
            wire = self.idle.pop()
            if wire.is_open:
                wire.ask(exchange, is_kept=True)
                return
        self.open(exchange)

    def open(self, exchange: _Exchange) -> None:
        """Ask on a new connection."""
        task = asyncio.ensure_future(self._connect(exchange))
        self._opening[task] = exchange
        task.add_done_callback(lambda _: self._opening.pop(task, None))
        exchange.break_off = task.cancel

    def close(self) -> None:
        for task, exchange in list(self._opening.items()):
            exchange.cancel()
            task.cancel()
        for wire in list(self.wires):
            wire.abort()

    async def _connect(self, exchange: _Exchange) -> None:
        host, port, is_secure = self._place
        loop = asyncio.get_running_loop()
        try:
            context = ssl.create_default_context() if is_secure else None
            _, wire = await loop.create_connection(lambda: _Wire(self), host, port, ssl=context)
        except (OSError, ValueError) as error:
            exchange.fail(error)
        else:
            wire.ask(exchange, is_kept=False)


class _Wire(asyncio.Protocol):
    """One connection. It carries one exchange at a time."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: _Exchange | None = None
        self._is_kept = self._is_answering = False
        self._body = b""

    @property
    def is_open(self) -> bool:
        """Whether it can carry another request."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, exchange: _Exchange, *, is_kept: bool) -> None:
        """Send one request; its answer goes to the exchange."""
        self._exchange = exchange
        self._is_kept = is_kept
        self._is_answering = False
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)
        exchange.break_off = self.abort
        if self._transport is None:
            self._lose("the connection is closed")
        else:
            self._transport.write(exchange.request)

    def abort(self) -> None:
        """Close without ceremony; what is under way is cancelled."""
        if self._exchange is not None:
            self._exchange.cancel()
            self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def _lose(self, why: str) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if self._is_kept and not self._is_answering and not exchange.answer.done():
            self._pool.open(exchange)
        else:
            exchange.fail(BrokenExchange(why))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._pool.wires.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._pool.wires.discard(self)
        with contextlib.suppress(ValueError):
            self._pool.idle.remove(self)
        self._lose(f"connection lost: {exc}")

    def data_received(self, data: bytes) -> None:
        self._is_answering = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._lose(str(error))
            self.abort()

    # httptools

    def on_body(self, body: bytes) -> None:
        if len(self._body) < _MOST_BODY:
            self._body += body

    def on_message_complete(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        exchange.finish(self._parser.get_status_code(), self._body)
        if self._parser.should_keep_alive():
            self._pool.idle.append(self)
        else:
            self.abort()


@lru_cache(maxsize=512)
def _read_address(url: str) -> tuple[_Place, str, str]:
    """Where to connect, what to ask for, and the host as the request names it."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    if parts.hostname is None:
        raise BrokenExchange(f"no host in {url!r}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    if "\n" in target + host or "\r" in target + host:
        raise BrokenExchange("a line break in the address")
    place = _Place(parts.hostname, parts.port or (443 if is_secure else 80), is_secure)
    return place, target, host


def _encode(target: str, host: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
        f"{_missing(tuple(headers))}{''.join(lines)}\r\n"
    )
    return head.encode("latin-1", "replace") + body


@lru_cache(maxsize=64)
def _missing(names: tuple[str, ...]) -> str:
    """The lines of what every request says, as far as this one does not say it itself."""
    given = {name.lower() for name in names}
    lines = [f"{name}: {value}\r\n" for name, value in _DEFAULTS.items()]
    return "".join(line for line in lines if line.partition(":")[0].lower() not in given)
