"""What a call means whose other side misbehaves byte by byte, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tillgate.connectors.client import HttpRequest, HttpSettings, LostError, NotSentError
from tillgate.connectors.transport import HttpTransport
from tillgate.kernel.clock import SystemClock

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Counts requests; answers each connection as it is told."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.heads: list[bytes] = []
        self.url = ""

    async def start(self, secure: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=secure)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/pay"

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def heard(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.heads) < count:
                await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.append(writer)
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
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport(HttpSettings(connect_seconds=0.5, read_seconds=0.2, total_seconds=1))
    yield made
    await made.close()


async def test_an_answer_is_whole_and_its_headers_are_lower_case(
    transport: HttpTransport,
) -> None:
    server = Server(answering(OK))
    await server.start()

    response = await transport.send(HttpRequest("POST", server.url + "?a=%2F'b", {}, b"x"))

    assert response.status == 200
    assert response.body == b"{}"
    assert response.headers["content-type"] == "application/json"
    assert server.heads[0].startswith(b"POST /pay?a=%2F'b HTTP/1.1\r\n"), "sent as it was signed"
    await server.stop()


async def test_no_byte_left_us_where_nobody_listens(transport: HttpTransport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://nowhere.invalid/", "ftp://h/", "http://"):
        with pytest.raises(NotSentError):
            await transport.send(HttpRequest("POST", url, {}, b"x"))


async def test_no_byte_left_us_where_the_connection_is_never_made(
    transport: HttpTransport,
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
    transport: HttpTransport, answer: Answer
) -> None:
    server = Server(answer)
    await server.start()

    with pytest.raises(LostError):
        await transport.send(HttpRequest("POST", server.url, {}, b"x", max_bytes=50))

    assert len(server.heads) == 1
    await server.stop()


async def test_a_post_on_a_connection_the_server_just_closed_is_never_sent_again(
    transport: HttpTransport,
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


async def test_a_redirect_is_an_answer_and_is_not_followed(transport: HttpTransport) -> None:
    server = Server(
        answering(b"HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n")
    )
    await server.start()

    response = await transport.send(HttpRequest("POST", server.url, {}, b"x"))

    assert response.status == 302
    assert len(server.heads) == 1
    await server.stop()


def one_at_a_time(*answers: bytes, close_after: int | None = None) -> Answer:
    """Give one of these answers to each request, and hang up on the one with that number."""
    given = iter(answers)
    calls = 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        if calls == close_after:
            writer.close()
            return
        writer.write(next(given))
        await writer.drain()

    return answer


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Said: before\r\n\r\n"
    b"3\r\nabc\r\n2;note=x\r\nde\r\n0\r\nX-Said: after\r\n\r\n"
)


@pytest.mark.parametrize(
    ("parts", "ends", "body"),
    [
        ([CHUNKED], "kept", b"abcde"),
        ([CHUNKED[at : at + 1] for at in range(len(CHUNKED))], "kept", b"abcde"),
        ([b"HTTP/1.1 200 OK\r\nX-Said: before\r\n\r\n", b"abc", b"de"], "closed", b"abcde"),
        (
            [b"HTTP/1.0 200 OK\r\nX-Said: before\r\nContent-Length: 5\r\n\r\nabcde"],
            "closed",
            b"abcde",
        ),
        ([b"HTTP/1.1 204 No Content\r\nX-Said: before\r\n\r\n"], "kept", b""),
        (
            [
                b"HTTP/1.1 100 Continue\r\nX-Said: too early\r\nX-Other: x\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nX-Said: before\r\nContent-Length: 5\r\n\r\nabcde"
            ],
            "kept",
            b"abcde",
        ),
    ],
    ids=["chunked", "byte by byte", "until the end", "HTTP/1.0", "no content", "continue"],
)
async def test_an_answer_is_read_however_it_is_framed(
    transport: HttpTransport, parts: list[bytes], ends: str, body: bytes
) -> None:
    server = Server(answering(*parts, close=ends == "closed"))
    await server.start()
    for _ in range(2):
        response = await transport.send(HttpRequest("POST", server.url, {}, b"x"))

        assert response.body == body
        assert response.headers["x-said"] == "before", "what trails the body is no header"
        assert "x-other" not in response.headers
    await server.stop()


@pytest.mark.parametrize(
    "answer",
    [
        answering(CHUNKED[:-30], close=True),
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff"),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 80_000),
        answering(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000),
        answering(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 80_000 + b"\r\n"
        ),
        answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 51, close=True),
    ],
    ids=[
        "chunk cut", "chunk stalled", "two lengths", "endless header", "endless headers",
        "endless extension", "another protocol", "too large",
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_trusted_is_lost(
    transport: HttpTransport, answer: Answer
) -> None:
    server = Server(answer)
    await server.start()
    for _ in range(2):
        with pytest.raises(LostError):
            await transport.send(HttpRequest("POST", server.url, {}, b"x", max_bytes=50))

    assert len(server.heads) == 2, "each went out once"
    await server.stop()


async def test_an_answer_nobody_asked_for_is_not_taken_for_the_next(
    transport: HttpTransport,
) -> None:
    server = Server(answering(OK + OK.replace(b"{}", b"[]")))
    await server.start()
    for _ in range(3):
        response = await transport.send(HttpRequest("POST", server.url, {}, b"x"))
        assert response.body == b"{}"
        await asyncio.sleep(0)
    assert len(server.heads) == 3
    await server.stop()


async def test_only_a_question_goes_out_again_where_a_kept_connection_has_ended(
    transport: HttpTransport,
) -> None:
    server = Server(one_at_a_time(OK, OK, close_after=2))
    await server.start()
    await transport.send(HttpRequest("GET", server.url))

    response = await transport.send(HttpRequest("GET", server.url))

    assert response.body == b"{}"
    assert len(server.heads) == 3
    await server.stop()


async def test_a_question_whose_new_connection_ends_is_lost(transport: HttpTransport) -> None:
    server = Server(answering(close=True))
    await server.start()
    with pytest.raises(LostError):
        await transport.send(HttpRequest("GET", server.url))
    assert len(server.heads) == 1
    await server.stop()


async def test_a_question_that_is_not_answered_is_not_asked_again(
    transport: HttpTransport,
) -> None:
    server = Server(one_at_a_time(OK, b"", b""))
    await server.start()
    await transport.send(HttpRequest("GET", server.url))
    with pytest.raises(LostError):
        await transport.send(HttpRequest("GET", server.url))

    assert len(server.heads) == 2
    await server.stop()


async def test_parts_may_take_their_time_but_not_the_whole() -> None:
    async def dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK[:-2].replace(b": 2", b": 99"))
        for _part in range(99):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    transport = HttpTransport(HttpSettings(read_seconds=0.2, total_seconds=0.5))
    server = Server(dripping)
    await server.start()
    time = asyncio.get_running_loop().time
    began = time()

    with pytest.raises(LostError):
        await transport.send(HttpRequest("POST", server.url, {}, b"x"))

    assert 0.4 < time() - began < 2
    await server.stop()
    await transport.close()


async def test_connections_are_kept_for_the_next_and_given_up_in_time() -> None:
    transport = HttpTransport(HttpSettings(keepalive_seconds=0.1))
    ended = asyncio.Semaphore(0)
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while (await reader.read(4096)).endswith(b"x"):
            writer.write(OK)
        writer.close()
        ended.release()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    request = HttpRequest(
        "POST", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {}, b"x"
    )
    for _ in range(3):
        await transport.send(request)
    assert connections == 1

    await asyncio.wait_for(ended.acquire(), 5)
    await transport.send(request)

    assert connections == 2
    await transport.close()
    await asyncio.wait_for(ended.acquire(), 5)
    server.close()


async def test_one_provider_that_hangs_takes_only_its_own_connections() -> None:
    transport = HttpTransport(
        HttpSettings(connect_seconds=1, total_seconds=9, connections=3, connections_per_host=2)
    )
    hanging, quick = Server(answering()), Server(answering(OK))
    await hanging.start()
    await quick.start()
    stuck = [
        asyncio.ensure_future(transport.send(HttpRequest("POST", hanging.url, {}, b"x")))
        for _ in range(2)
    ]
    await hanging.heard(2)

    with pytest.raises(NotSentError):
        await transport.send(HttpRequest("POST", hanging.url, {}, b"x"))
    response = await transport.send(HttpRequest("POST", quick.url, {}, b"x"))

    assert response.body == b"{}"
    assert len(hanging.heads) == 2
    for task in stuck:
        task.cancel()
    assert await asyncio.gather(*stuck, return_exceptions=True)
    again = asyncio.ensure_future(transport.send(HttpRequest("POST", hanging.url, {}, b"x")))
    await hanging.heard(3)  # their places are free again
    again.cancel()
    await hanging.stop()
    await quick.stop()
    await transport.close()


async def test_nothing_is_written_once_there_is_no_time_for_an_answer() -> None:
    server, transport = Server(answering(OK)), HttpTransport(HttpSettings(total_seconds=0))
    await server.start()
    with pytest.raises(NotSentError):
        await transport.send(HttpRequest("POST", server.url, {}, b"x"))
    assert not server.heads
    await server.stop()


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:1/a b", {}),
        ("http://127.0.0.1:1/\r\nhost: other", {}),
        ("http://127.0.0.1:1/ä", {}),
        ("http://user@127.0.0.1:1/", {}),
        ("http://127.0.0.1:99999/", {}),
        ("http://127.0.0.1:1/", {"x": "a\r\nhost: other"}),
        ("http://127.0.0.1:1/", {"x": "a\nb"}),
        ("http://127.0.0.1:1/", {"x\r": "a"}),
    ],
)
async def test_what_cannot_be_written_as_it_stands_is_not_sent(
    transport: HttpTransport, url: str, headers: dict[str, str]
) -> None:
    with pytest.raises(NotSentError, match=r"address|line break"):
        await transport.send(HttpRequest("POST", url, headers, b"x"))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for localhost that nobody but we has heard of."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = SystemClock().now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "localhost.pem"
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


async def test_a_server_is_believed_only_where_its_certificate_is(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secure.load_cert_chain(certificate)
    server = Server(answering(OK))
    await server.start(secure)
    named = HttpRequest("POST", server.url.replace("http://127.0.0.1", "https://localhost"))
    by_address = HttpRequest("POST", server.url.replace("http://", "https://"))
    stranger = HttpTransport()
    with pytest.raises(NotSentError, match="SSLCertVerification"):
        await stranger.send(named)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    friend = HttpTransport()
    assert (await friend.send(named)).body == b"{}"
    assert (await friend.send(named)).body == b"{}"
    with pytest.raises(NotSentError, match="SSLCertVerification"):
        await friend.send(by_address)

    assert len(server.heads) == 2
    await stranger.close()
    await friend.close()
    await server.stop()
