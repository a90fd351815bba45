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
