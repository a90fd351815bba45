"""The real network: kept-alive HTTP/1.1 connections to each provider, shared by a process.

A request is written at most once, with one exception: a GET, which moves nothing, goes out again
where a kept connection turns out to have ended before a byte of an answer came. A general client
costs several times the CPU of this one, and there is a call to a provider in every charge.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections import deque
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import aiohappyeyeballs

from tillgate.connectors.client import (
    HttpRequest,
    HttpResponse,
    HttpSettings,
    NotSentError,
)
from tillgate.connectors.connection import Connection, GoneError

_DEFAULTS: Final = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "tillgate"}
_TARGET: Final = re.compile(r"/[!-~]*")
#: The next address of a host is tried as well where one has not answered within this time.
_NEXT_ADDRESS_SECONDS: Final = 0.25


class Origin(NamedTuple):
    """Where connections go."""

    host: str
    port: int
    is_secure: bool


class HttpTransport:
    """Carries requests; `close` ends its connections."""

    def __init__(self, settings: HttpSettings | None = None) -> None:
        settings = settings or HttpSettings()
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.connections)
        self._pools: dict[Origin, _Pool] = {}
        self._tls: ssl.SSLContext | None = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        origin, message = _written(request)
        pool = self._pools.get(origin) or self._open_pool(origin)
        until = asyncio.get_running_loop().time() + self._settings.total_seconds
        await self._enter(pool)
        try:
            return await pool.exchange(request, message, until)
        finally:
            pool.slots.release()
            self._slots.release()

    def _open_pool(self, origin: Origin) -> _Pool:
        if origin.is_secure and self._tls is None:  # made once: it reads every certificate there is
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        tls = self._tls if origin.is_secure else None
        pool = self._pools[origin] = _Pool(origin, tls, self._settings)
        return pool

    async def _enter(self, pool: _Pool) -> None:
        """Wait for our turn: at this provider first, so that no other has to wait for its sake."""
        if pool.slots.locked() or self._slots.locked():
            try:
                async with asyncio.timeout(self._settings.connect_seconds):
                    await self._take_turn(pool)
            except TimeoutError:
                raise NotSentError("all connections are in use") from None
        else:
            await self._take_turn(pool)

    async def _take_turn(self, pool: _Pool) -> None:
        await pool.slots.acquire()
        try:
            await self._slots.acquire()
        except BaseException:
            pool.slots.release()
            raise

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.close()


class _Pool:
    """The connections to one origin."""

    def __init__(self, origin: Origin, tls: ssl.SSLContext | None, settings: HttpSettings) -> None:
        self._origin = origin
        self._tls = tls
        self._settings = settings
        self._idle: deque[Connection] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self.slots = asyncio.Semaphore(settings.connections_per_host)

    async def exchange(self, request: HttpRequest, message: bytes, until: float) -> HttpResponse:
        """Ask on a kept connection, or on a new one."""
        kept = self._kept()
        if kept is not None:
            try:
                return await self._ask(kept, request, message, until)
            except GoneError:
                if request.method != "GET":
                    raise
        return await self._ask(await self._connected(), request, message, until)

    async def _ask(
        self, connection: Connection, request: HttpRequest, message: bytes, until: float
    ) -> HttpResponse:
        try:
            if _now() >= until:
                raise NotSentError("no time is left for an answer")
            return await connection.ask(message, request.max_bytes, until)
        finally:
            if connection.may_stay:
                self._keep(connection)
            else:
                connection.close()

    async def _connected(self) -> Connection:
        try:
            async with asyncio.timeout(self._settings.connect_seconds):
                return await _connect(self._origin, self._tls, self._settings.read_seconds)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise NotSentError(type(error).__name__) from error

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since + self._keep_seconds > _now():
                return connection
            connection.close()
        return None

    def _keep(self, connection: Connection) -> None:
        connection.idle_since = _now()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(self._keep_seconds, self._close_old)

    def _close_old(self) -> None:
        """Close what was not used for long: the longest unused stands first."""
        self._sweep = None
        while self._idle and self._idle[0].idle_since + self._keep_seconds <= _now():
            self._idle.popleft().close()
        if self._idle:
            self._sweep_later()

    @property
    def _keep_seconds(self) -> float:
        return self._settings.keepalive_seconds

    def close(self) -> None:
        """Close those that are idle."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        while self._idle:
            self._idle.pop().close()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _connect(origin: Origin, tls: ssl.SSLContext | None, read_seconds: float) -> Connection:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    opened = await aiohappyeyeballs.start_connection(
        found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS
    )
    try:
        _, connection = await loop.create_connection(
            lambda: Connection(read_seconds),
            sock=opened,
            ssl=tls,
            server_hostname=None if tls is None else origin.host,
        )
    except BaseException:
        opened.close()
        raise
    return connection


def _written(request: HttpRequest) -> tuple[Origin, bytes]:
    """Return where a request goes and its bytes; refuse what cannot be written as it stands."""
    url = request.url.partition("#")[0]
    slash = url.find("/", url.find("://") + 3)
    base, target = (url, "/") if slash < 0 else (url[:slash], url[slash:])
    place = _place(base)
    if place is None or not _TARGET.fullmatch(target):
        raise NotSentError("not an address we can call")
    lines = [f"{request.method} {target} HTTP/1.1", f"host: {place[1]}"]
    headers = _DEFAULTS | {name.lower(): value for name, value in request.headers.items()}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if request.body or request.method != "GET":
        lines.append(f"content-length: {len(request.body)}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise NotSentError("a header with a line break")
    return place[0], head.encode() + b"\r\n\r\n" + request.body


@lru_cache(maxsize=1024)
def _place(base: str) -> tuple[Origin, str] | None:
    """Return where an address without its path leads, and how the server is called there."""
    try:
        parts = urlsplit(base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    is_plain = base.isascii() and "@" not in base and "?" not in base
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        return None
    return Origin(parts.hostname, port, parts.scheme == "https"), parts.netloc
