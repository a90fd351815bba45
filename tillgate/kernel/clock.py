"""The clock: time is asked of an object that is passed in, so that tests and replays own it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time (aware, UTC) and waits."""

    def now(self) -> datetime:
        """Return the current moment, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait by this clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251  the one place that reads the machine's clock

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FixedClock:
    """A clock that moves only when it is told to."""

    def __init__(self, now: datetime) -> None:
        assert now.tzinfo is not None, "time is aware"
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, **by: float) -> datetime:
        """Move on by `timedelta(**by)` and return the new moment."""
        self._now += timedelta(**by)
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds=seconds)
        await asyncio.sleep(0)


def unix(moment: datetime) -> int:
    """Return whole seconds since the epoch, as the wire has it."""
    return int(moment.timestamp())


def from_unix(seconds: int) -> datetime:
    """Return the aware moment of whole seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)
