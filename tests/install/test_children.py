"""Child processes: restarted with patience, given up in a loop, ended whatever they do."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tillgate.entry.children import Child, Command, Restarts, stop_all
from tillgate.runtime.embedded_watch import is_alive

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('deaf', flush=True)
time.sleep(600)
"""


def child_of(code: str, logs: Path) -> Child:
    command = Command("tried", (sys.executable, "-c", code), {"PATH": "/usr/bin:/bin"})
    return Child(command, logs, lambda _: None)


@asynccontextmanager
async def running(child: Child) -> AsyncGenerator[asyncio.Task[bool]]:
    task = asyncio.create_task(child.keep_running())
    yield task
    await stop_all([child], [task])


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_true():
            await asyncio.sleep(0.02)


def test_restarts_wait_longer_each_time_and_end_in_a_loop() -> None:
    restarts = Restarts()

    delays = [restarts.delay_after_exit(at) for at in (0, 1, 2, 4, 8, 16)]

    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, None]


def test_exits_that_lie_far_apart_are_no_loop() -> None:
    restarts = Restarts()

    assert [restarts.delay_after_exit(at) for at in range(0, 1000, 100)] == [0.5] * 10


async def test_crashed_child_comes_back_and_its_words_are_kept(tmp_path: Path) -> None:
    child = child_of("print('hello', flush=True); raise SystemExit(3)", tmp_path)

    async with running(child):
        await until(lambda: child.restarted == 1)

    log = (tmp_path / "tried.log").read_text()
    assert log.splitlines()[:2] == ["hello", "tillgate: tried ended with 3; again in 0.5 s"]


async def test_deaf_child_is_killed_after_its_grace(tmp_path: Path) -> None:
    child = child_of(DEAF, tmp_path)

    async with running(child) as task:
        await until(lambda: "deaf" in child.last_words)
        pid = child.pid or 0
        begun = time.monotonic()
        await stop_all([child], [task])
        took = time.monotonic() - begun

    assert not is_alive(pid)
    assert 4 < took < 8
