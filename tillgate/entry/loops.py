"""Loops of the worker: a chore done again and again, sooner while there is something to do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tillgate.kernel.errors import Refusal

_log = logging.getLogger("tillgate.worker")


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every so often; it returns how much there was to do."""

    name: str
    do: Callable[[], Awaitable[int]]
    every_seconds: float
    #: Go on at once while there is this much to do.
    again_from: int = 1
    #: Where there was something to do, but less than that, go on this soon: more is likely to come,
    #: and done together it costs less.
    soon_seconds: float | None = None


async def keep_doing(chore: Chore, stop: asyncio.Event) -> None:
    """Do the chore until told to stop; a failure is logged and it is tried again, less often."""
    failures = 0
    while not stop.is_set():
        done = 0
        try:
            done = await chore.do()
            failures = 0
        except Refusal as refusal:
            failures += 1
            _log.warning("%s: %s", chore.name, refusal.message)
        except Exception:  # noqa: BLE001  a chore that fails must not end the others
            failures += 1
            _log.exception("%s failed", chore.name)
        if done >= chore.again_from:
            await asyncio.sleep(0)
            continue
        wait = min(chore.every_seconds * 2 ** min(failures, 6), max(30.0, chore.every_seconds))
        if done and chore.soon_seconds is not None:
            wait = chore.soon_seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)


async def run_all(chores: list[Chore], stop: asyncio.Event) -> None:
    """Keep all chores going until told to stop."""
    async with asyncio.TaskGroup() as group:
        for chore in chores:
            group.create_task(keep_doing(chore, stop), name=chore.name)
