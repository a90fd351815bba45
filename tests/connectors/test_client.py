"""What a failed call means, over real sockets that misbehave byte by byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tillgate.connectors.client import (
    AiohttpTransport,
    Client,
    HttpRequest,
    HttpResponse,
    HttpSettings,
    LostError,
    NotSentError,
    retry_after,
    unusable,
)
from tillgate.connectors.port import NotSent, Unknown

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Counts requests; answers each connection as it is told."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        self.heads: list[bytes] = []
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/pay"

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                self.heads.append(head)
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


def answering(*parts: bytes, close: bool = False) -> Answer:
    """Answer with these bytes, then perhaps hang up."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
        await writer.drain()
        if close:
            writer.close()

    return answer


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport(HttpSettings(connect_seconds=0.5, read_seconds=0.2, total_seconds=1))
    yield made
    await made.close()


async def test_an_answer_is_whole_and_its_headers_are_lower_case(
    transport: AiohttpTransport,
) -> None:
    server = Server(answering(OK))
    await server.start()

    response = await transport.send(HttpRequest("POST", server.url + "?a=%2F'b", {}, b"x"))

    assert response.status == 200
    assert response.body == b"{}"
    assert response.headers["content-type"] == "application/json"
    assert server.heads[0].startswith(b"POST /pay?a=%2F'b HTTP/1.1\r\n"), "sent as it was signed"
    await server.stop()


async def test_no_byte_left_us_where_nobody_listens(transport: AiohttpTransport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://nowhere.invalid/", "ftp://h/", "http://"):
        with pytest.raises(NotSentError):
            await transport.send(HttpRequest("POST", url, {}, b"x"))


async def test_no_byte_left_us_where_the_connection_is_never_made(
    transport: AiohttpTransport,
) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)  # noqa: FBT003
            filler.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"

        with pytest.raises(NotSentError):
            await transport.send(HttpRequest("POST", url, {}, b"x"))

        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    "answer",
    [
        answering(close=True),
        answering(),
        answering(OK[:-1], close=True),
        answering(OK[:-1]),
        answering(OK[:20], close=True),
        answering(b"\x00\x01garbage\r\n\r\n", close=True),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99),
    ],
    ids=["hung up", "silent", "cut short", "stalled", "head cut short", "not HTTP", "too large"],
)
async def test_an_answer_that_did_not_come_whole_is_lost(
    transport: AiohttpTransport, answer: Answer
) -> None:
    server = Server(answer)
    await server.start()

    with pytest.raises(LostError):
        await transport.send(HttpRequest("POST", server.url, {}, b"x", max_bytes=50))

    assert len(server.heads) == 1
    await server.stop()


async def test_a_post_on_a_connection_the_server_just_closed_is_never_sent_again(
    transport: AiohttpTransport,
) -> None:
    calls = 0

    async def once_then_gone(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            writer.write(OK)
            await writer.drain()
        else:
            writer.close()

    server = Server(once_then_gone)
    await server.start()
    request = HttpRequest("POST", server.url, {}, b"x")
    await transport.send(request)

    with pytest.raises(LostError):
        await transport.send(request)

    assert len(server.heads) == 2, "the second went out once, on the kept connection, and is lost"
    await server.stop()


async def test_a_redirect_is_an_answer_and_is_not_followed(transport: AiohttpTransport) -> None:
    server = Server(
        answering(b"HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n")
    )
    await server.start()

    response = await transport.send(HttpRequest("POST", server.url, {}, b"x"))

    assert response.status == 302
    assert len(server.heads) == 1
    await server.stop()


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
