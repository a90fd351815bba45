"""The fast lane into one merchant's books: while a batch is written, the next one is decided.

The next batch is decided on the balances as the batch under way will leave them. It is written
only if the books still carry the stamp of that batch, so a batch that failed, or anybody else's
writing in between, is noticed under the lock; then the batch is decided again the careful way
(lock, load, decide, write), as it is whenever anything at all goes wrong. No answer is given
before the transaction it rests on has committed.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Refusal
from tillgate.ledger import commands, store
from tillgate.ledger.machine import Books, Memory
from tillgate.ledger.model import Journal, Posted
from tillgate.runtime.db import CommitUnknown, Database, DatabaseUnavailable, Tx
from tillgate.runtime.lane import Lane, Overloaded

_Waiting = tuple[Journal, "asyncio.Future[Posted]"]


class _ChainBroken(Exception):
    """The books do not carry the stamp this batch was decided on."""


@dataclass(slots=True)
class _Batch:
    items: list[_Waiting]
    #: What the decision rests on, what it was, and what it writes; None: not decided ahead.
    stamp: int | None = None
    results: Sequence[Posted | Refusal] = ()
    writing: store.Writing | None = None


class PostingLane:
    """Collects journals of one merchant; `submit` answers once they are committed."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        merchant_id: int,
        *,
        max_items: int = 1000,
        max_waiting: int = 20_000,
    ) -> None:
        self._db = db
        self._clock = clock
        self._merchant_id = merchant_id
        self._max_items = max_items
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._books: Books | None = None
        self._careful: Lane[Journal, Posted] = Lane(db, self._post, max_items=max_items)

    async def submit(self, journal: Journal) -> Posted:
        """Return the journal as posted; raise its refusal."""
        assert journal.merchant_id == self._merchant_id, "a journal of another merchant"
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded
        future: asyncio.Future[Posted] = asyncio.get_running_loop().create_future()
        self._waiting.append((journal, future))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        writing: asyncio.Task[bool] | None = None
        while self._waiting or writing is not None:
            await asyncio.sleep(0)  # one turn of the loop lets ready requests join
            batch = self._next_batch()
            if batch.items:
                await self._decide_ahead(batch)
            if writing is not None and not await writing:
                self._books = None
                await self._decide_ahead(batch)  # nothing is under way now: on what is committed
            writing = asyncio.create_task(self._write(batch)) if batch.items else None

    def _next_batch(self) -> _Batch:
        size = min(len(self._waiting), self._max_items)
        return _Batch([self._waiting.popleft() for _ in range(size)])

    async def _decide_ahead(self, batch: _Batch) -> None:
        batch.stamp = None
        try:
            books = await self._known_books([journal for journal, _ in batch.items])
            stamp, at = books.counters[self._merchant_id].stamp, self._clock.now()
            batch.results = [books.post(journal, at=at) for journal, _ in batch.items]
        except Exception:  # noqa: BLE001  whatever it was, the careful way will meet it again
            self._books = None
            return
        fresh = int.from_bytes(os.urandom(7), "big")
        batch.writing = store.take_writing(books, fresh) if books.new else None
        batch.stamp = stamp

    async def _known_books(self, journals: list[Journal]) -> Books:
        merchant = self._merchant_id
        async with self._db.transaction(readonly=True) as tx:
            books = self._books
            if books is None or len(books.accounts) > Memory.LIMIT:
                books = self._books = Books()
                books.counters[merchant] = await store.select_counters(tx, merchant)
            causes = {(merchant, journal.cause) for journal in journals}
            # What the batch under way posts stands in no database yet; all before it does.
            books.posted = {key: books.posted[key] for key in books.checked if key in books.posted}
            loaded = causes - books.checked
            known = books.accounts
            accounts = [
                (merchant, number)
                for journal in journals
                for line in journal.lines
                for number in (line.debit, line.credit)
                if (merchant, number) not in known
            ]
            await commands.load(tx, books, accounts=accounts, causes=loaded)
            books.checked = causes
        return books

    async def _write(self, batch: _Batch) -> bool:
        """Write a batch; return whether the batches decided ahead on it may be written."""
        if batch.stamp is None:
            await self._write_carefully(batch)
            return False
        try:
            async with self._db.transaction() as tx:
                counters = await store.lock_books(tx, {self._merchant_id})
                if counters[self._merchant_id].stamp != batch.stamp:
                    raise _ChainBroken
                if batch.writing is not None:
                    await store.write(tx, batch.writing)
        except (DatabaseUnavailable, CommitUnknown) as error:
            for _, future in batch.items:
                _settle(future, error)
            return False
        except Exception:  # noqa: BLE001  decided again under the lock, where each fails alone
            await self._write_carefully(batch)
            return False
        for (_, future), result in zip(batch.items, batch.results, strict=True):
            _settle(future, result)
        return True

    async def _write_carefully(self, batch: _Batch) -> None:
        answers = await asyncio.gather(
            *(self._careful.submit(journal) for journal, _ in batch.items), return_exceptions=True
        )
        for (_, future), answer in zip(batch.items, answers, strict=True):
            _settle(future, answer)

    async def _post(self, tx: Tx, journals: Sequence[Journal]) -> list[Posted | Refusal]:
        return await commands.post(tx, journals, at=self._clock.now())


def _settle(future: asyncio.Future[Posted], answer: Posted | BaseException) -> None:
    if future.done():
        return
    if isinstance(answer, Posted):
        future.set_result(answer)
    else:
        future.set_exception(answer)
