"""Who is calling: API keys from the Authorization header, looked up by digest, cached briefly."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from tillgate.kernel.errors import Kind, Refusal
from tillgate.runtime.secrets import digest_of_key
from tillgate.runtime.shared import Shared

#: A revoked key works at the most this much longer.
CACHE_SECONDS: Final = 3.0
_MOST_CACHED: Final = 10_000
_PREFIXES: Final = ("sk_test_", "sk_live_", "pk_test_", "pk_live_")


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key: exactly one tenant, that is one merchant in one mode."""

    merchant_id: int
    account: str
    livemode: bool
    key_id: str
    kind: Literal["secret", "publishable"]


#: Find the holder of a key by its digest.
LookUp = Callable[[bytes], Awaitable[Caller | None]]


class KeyMissing(Refusal):
    """You did not provide an API key. Send it as Bearer or as the user of Basic authentication, as in 'Authorization: Bearer sk_test_...'."""  # noqa: E501  a message is one line

    kind = Kind.UNAUTHENTICATED


class KeyUnknown(Refusal):
    """Invalid API Key provided: {hint}"""

    kind = Kind.UNAUTHENTICATED

    def __init__(self, key: str) -> None:
        super().__init__(hint=f"{key[:8]}****" if key.startswith(_PREFIXES) else "****")


class KeyMayNot(Refusal):
    """A publishable key cannot do this; use a secret key, on your server."""

    kind = Kind.FORBIDDEN
    code = "secret_key_required"


class OtherAccount(Refusal):
    """The key does not have access to the account named in the Stripe-Account header."""

    kind = Kind.FORBIDDEN
    code = "account_invalid"


class RateLimited(Refusal):
    """Too many requests with this key in a short time; please slow down."""

    kind = Kind.RATE_LIMITED
    code = "rate_limit"


def key_of(authorization: bytes | None) -> str:
    """Read the key out of a Bearer or Basic Authorization header."""
    if not authorization:
        raise KeyMissing
    scheme, _, rest = authorization.decode("latin-1").partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer" and rest:
        return rest
    if scheme.lower() == "basic":
        try:
            user = base64.b64decode(rest, validate=True).decode("latin-1").partition(":")[0]
        except (binascii.Error, ValueError):
            raise KeyMissing from None
        if user:
            return user
    raise KeyMissing


class KeyRing:
    """Holders of keys, remembered for a few seconds; and how fast each key is used."""

    def __init__(self, look_up: LookUp, *, per_second: int) -> None:
        self._look_up = look_up
        self._known: dict[str, tuple[float, Caller | None]] = {}
        self._asking = Shared(self._ask)
        self._buckets: dict[str, list[float]] = {}
        self._tenants: dict[str, int] = {}
        self._per_second = float(per_second)

    async def caller(self, authorization: bytes | None) -> Caller:
        """Return who is calling, or refuse."""
        key = key_of(authorization)
        now = time.monotonic()
        known = self._known.get(key)
        if known is None or known[0] < now:
            known = await self._asking(key)
        caller = known[1]
        if caller is None:
            raise KeyUnknown(key)
        self._take_token(caller, now)
        return caller

    def used_since(self, moment: float) -> list[tuple[int, str, float]]:
        """Return tenant, key and `time.monotonic()` of the last use of keys used since then.

        What the limit of requests has to remember anyway, so it costs a request nothing.
        """
        return [
            (self._tenants[key_id], key_id, at)
            for key_id, (_, at) in self._buckets.items()
            if at > moment
        ]

    def forget(self) -> None:
        """Ask again about every key."""
        self._known.clear()

    async def _ask(self, key: str) -> tuple[float, Caller | None]:
        until = time.monotonic() + CACHE_SECONDS
        caller = None
        if key.startswith(_PREFIXES) and len(key) <= 200:
            caller = await self._look_up(digest_of_key(key))
        if len(self._known) >= _MOST_CACHED:
            self._known.clear()
        entry = (until, caller)
        if caller is not None:  # guesses are not remembered: they would fill the memory
            self._known[key] = entry
        return entry

    def _take_token(self, caller: Caller, now: float) -> None:
        """A bucket of one second's requests that fills up again steadily."""
        bucket = self._buckets.get(caller.key_id)
        if bucket is None:
            self._buckets[caller.key_id] = [self._per_second - 1, now]
            self._tenants[caller.key_id] = caller.merchant_id
            return
        tokens = min(self._per_second, bucket[0] + (now - bucket[1]) * self._per_second)
        bucket[1] = now
        if tokens < 1:
            bucket[0] = tokens
            raise RateLimited
        bucket[0] = tokens - 1
