"""Group commit: requests that arrive while a batch is being written form the next batch.

One lane has at most one transaction under way. There is no linger timer: an idle lane writes at
once, a busy one writes more per transaction. One bad item fails alone (the batch is bisected); a
lock that could not be had in time is asked for again, since it says nothing about the items.
Two items with the same key never share a batch, so that the later one sees what the earlier did.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from tillgate.kernel.errors import Kind, Refusal
from tillgate.runtime import telemetry
from tillgate.runtime.db import CommitUnknown, Contended, Database, DatabaseUnavailable, Tx

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Decide a batch inside one transaction: one result for each item, in order.
Handler = Callable[[Tx, Sequence[Item]], Awaitable[Sequence[Result | Refusal]]]


class Overloaded(Refusal):
    """Too many requests are waiting; please try again in a moment."""

    kind = Kind.RATE_LIMITED
    code = "rate_limit"


class Lane(Generic[Item, Result]):
    """Collects items and hands them to `handle` in batches, a transaction each."""

    def __init__(
        self,
        db: Database,
        handle: Handler[Item, Result],
        *,
        key: Callable[[Item], Hashable] | None = None,
        max_items: int = 256,
        max_waiting: int = 20_000,
    ) -> None:
        self._db = db
        self._handle = handle
        self._key = key
        self._max_items = max_items
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._runner: asyncio.Task[None] | None = None
        # A handler's name is one of the code's, so the label's values are few.
        self._sizes = telemetry.LANE_BATCH.labels(getattr(handle, "__name__", "lane").lstrip("_"))

    async def submit(self, item: Item) -> Result:
        """Return the item's result once its transaction has committed; raise its refusal."""
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._came()
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await future

    def _came(self) -> None:
        """Something waits now."""

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # one turn of the loop lets ready requests join
            await self._write(self._next_batch(set()))

    def _keys_of(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> set[Hashable]:
        return {self._key(item) for item, _ in batch} - {None} if self._key else set()

    def _next_batch(
        self, keys: set[Hashable], *, most: int = 1 << 30
    ) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Take what waits; what has one of these keys, or one that is in the batch, waits on."""
        most = min(most, self._max_items)
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        later: list[tuple[Item, asyncio.Future[Result]]] = []
        keys = set(keys)
        while self._waiting and len(batch) < most:
            entry = self._waiting.popleft()
            key = self._key(entry[0]) if self._key else None
            if key is not None and key in keys:
                later.append(entry)
                continue
            if key is not None:
                keys.add(key)
            batch.append(entry)
        self._waiting.extendleft(reversed(later))
        return batch

    async def _write(
        self, batch: list[tuple[Item, asyncio.Future[Result]]], *, tries: int = 3
    ) -> None:
        failure: Exception
        try:
            async with self._db.transaction() as tx:
                results = await self._handle(tx, [item for item, _ in batch])
                assert len(results) == len(batch), "a result for each item"
        except (DatabaseUnavailable, CommitUnknown) as error:
            fail(batch, error)
            return
        except Contended as error:
            if tries > 1:
                await self._write(batch, tries=tries - 1)
                return
            failure = error
        except Exception as error:  # noqa: BLE001  whatever it was, it must reach the one who asked
            failure = error
        except BaseException as error:
            fail(batch, error)
            raise
        else:
            self._settle(batch, results)
            return
        await self._write_apart(batch, failure)

    def _settle(
        self,
        batch: list[tuple[Item, asyncio.Future[Result]]],
        results: Sequence[Result | Refusal],
    ) -> None:
        self._sizes.observe(len(batch))
        for (_, future), result in zip(batch, results, strict=True):
            settle(future, result)

    async def _write_apart(
        self, batch: list[tuple[Item, asyncio.Future[Result]]], error: Exception
    ) -> None:
        if len(batch) == 1:
            fail(batch, error)
            return
        middle = len(batch) // 2
        await self._write(batch[:middle])
        await self._write(batch[middle:])


def settle(future: asyncio.Future[Result], result: Result | Refusal) -> None:
    if future.done():
        return
    if isinstance(result, Refusal):
        future.set_exception(result)
    else:
        future.set_result(result)


def fail(batch: list[tuple[Item, asyncio.Future[Result]]], error: BaseException) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
