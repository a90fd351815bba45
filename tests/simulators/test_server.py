"""The simulators' server: when it stops, nobody stays connected to it."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from simulators.common.http import Response, Server


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("turns", range(6))
def test_who_just_connected_is_dropped_like_all_others(
    loop: Callable[[], asyncio.AbstractEventLoop], turns: int
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        still_open = runner.run(_stop_after(turns))

    assert still_open == 0


async def _stop_after(turns: int) -> int:
    server = Server(lambda _: Response())
    await server.start()
    callers = [socket.create_connection((server.host, server.port), 5) for _ in range(20)]
    for _ in range(turns):
        await asyncio.sleep(0)

    await server.stop()

    still_open = [caller for caller in callers if not _is_dropped(caller)]
    for caller in callers:
        caller.close()
    return len(still_open)


def _is_dropped(caller: socket.socket) -> bool:
    caller.settimeout(0)
    try:
        return caller.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
