"""Group commit: requests that arrive while a batch is being written form the next batch.

One lane has at most one transaction under way. There is no linger timer: an idle lane writes at
once, a busy one writes more per transaction. One bad item fails alone (the batch is bisected); a
lock that could not be had in time is asked for again, since it says nothing about the items.
Two items with the same key never share a batch, so that the later one sees what the earlier did.

A lane may be given an `Ahead`: while a batch is written, it decides the next one on what the batch
under way will leave. The draft is written only if that came true, which `Draft.write` checks under
the lock; else, as whenever anything at all goes wrong, the batch is decided again the careful way,
by `handle`. No answer is given before the transaction it rests on has committed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tillgate.kernel.errors import Kind, Refusal
from tillgate.runtime import telemetry
from tillgate.runtime.db import CONTENDED, CommitUnknown, Database, DatabaseUnavailable, Tx

Item = TypeVar("Item")
Result = TypeVar("Result")
Given = TypeVar("Given", contravariant=True)
Answer = TypeVar("Answer", covariant=True)

#: Decide a batch inside one transaction: one result for each item, in order.
Handler = Callable[[Tx, Sequence[Item]], Awaitable[Sequence[Result | Refusal]]]


class Overloaded(Refusal):
    """Too many requests are waiting; please try again in a moment."""

    kind = Kind.RATE_LIMITED
    code = "rate_limit"


class Draft(Protocol[Answer]):
    """A batch decided ahead."""

    @property
    def results(self) -> Sequence[Answer | Refusal]:
        """A result for each item, in order."""
        ...

    async def write(self, tx: Tx, /) -> None:
        """Put off what is to be written; it must fail where what was decided on is not true."""
        ...


class Ahead(Protocol[Given, Answer]):
    """Decides batches on what the ones drafted before will leave."""

    async def draft(self, tx: Tx, items: Sequence[Given], /) -> Draft[Answer] | None:
        """Decide, with a `tx` that only reads; None where these items cannot be decided ahead."""
        ...

    def forget(self) -> None:
        """What was drafted last did not come true: begin anew, from what is committed."""
        ...


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
        ahead: Ahead[Item, Result] | None = None,
    ) -> None:
        self._db = db
        self._handle = handle
        self._ahead = ahead
        self._key = key
        self._max_items = max_items
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._runner: asyncio.Task[None] | None = None
        #: Rung when something has come, or has been written, while the runner has nothing to do.
        self._bell: asyncio.Future[None] | None = None
        # A handler's name is one of the code's, so the label's values are few.
        self._sizes = telemetry.LANE_BATCH.labels(getattr(handle, "__name__", "lane").lstrip("_"))

    async def submit(self, item: Item) -> Result:
        """Return the item's result once its transaction has committed; raise its refusal."""
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._ring()
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        if self._ahead is not None:
            await self._run_ahead(self._ahead)
            return
        while self._waiting:
            await asyncio.sleep(0)  # one turn of the loop lets ready requests join
            await self._write(self._next_batch(set()))

    async def _run_ahead(self, ahead: Ahead[Item, Result]) -> None:
        under_way: _UnderWay[Item, Result] | None = None
        while self._waiting or under_way is not None:
            batch = await self._next_ahead(under_way)
            if under_way is not None and under_way.draft is None:
                await under_way.task
                under_way = None
            draft = await self._drafted(ahead, batch)
            if under_way is not None and not await under_way.task:
                ahead.forget()
                under_way = None
                draft = await self._drafted(ahead, batch)
            written, under_way = under_way, None
            if batch:
                task = asyncio.create_task(self._write_draft(ahead, batch, draft))
                under_way = _UnderWay(batch, draft, self._keys_of(batch), task)
            if written is not None and written.draft is not None:
                # Last, so that the database has its next work before all who waited have theirs.
                self._settle(written.batch, written.draft.results)

    async def _next_ahead(
        self, under_way: _UnderWay[Item, Result] | None
    ) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Return what can be decided beside the batch under way; nothing, once that is written."""
        if under_way is not None and under_way.draft is None:
            await asyncio.wait([under_way.task])  # only then is known what it leaves
        elif under_way is not None and not self._waiting:
            self._bell = asyncio.get_running_loop().create_future()
            under_way.task.add_done_callback(lambda _: self._ring())
            await self._bell
        seen = -1
        while seen < len(self._waiting) < self._max_items:
            seen = len(self._waiting)
            await asyncio.sleep(0)  # as long as every turn of the loop brings more, they join
        return self._next_batch(under_way.keys if under_way is not None else set())

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def _drafted(
        self, ahead: Ahead[Item, Result], batch: list[tuple[Item, asyncio.Future[Result]]]
    ) -> Draft[Result] | None:
        if not batch:
            return None
        try:
            async with self._db.transaction(readonly=True) as tx:
                draft = await ahead.draft(tx, [item for item, _ in batch])
        except Exception:  # noqa: BLE001  whatever it was, the careful way will meet it again
            draft = None
        except BaseException as error:
            _fail(batch, error)
            raise
        if draft is None:
            ahead.forget()
        return draft

    async def _write_draft(
        self,
        ahead: Ahead[Item, Result],
        batch: list[tuple[Item, asyncio.Future[Result]]],
        draft: Draft[Result] | None,
    ) -> bool:
        """Write a batch; return whether what was drafted has come true, and is to be told."""
        if draft is None:
            await self._write(batch)
            return False
        try:
            async with self._db.transaction() as tx:
                await draft.write(tx)
        except (DatabaseUnavailable, CommitUnknown) as error:
            _fail(batch, error)
            return False
        except Exception:  # noqa: BLE001  decided again under the lock, where each fails alone
            ahead.forget()
            await self._write(batch)
            return False
        except BaseException as error:
            _fail(batch, error)
            raise
        return True

    def _keys_of(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> set[Hashable]:
        return {self._key(item) for item, _ in batch} - {None} if self._key else set()

    def _next_batch(self, keys: set[Hashable]) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Take what waits; what has one of these keys, or one that is in the batch, waits on."""
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        later: list[tuple[Item, asyncio.Future[Result]]] = []
        keys = set(keys)
        while self._waiting and len(batch) < self._max_items:
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
            _fail(batch, error)
            return
        except CONTENDED as error:
            if tries > 1:
                await self._write(batch, tries=tries - 1)
                return
            failure = error
        except Exception as error:  # noqa: BLE001  whatever it was, it must reach the one who asked
            failure = error
        except BaseException as error:
            _fail(batch, error)
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
            _settle(future, result)

    async def _write_apart(
        self, batch: list[tuple[Item, asyncio.Future[Result]]], error: Exception
    ) -> None:
        if len(batch) == 1:
            _fail(batch, error)
            return
        middle = len(batch) // 2
        await self._write(batch[:middle])
        await self._write(batch[middle:])


@dataclass(frozen=True, slots=True)
class _UnderWay(Generic[Item, Result]):
    """A batch that is being written, on its draft or the careful way."""

    batch: list[tuple[Item, asyncio.Future[Result]]]
    draft: Draft[Result] | None
    keys: set[Hashable]
    task: asyncio.Task[bool]


def _settle(future: asyncio.Future[Result], result: Result | Refusal) -> None:
    if future.done():
        return
    if isinstance(result, Refusal):
        future.set_exception(result)
    else:
        future.set_result(result)


def _fail(batch: list[tuple[Item, asyncio.Future[Result]]], error: BaseException) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
