"""Virtual time: an event loop whose clock jumps to the next timer when nothing real is under way.

While a statement is at the database (`is_busy`), time stands still, so that how fast the machine
is never shows. When the database lets us wait for long, `stalled` is called: somebody there holds
a lock.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

#: Shortly before midnight, so that a day ends in the middle of each seed.
EPOCH = datetime(2026, 2, 28, 23, 54, tzinfo=UTC)
_PATIENCE = 0.004


class _Selector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if self.loop.is_busy():
            events = super().select(_PATIENCE)
            if not events:
                self.loop.stalled()
            return events
        if timeout is None:
            return super().select(0.01)
        self.loop.virtual += timeout
        return []


class _Timer(asyncio.TimerHandle):
    """Of timers for one moment, the one set first rings first; asyncio's own heap does not say."""

    order = 0

    def __lt__(self, other: _Timer) -> bool:
        return (self.when(), self.order) < (other.when(), other.order)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self) -> None:
        selector = _Selector()
        self.virtual = 0.0
        self._orders = itertools.count()
        self.is_busy: Callable[[], bool] = lambda: True
        self.stalled: Callable[[], None] = lambda: None
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.virtual

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        timer.order = next(self._orders)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer


class VirtualClock:
    """The clock of everything that is simulated. It starts at the same moment for each seed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the seed began."""
        return self._loop.time() - self._began

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=round(self.elapsed, 6))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
