"""Listening: the address is taken before anything is started, so that a taken one is said plainly.

The worker listens too, for health and metrics alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import signal
import socket
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, cast

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tillgate.runtime.embedded_errors import EmbeddedProblem, PortTaken
from tillgate.runtime.ports import owner_of
from tillgate.web.answering import WHOLE_ANSWER, Scope

BACKLOG = 2048
Application = Callable[[Scope, Any, Any], Awaitable[None]]


class AddressUnusable(EmbeddedProblem):
    """We cannot listen where the setting says."""

    def __init__(self, host: str, port: int, use: str, setting: str, reason: str) -> None:
        super().__init__(
            f"{host}:{port}, wanted for {use}, cannot be listened on: {reason}. The setting of the"
            f" port is {setting}."
        )


@contextlib.contextmanager
def bound(host: str, port: int, use: str, setting: str) -> Generator[socket.socket]:
    """Take the address, or say who has it and which setting moves us elsewhere."""
    try:
        listener = _bind(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port, owner_of(port), use, setting) from None
        raise AddressUnusable(host, port, use, setting, error.strerror or str(error)) from None
    with listener:
        yield listener


def _bind(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address, family=family, backlog=BACKLOG)


class Protocol(HttpToolsProtocol):
    """Takes an answer as it goes over the wire, beside ASGI's messages.

    Whoever has the whole answer need not have its headers checked one by one: an answer to a spend
    costs uvicorn 20 us as messages, and 5 in one piece.
    """

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        scope = cast("dict[str, Any]", self.scope)
        # The cycle holds the scope: were it held from there, each request would wait for the collector.
        scope["extensions"] = {WHOLE_ANSWER: functools.partial(_answer, weakref.ref(self.cycle))}


async def _answer(
    held: weakref.ReferenceType[RequestResponseCycle], head: bytes, body: bytes
) -> None:
    """Write a whole answer: what `RequestResponseCycle.send` does with its two messages."""
    cycle = held()
    assert cycle is not None, "whoever answers is run by the cycle"
    assert not cycle.response_started, "one answer to a request"
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.transport.write(b"".join((head, end, b"" if cycle.scope["method"] == "HEAD" else body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def behind_proxies(application: Any, trusted: list[str] | str) -> Application:
    """Believe what a proxy of ours says of its client, where one stands before us.

    uvicorn's own way asks each request for its proxy; most have none, which their headers tell.
    """
    proxied: Application = cast("Any", ProxyHeadersMiddleware(application, trusted))

    def answer(scope: Scope, receive: Any, send: Any) -> Awaitable[None]:
        is_forwarded = any(name.startswith(b"x-forwarded-") for name, _ in scope["headers"])
        return (proxied if is_forwarded else application)(scope, receive, send)

    return answer


def config_of(application: Any) -> uvicorn.Config:
    """Return how we listen: no access log, no banners, no lifespan."""
    config = uvicorn.Config(
        application,
        interface="asgi3",
        proxy_headers=False,
        loop="none",
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
        backlog=BACKLOG,
    )
    config.app = behind_proxies(application, config.forwarded_allow_ips)
    return config


class Server(uvicorn.Server):
    """Leaves signals to those who own the process.

    uvicorn's own way raises the signal again at the end, which kills the process before it has
    finished its calls to providers and closed the database.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def end_on(self, *numbers: signal.Signals) -> None:
        """End when one of these is received; a second SIGINT ends at once."""
        loop = asyncio.get_running_loop()
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)


@contextlib.asynccontextmanager
async def beside(application: Any, listener: socket.socket) -> AsyncGenerator[None]:
    """Serve an application while something else is the process's purpose."""
    server = Server(config_of(application))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
