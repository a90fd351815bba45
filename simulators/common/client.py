"""A small keep-alive HTTP/1.1 client on httptools, for notices only.

An ordinary client costs several times as much CPU, and the simulators share their processor with
the system they are measured against. A connection that the other side closed while it was idle is
replaced once; anything else that breaks is the caller's to see.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import urlsplit

import httptools

_MOST_BODY: Final = 4096
_DEFAULTS: Final = {"Accept": "*/*", "User-Agent": "notices/1.0"}


class BrokenExchange(Exception):
    """No whole answer came."""


class Client:
    """Posts to any number of hosts, keeping idle connections."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int, bool], deque[_Wire]] = {}

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> tuple[int, bytes]:
        """Status and the first bytes of the answer; redirects are not followed."""
        parts = urlsplit(url)
        is_secure = parts.scheme == "https"
        if parts.hostname is None:
            raise BrokenExchange(f"no host in {url!r}")
        key = (parts.hostname, parts.port or (443 if is_secure else 80), is_secure)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = _encode(target, parts.netloc.rpartition("@")[2], headers, body)
        async with asyncio.timeout(timeout_seconds):
            return await self._exchange(key, request)

    def close(self) -> None:
        """Drop every idle connection."""
        for wires in self._idle.values():
            for wire in wires:
                wire.abort()
        self._idle.clear()

    async def _exchange(self, key: tuple[str, int, bool], request: bytes) -> tuple[int, bytes]:
        idle = self._idle.setdefault(key, deque())
        while idle:
            wire = idle.pop()
            if not wire.is_open:
                continue
            try:
                return await self._ask(wire, idle, request)
            except BrokenExchange:
                if wire.has_answered:
                    raise
        return await self._ask(await _connect(key), idle, request)

    async def _ask(self, wire: "_Wire", idle: "deque[_Wire]", request: bytes) -> tuple[int, bytes]:
        try:
            answer = await wire.ask(request)
        except BaseException:
            wire.abort()
            raise
        if wire.may_stay:
            idle.append(wire)
        else:
            wire.abort()
        return answer


class _Wire(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self.has_answered = False
        self.may_stay = False

    @property
    def is_open(self) -> bool:
        """Whether it can carry another request."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send one request and wait for its answer."""
        if self._transport is None:
            raise BrokenExchange("the connection is closed")
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self.has_answered = self.may_stay = False
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = None

    def abort(self) -> None:
        """Close without ceremony."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(f"connection lost: {exc}")

    def data_received(self, data: bytes) -> None:
        self.has_answered = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(str(error))

    def on_body(self, body: bytes) -> None:
        if len(self._body) < _MOST_BODY:
            self._body += body

    def on_message_complete(self) -> None:
        self.may_stay = self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), self._body))

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BrokenExchange(why))


async def _connect(key: tuple[str, int, bool]) -> _Wire:
    host, port, is_secure = key
    context = ssl.create_default_context() if is_secure else None
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(_Wire, host, port, ssl=context)
    return wire


def _encode(target: str, host: str, headers: Mapping[str, str], body: bytes) -> bytes:
    given = {name.lower() for name in headers}
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in _DEFAULTS.items() if name.lower() not in given]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines)
    if "\n" in target + host or "\r" in target + host:
        raise BrokenExchange("a line break in the address")
    return head.encode("latin-1", "replace") + b"\r\n\r\n" + body
