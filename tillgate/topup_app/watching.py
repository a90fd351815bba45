"""Live results: one question every half second for all the pages that wait in this process.

A stream only says that something has changed; the page then reads the order anew. While nobody
waits, nothing is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Kind, Refusal
from tillgate.payments import queries as payments
from tillgate.runtime.db import Database

Key = tuple[int, str]

PERIOD_SECONDS: Final = 0.5
_MOST_WATCHERS: Final = 5_000
_MOST_OF_ONE: Final = 20
_log = logging.getLogger("tillgate.topup_app")


class TooManyStreams(Refusal):
    """Too many pages are waiting; ask again and again instead."""

    kind = Kind.UNAVAILABLE
    code = "too_many_streams"


class Watched:
    """A payment that pages wait for."""

    def __init__(self) -> None:
        self.sequence = 0
        self.changed = asyncio.Condition()
        self.watchers = 0


class Watcher:
    """Tells the pages of this process when their payments change."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._watched: dict[Key, Watched] = {}
        self._count = 0
        self._runner: asyncio.Task[None] | None = None
        self._is_closed = False
        #: Questions asked so far.
        self.rounds = 0

    @asynccontextmanager
    async def watch(self, merchant_id: int, payment_id: str) -> AsyncGenerator[Watched]:
        """Have a payment watched for as long as the block lasts."""
        key = (merchant_id, payment_id)
        watched = self._watched.get(key) or Watched()
        if self._is_closed or self._count >= _MOST_WATCHERS or watched.watchers >= _MOST_OF_ONE:
            raise TooManyStreams
        self._watched[key] = watched
        watched.watchers += 1
        self._count += 1
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        try:
            yield watched
        finally:
            watched.watchers -= 1
            self._count -= 1
            if not watched.watchers:
                self._watched.pop(key, None)

    async def next_change(self, watched: Watched, seen: int, seconds: float) -> int | None:
        """Return the payment's sequence once it is past `seen`; None after that many seconds."""
        async with watched.changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await watched.changed.wait_for(
                        lambda: watched.sequence > seen or self._is_closed
                    )
        return watched.sequence if watched.sequence > seen else None

    @property
    def is_closed(self) -> bool:
        """Whether the process is ending: streams end too, and pages come back to the next one."""
        return self._is_closed

    async def close(self) -> None:
        """Let go of every page."""
        self._is_closed = True
        for watched in list(self._watched.values()):
            async with watched.changed:
                watched.changed.notify_all()
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner

    async def _run(self) -> None:
        while self._watched and not self._is_closed:
            try:
                await self._look()
            except Refusal as refusal:
                _log.info("could not look at what pages wait for: %s", refusal.message)
            except Exception:  # noqa: BLE001  pages keep waiting, and ask by themselves
                _log.exception("looking at what pages wait for failed")
            await self._clock.sleep(PERIOD_SECONDS)

    async def _look(self) -> None:
        keys = sorted(self._watched)
        async with self._db.transaction(readonly=True) as tx:
            found = await payments.sequences(tx, keys)
        self.rounds += 1
        for key, sequence in found.items():
            watched = self._watched.get(key)
            if watched is not None and sequence > watched.sequence:
                async with watched.changed:
                    watched.sequence = sequence
                    watched.changed.notify_all()
