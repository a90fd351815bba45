"""What every call to a provider respects, said once.

One question decides what a failed call means: can a byte have left us? `NotSentError` says
certainly not (no such host, refused, no connection in time); `LostError` says perhaps, and then
only the provider knows what happened. Connectors never retry, never follow a redirect, never wait
without a deadline and never read an answer without a size limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Protocol

import msgspec

from tillgate.connectors.port import (
    NotFound,
    NotSent,
    RefundFailed,
    RefundOutcome,
    Unknown,
)
from tillgate.runtime.db import assert_outside_transaction

#: Told after each call: provider, operation, `ok` | `http_4xx` | `http_5xx` | `http_429` | `lost`
#: | `not_sent`, and the seconds it took.
Observe = Callable[[str, str, str, float], None]

MAX_ANSWER_BYTES: Final = 2 * 1024 * 1024
MAX_BILL_BYTES: Final = 256 * 1024 * 1024


class HttpRequest(msgspec.Struct, frozen=True):
    """A request exactly as it goes out: the URL is already encoded, the body is final."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    max_bytes: int = MAX_ANSWER_BYTES


class HttpResponse(msgspec.Struct, frozen=True):
    """A complete answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotSentError(Exception):
    """No byte of the request left us."""


class LostError(Exception):
    """The request may have arrived; its answer did not, or not whole."""


class Transport(Protocol):
    """Carries a request and brings the whole answer, or says which way it was lost."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send once; raise `NotSentError` or `LostError`."""
        ...


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Deadlines and limits of the calls to providers."""

    connect_seconds: float = 3.0
    read_seconds: float = 10.0
    total_seconds: float = 15.0
    connections: int = 200
    connections_per_host: int = 64
    #: Shorter than what servers keep: a connection they closed first costs us an unknown outcome.
    keepalive_seconds: float = 4.0


def unobserved(provider: str, operation: str, outcome_class: str, seconds: float) -> None:
    """Observe nothing."""


class Client:
    """A transport as one provider's connector uses it: failures become values, calls are seen."""

    def __init__(self, transport: Transport, provider: str, observe: Observe = unobserved) -> None:
        self._transport = transport
        self._provider = provider
        self._observe = observe

    async def send(self, operation: str, request: HttpRequest) -> HttpResponse | Unknown | NotSent:
        """Send once, outside any database transaction."""
        assert_outside_transaction()
        began = perf_counter()  # a loop's own time may stand still for as long as it is busy
        try:
            response = await self._transport.send(request)
        except NotSentError as error:
            self._observe(self._provider, operation, "not_sent", perf_counter() - began)
            return NotSent(f"{operation}: {error}")
        except LostError as error:
            self._observe(self._provider, operation, "lost", perf_counter() - began)
            return Unknown(f"{operation}: answer lost ({error})")
        self._observe(self._provider, operation, _class_of(response.status), perf_counter() - began)
        return response


def _class_of(status: int) -> str:
    if status == 429:
        return "http_429"
    return "ok" if status < 300 else f"http_{status // 100}xx"


def retry_after(response: HttpResponse) -> float | None:
    """Return the seconds the provider asked us to wait, where it said so in seconds."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def unusable(operation: str, response: HttpResponse) -> Unknown:
    """Return what an answer that cannot be read means: nothing at all."""
    kind = response.headers.get("content-type", "no content type").partition(";")[0][:40]
    return Unknown(
        f"{operation}: unusable answer, HTTP {response.status}, {kind}",
        retry_after_seconds=retry_after(response),
    )


def unknown_unless_answered(failure: Unknown | NotSent) -> Unknown:
    """Turn a question that was not even sent into `Unknown`: the order itself may well exist."""
    return failure if isinstance(failure, Unknown) else Unknown(failure.reason)


async def confirmed(
    outcome: RefundOutcome, look_up: Callable[[], Awaitable[RefundOutcome | NotFound]]
) -> RefundOutcome:
    """Return what a refund's answer means: a refusal is believed only of a refund that is not there.

    "Already refunded", "trade closed" or "more than is left" may be said of this very refund, made
    when its answer was lost.
    """
    if not isinstance(outcome, RefundFailed):
        return outcome
    found = await look_up()
    return outcome if isinstance(found, NotFound) else found
