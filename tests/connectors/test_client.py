"""What a failed call means to a connector, and what is seen of each call."""

from __future__ import annotations

import asyncio

import pytest

from tillgate.connectors.client import (
    Client,
    HttpRequest,
    HttpResponse,
    LostError,
    NotSentError,
    retry_after,
    unusable,
)
from tillgate.connectors.port import NotSent, Unknown


class Scripted:
    """A transport that says what it was told to say."""

    def __init__(self, says: HttpResponse | Exception) -> None:
        self._says = says

    async def send(self, request: HttpRequest) -> HttpResponse:
        if isinstance(self._says, Exception):
            raise self._says
        return self._says


@pytest.mark.parametrize(
    ("says", "expected", "seen"),
    [
        (NotSentError("refused"), NotSent("charge: refused"), "not_sent"),
        (LostError("reset"), Unknown("charge: answer lost (reset)"), "lost"),
        (HttpResponse(200, {}, b""), HttpResponse(200, {}, b""), "ok"),
        (HttpResponse(404, {}, b""), HttpResponse(404, {}, b""), "http_4xx"),
        (HttpResponse(429, {}, b""), HttpResponse(429, {}, b""), "http_429"),
        (HttpResponse(503, {}, b""), HttpResponse(503, {}, b""), "http_5xx"),
    ],
)
async def test_failures_become_values_and_every_call_is_seen(
    says: HttpResponse | Exception, expected: object, seen: str
) -> None:
    observed: list[tuple[str, str, str]] = []

    def observe(provider: str, operation: str, outcome_class: str, seconds: float) -> None:
        assert seconds >= 0
        observed.append((provider, operation, outcome_class))

    client = Client(Scripted(says), "alipay", observe)

    assert await client.send("charge", HttpRequest("POST", "http://h/")) == expected
    assert observed == [("alipay", "charge", seen)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("", None), ("-1", None), ("Wed, 21 Oct", None), ("1e9", None), ("²", None)],
)
def test_how_long_we_are_asked_to_wait(text: str, seconds: float | None) -> None:
    response = HttpResponse(429, {"retry-after": text, "content-type": "text/html; x"}, b"<html>")

    assert retry_after(response) == seconds
    assert unusable("charge", response) == Unknown(
        "charge: unusable answer, HTTP 429, text/html", retry_after_seconds=seconds
    )


async def test_a_call_is_measured_finer_than_the_loop_tells_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server's loop counts whole milliseconds, and stands still while it is busy."""
    taken: list[float] = []
    client = Client(
        Scripted(HttpResponse(200, {}, b"")), "alipay", lambda *told: taken.append(told[3])
    )
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 0.0)

    for _ in range(2):
        await client.send("charge", HttpRequest("POST", "https://alipay.example"))
    monkeypatch.undo()

    assert all(0 < seconds < 1 for seconds in taken)
    assert len(taken) == 2
