"""Sending a delivery: one POST, no redirects, no proxy, and only to addresses we may reach.

The guard stands where the connection is made, after the name has been resolved: the very address
that was checked is the one connected to, so a name that resolves to something else a moment later
gains nothing.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from tillgate.kernel.clock import Clock
from tillgate.runtime.db import assert_outside_transaction
from tillgate.webhooks.addresses import is_public, literal_address
from tillgate.webhooks.model import Answer

EXCERPT_BYTES: Final = 1_024
_USER_AGENT: Final = "Tillgate/1.0 (Webhooks)"


class AddressRefused(OSError):
    """The address is not one that webhooks may be sent to."""


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses those of which any address is not public."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for entry in found:
            if not is_public(entry["host"]):
                raise AddressRefused(f"{host} is not a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class WebhookClient:
    """The connections of all deliveries."""

    def __init__(
        self, clock: Clock, *, timeout_seconds: float, allow_private_addresses: bool
    ) -> None:
        self._clock = clock
        self._guarded = not allow_private_addresses
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=0,
            ttl_dns_cache=30,
            resolver=GuardedResolver() if self._guarded else ThreadedResolver(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once; whatever happens is an answer."""
        assert_outside_transaction()
        started = time.perf_counter_ns()
        try:
            self._refuse_private_literal(url)
            async with self._session.post(
                url,
                data=body,
                allow_redirects=False,
                headers={
                    **headers,
                    "Content-Type": "application/json; charset=utf-8",
                    "User-Agent": _USER_AGENT,
                },
            ) as response:
                excerpt = await response.content.read(EXCERPT_BYTES)
                return Answer(
                    response.status,
                    _milliseconds(started),
                    excerpt=excerpt.decode(errors="replace").replace("\x00", ""),
                    retry_after_seconds=self._patience(response.headers.get("Retry-After")),
                )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, _milliseconds(started), error=_reason(error))

    def _refuse_private_literal(self, url: str) -> None:
        """aiohttp does not resolve what is an address already, so the resolver cannot refuse it."""
        host = URL(url).host or ""  # read as it will be when it is connected to
        address = literal_address(host)
        if self._guarded and address is not None and not is_public(address):
            raise AddressRefused(f"{host} is not a public address")

    def _patience(self, value: str | None) -> float | None:
        """Read Retry-After: seconds, or a date."""
        if value is None:
            return None
        if value.strip().isdecimal():
            return float(value[:9])
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            return None
        return max(0.0, (moment - self._clock.now()).total_seconds())


def _milliseconds(started: int) -> int:
    return (time.perf_counter_ns() - started) // 1_000_000


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    told = error.__cause__ if isinstance(error.__cause__, AddressRefused) else error
    return f"{type(told).__name__}: {told}"[:300]
