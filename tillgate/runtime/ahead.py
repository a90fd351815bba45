"""Group commit that decides the next batch while the one before is being written.

A draft is decided on what the drafts before it will leave, and is written only if that came true,
which its own writing checks (see `ledger.foresight`). Whenever anything at all goes wrong (somebody
else has written, an item fails), the batch is decided again the careful way, by the lane's handler,
and the drafts begin anew from what is committed. No answer is given before the transaction it rests
on has committed.

One batch is being written, one lies ready. Answers of what has been written are given once the next
batch has been sent: giving them is a hundred pieces of work, and the database would wait for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from tillgate.kernel.errors import Refusal
from tillgate.runtime.db import CommitUnknown, Database, DatabaseUnavailable, Tx
from tillgate.runtime.lane import Handler, Item, Lane, Result, fail

#: More than ever wait: only what is taken or written is of interest.
_NOBODY: Final = 1 << 30
#: What part of all that is asked at a time makes a batch.
_SHARE: Final = 4 / 9

Given = TypeVar("Given", contravariant=True)
Answer = TypeVar("Answer", covariant=True)


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


@dataclass(frozen=True, slots=True)
class _Drafted(Generic[Item, Result]):
    """A batch and what was decided about it."""

    batch: list[tuple[Item, asyncio.Future[Result]]]
    draft: Draft[Result]
    keys: set[Hashable]


class AheadLane(Lane[Item, Result]):
    """A lane whose batches are drafted by `ahead`, and decided by `handle` where they cannot be."""

    def __init__(
        self,
        db: Database,
        handle: Handler[Item, Result],
        ahead: Ahead[Item, Result],
        *,
        key: Callable[[Item], Hashable] | None = None,
        max_items: int = 256,
    ) -> None:
        super().__init__(db, handle, key=key, max_items=max_items)
        self._ahead = ahead
        self._ready: _Drafted[Item, Result] | None = None
        self._under_way: _Drafted[Item, Result] | None = None
        self._writer: asyncio.Task[None] | None = None
        #: How many have been waiting or being written at a time, of late.
        self._most = 0
        #: Whether everything drafted so far has come true, or still may.
        self._holds = True
        #: Answers of what is written, given once the next batch has been sent.
        self._answers: list[_Drafted[Item, Result]] = []
        #: Rung when as many wait as are wanted, and when a batch was taken or written.
        self._bell: asyncio.Future[None] | None = None
        self._wanted = 1

    def _came(self) -> None:
        if len(self._waiting) >= self._wanted:
            self._ring()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def _news(self, wanted: int) -> None:
        """Wait until so many are waiting, or a batch was taken or written."""
        self._wanted = wanted
        self._bell = asyncio.get_running_loop().create_future()
        await self._bell

    async def _run(self) -> None:
        try:
            while self._waiting or self._under_way is not None:
                if self._ready is not None:
                    await self._news(_NOBODY)
                    continue
                batch = await self._gathered()
                if batch:
                    await self._dispatch(batch)
                elif self._under_way is not None:
                    await self._news(1)
                else:
                    self._give_answers()
        finally:
            self._give_answers()

    def _give_answers(self) -> None:
        answers, self._answers = self._answers, []
        for drafted in answers:
            self._settle(drafted.batch, drafted.draft.results)

    async def _gathered(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Return a share of all that is asked at a time, but for keys being written.

        The rest is then being written, or answered and asked anew. Were all of it to wait for one
        batch, nobody would decide while the database writes, nor it write while they decide; were
        it few, each would pay for a commit of its own. While another is being written there is
        time to let them come; once it is written, nobody is waited for.
        """
        share = max(int(self._most * _SHARE), 1)
        while self._under_way is not None and len(self._waiting) < share:
            await self._news(share)
        seen = -1
        while seen < len(self._waiting) < share:
            seen = len(self._waiting)
            await asyncio.sleep(0)  # as long as every turn of the loop brings more, they join
        under_way = 0 if self._under_way is None else len(self._under_way.batch)
        # Forgotten slowly, since an answer and the next question take a while.
        self._most = max(len(self._waiting) + under_way, self._most - self._most // 64)
        keys = set[Hashable]() if self._under_way is None else self._under_way.keys
        return self._next_batch(keys, most=share)

    async def _dispatch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        """Draft a batch and lay it ready for the writer; or write it the careful way."""
        draft = await self._drafted(batch) if self._holds else None
        if draft is None or not self._holds:
            while self._under_way is not None:
                await self._news(_NOBODY)
            self._give_answers()
            self._ahead.forget()
            self._holds = True
            draft = await self._drafted(batch)
        if draft is None:
            await self._write(batch)
            self._ahead.forget()
            return
        self._ready = _Drafted(batch, draft, self._keys_of(batch))
        if self._under_way is None:
            self._under_way = self._ready
            self._writer = asyncio.create_task(self._write_ready())

    async def _drafted(
        self, batch: list[tuple[Item, asyncio.Future[Result]]]
    ) -> Draft[Result] | None:
        try:
            async with self._db.transaction(readonly=True) as tx:
                return await self._ahead.draft(tx, [item for item, _ in batch])
        except Exception:  # noqa: BLE001  whatever it was, the careful way will meet it again
            return None
        except BaseException as error:
            fail(batch, error)
            raise

    async def _write_ready(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._ready is not None:
                drafted = self._under_way = self._ready
                self._ready = None
                self._ring()
                # Once this one has been sent, which is before this turn of the loop is over.
                loop.call_soon(self._give_answers)
                if not self._holds:
                    await self._write(drafted.batch)
                elif await self._write_draft(drafted):
                    self._answers.append(drafted)
        finally:
            self._under_way = None
            self._ring()
            if self._runner is None or self._runner.done():
                self._give_answers()

    async def _write_draft(self, drafted: _Drafted[Item, Result]) -> bool:
        """Write a batch as it was decided; where that did not come true, the drafts do not hold."""
        try:
            async with self._db.transaction() as tx:
                await drafted.draft.write(tx)
        except (DatabaseUnavailable, CommitUnknown) as error:
            self._holds = False
            fail(drafted.batch, error)
        except Exception:  # noqa: BLE001  decided again under the lock, where each fails alone
            self._holds = False
            await self._write(drafted.batch)
        except BaseException as error:
            self._holds = False
            fail(drafted.batch, error)
            raise
        else:
            return True
        return False
