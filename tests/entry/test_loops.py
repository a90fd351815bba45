"""Chores of the worker: again at once, soon, or when it is time."""

import asyncio

import pytest

from tillgate.entry.loops import Chore, keep_doing

NEVER = 3_600.0


@pytest.mark.parametrize(
    ("done", "times"),
    [
        ([100, 100, 0, 0], 3),
        ([99, 1, 0, 0], 3),
        ([0, 0], 1),
    ],
    ids=["much: at once", "some: soon", "nothing: when it is time"],
)
async def test_a_chore_is_done_again_sooner_where_there_was_something_to_do(
    done: list[int], times: int
) -> None:
    stop = asyncio.Event()
    calls = 0

    async def do() -> int:
        nonlocal calls
        calls += 1
        return done[calls - 1]

    chore = Chore("relay", do, NEVER, again_from=100, soon_seconds=0.01)
    task = asyncio.create_task(keep_doing(chore, stop))
    await asyncio.sleep(0.3)
    stop.set()
    await task

    assert calls == times
