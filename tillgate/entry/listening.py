"""Listening: the address is taken before anything is started, so that a taken one is said plainly.

The worker listens too, for health and metrics alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import AsyncGenerator, Generator
from typing import Any

import uvicorn

from tillgate.runtime.embedded_errors import EmbeddedProblem, PortTaken
from tillgate.runtime.ports import owner_of

BACKLOG = 2048


class AddressUnusable(EmbeddedProblem):
    """We cannot listen where the setting says."""

    def __init__(self, host: str, port: int, use: str, reason: str) -> None:
        super().__init__(f"{host}:{port}, wanted for {use}, cannot be listened on: {reason}.")


@contextlib.contextmanager
def bound(host: str, port: int, use: str, setting: str) -> Generator[socket.socket]:
    """Take the address, or say who has it and which setting moves us elsewhere."""
    try:
        listener = _bind(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            taken = PortTaken(port, owner_of(port), use)
            raise EmbeddedProblem(f"{taken} The setting is {setting}.") from None
        raise AddressUnusable(host, port, use, error.strerror or str(error)) from None
    with listener:
        yield listener


def _bind(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address, family=family, backlog=BACKLOG)


def config_of(application: Any) -> uvicorn.Config:
    """Return how we listen: no access log, no banners, no lifespan."""
    return uvicorn.Config(
        application,
        loop="none",
        http="httptools",
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
