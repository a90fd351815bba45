"""Whole answers: what goes over the wire, and what is left behind."""

import asyncio
import gc
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tillgate.entry import listening
from tillgate.web.answering import send_whole

_REQUEST = b"%b / HTTP/1.1\r\nHost: t\r\n%b\r\n"


async def _answers(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send_whole(scope, send, 201, [(b"content-type", b"text/plain")], b"tea")


@pytest.fixture
async def port() -> AsyncGenerator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    async with listening.beside(_answers, listener):
        yield listener.getsockname()[1]


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[list[bytes], bytes]:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
    body = b"" if request.startswith(b"HEAD") else await reader.readexactly(3)
    return head, body


async def test_an_answer_is_what_http_wants(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    line = [b"HTTP/1.1 201 Created", b"content-length: 3", b"content-type: text/plain"]

    assert await _ask(reader, writer, _REQUEST % (b"GET", b"")) == (line, b"tea")
    assert await _ask(reader, writer, _REQUEST % (b"HEAD", b"")) == (line, b"")
    last = _REQUEST % (b"GET", b"Connection: close\r\n")
    assert await _ask(reader, writer, last) == ([*line, b"connection: close"], b"tea")
    assert await reader.read() == b""
    writer.close()


async def test_requests_sent_at_once_are_answered_in_order(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    writer.write((_REQUEST % (b"GET", b"")) * 5)
    for _ in range(5):
        assert (await reader.readuntil(b"\r\n\r\ntea")).startswith(b"HTTP/1.1 201 Created\r\n")
    writer.close()


async def test_an_answered_request_leaves_nothing_for_the_collector(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _ask(reader, writer, _REQUEST % (b"GET", b""))
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            await _ask(reader, writer, _REQUEST % (b"GET", b""))
        assert gc.collect() < 100
    finally:
        gc.enable()
    writer.close()


async def test_a_header_is_one_line() -> None:
    async def whole(head: bytes, body: bytes) -> None: ...

    scope = {"extensions": {"tillgate.whole_answer": whole}}
    with pytest.raises(AssertionError, match="one line"):
        await send_whole(scope, _answers, 200, [(b"x", b"a\r\nset-cookie: b")], b"")  # type: ignore[arg-type]


async def _tell_client(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    client = f"{scope['client'][0]} {scope['scheme']}".encode()
    await send_whole(scope, send, 200, [], client)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        (b"", b"127.0.0.1 http"),
        (b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n", b"203.0.113.9 https"),
        (b"X-Forwarded-Proto: https\r\n", b"127.0.0.1 https"),
    ],
)
async def test_a_proxy_of_this_machine_says_whose_request_it_is(
    headers: bytes, client: bytes
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    async with listening.beside(_tell_client, listener):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(_REQUEST % (b"GET", b"Connection: close\r\n" + headers))
        assert (await reader.read()).endswith(b"\r\n\r\n" + client)
        writer.close()
