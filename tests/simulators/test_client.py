"""The client that carries notices: kept connections, closed ones, and answers cut short."""

import asyncio

import pytest

from simulators.common.client import BrokenExchange, Client
from simulators.common.http import RESET, Request, Response, Server


async def test_connection_is_kept_and_replaced_once_it_was_closed() -> None:
    peers: list[Request] = []

    def answer(request: Request) -> Response:
        peers.append(request)
        return Response(200, request.body)

    server = Server(answer)
    await server.start()
    client = Client()
    url = server.url + "/notify?a=1"

    first = await client.post(url, {"user-agent": "other"}, b"one", 2)
    second = await client.post(url, {}, b"two", 2)
    await server.stop()
    await server.start()
    third = await client.post(url, {}, b"three", 2)
    client.close()
    await server.stop()

    assert [first, second, third] == [(200, b"one"), (200, b"two"), (200, b"three")]
    assert [request.headers["user-agent"] for request in peers] == [
        "other",
        "notices/1.0",
        "notices/1.0",
    ]
    assert peers[0].target == "/notify?a=1"


async def test_reset_silence_and_refusal_are_told_apart_from_answers() -> None:
    server = Server(lambda _: RESET)
    await server.start()
    client = Client()
    silent = Server(lambda _: asyncio.sleep(10, Response()))
    await silent.start()

    with pytest.raises(BrokenExchange):
        await client.post(server.url, {}, b"", 2)
    with pytest.raises(TimeoutError):
        await client.post(silent.url, {}, b"", 0.1)
    await server.stop()
    with pytest.raises(OSError, match="Connect call failed"):
        await client.post(server.url, {}, b"", 2)

    client.close()
    await silent.stop()


async def test_a_cut_answer_is_not_asked_for_again() -> None:
    asked: list[bytes] = []
    server = await asyncio.start_server(lambda r, w: _answer_half(r, w, asked), "127.0.0.1", 0)
    client = Client()
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    assert await client.post(url, {}, b"one", 2) == (200, b"ok")
    with pytest.raises(BrokenExchange):
        await client.post(url, {}, b"two", 2)
    with pytest.raises(BrokenExchange):
        await client.post("http:///nowhere", {}, b"", 2)
    client.close()
    server.close()
    await server.wait_closed()

    assert asked == [b"one", b"two"]


async def _answer_half(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[bytes]
) -> None:
    """Answer the first request of a connection, and half of the second."""
    for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 OK\r\nCont"):
        await reader.readuntil(b"\r\n\r\n")
        asked.append(await reader.readexactly(3))
        writer.write(answer)
    writer.close()


async def test_closing_ends_what_is_under_way() -> None:
    silent = Server(lambda _: asyncio.sleep(10, Response()))
    await silent.start()
    client = Client()
    waiting = client.post(silent.url, {}, b"", 5)
    await asyncio.sleep(0.05)
    opening = client.post(silent.url, {}, b"", 5)

    client.close()
    await asyncio.wait([waiting, opening], timeout=1)

    assert waiting.cancelled()
    assert opening.cancelled()
    await silent.stop()
