"""Idempotency in one transaction: the effect and the stored answer commit together, in batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Refusal
from tillgate.runtime.ahead import Ahead, AheadLane, Draft
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.idempotency import (
    TRANSIENT,
    Asked,
    KeyInUse,
    KeyTaken,
    Stored,
    earlier_answer,
    insert_finished,
    key_of,
    select_known,
    select_rows,
)
from tillgate.runtime.keyed import Doubts
from tillgate.runtime.lane import Lane
from tillgate.runtime.secrets import Vault
from tillgate.runtime.writes import Notebook

Payload = TypeVar("Payload")
Result = TypeVar("Result")

#: What a sealed answer begins with; JSON never does.
_SEALED: Final = b"\x01"


class OnceItem(msgspec.Struct, Generic[Payload, Result], frozen=True):
    """One request in a lane. `render` turns its result, refusal or bug into the answer."""

    asked: Asked
    payload: Payload
    render: Callable[[Result | Exception], tuple[int, bytes]]


class OnceLane(Generic[Payload, Result]):
    """Group commit in which the effect and the answer under the key are one transaction."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        handle: Callable[[Tx, Sequence[Payload]], Awaitable[Sequence[Result | Refusal]]],
        *,
        max_items: int = 256,
        vault: Vault | None = None,
        ahead: Ahead[Payload, Result] | None = None,
    ) -> None:
        """`vault` is given where answers hold secrets: they are then kept sealed. `ahead` decides
        payloads while the batch before is written."""
        self._db = db
        self._clock = clock
        self._vault = vault
        self._decide = handle
        self._lane: Lane[OnceItem[Payload, Result], Stored]
        self._ahead: _OnceAhead[Payload, Result] | None = None
        if ahead is None:
            self._lane = Lane(db, self._handle, key=_key_of, max_items=max_items)
        else:
            self._ahead = _OnceAhead(db, ahead, self._finished)
            self._lane = AheadLane(db, self._handle, self._ahead, key=_key_of, max_items=max_items)

    async def submit(self, item: OnceItem[Payload, Result]) -> Stored:
        """Do it once and return the answer; raise only what must not be stored."""
        for _ in range(3):
            try:
                return self._opened(item.asked, await self._lane.submit(item))
            except KeyTaken:
                continue
            except Refusal:
                raise
            except Exception as error:  # noqa: BLE001  it is answered, stored and logged by render
                return await self._store_failure(item, error)
        raise KeyInUse(item.asked)

    async def _handle(
        self, tx: Tx, items: Sequence[OnceItem[Payload, Result]]
    ) -> Sequence[Stored | Refusal]:
        batch = await _look(tx, items)
        if self._ahead is not None and len(batch.fresh) < len(items):
            self._ahead.doubts.beware()
        if batch.fresh:
            results = await self._decide(tx, batch.payloads)
            batch.answer(results)
            self._finished(tx, batch)
        return batch.given()

    def _finished(self, notes: Notebook, batch: _Batch[Payload, Result]) -> None:
        """Note down the answers to be kept."""
        finished = [
            (asked, self._sealed(asked, answer))
            for index in batch.fresh
            for asked, answer in [(batch.items[index].asked, batch.answers[index])]
            if isinstance(answer, Stored) and asked.key is not None
        ]
        insert_finished(notes, finished, self._clock.now(), otherwise=KeyTaken())

    def _sealed(self, asked: Asked, answer: Stored) -> Stored:
        if self._vault is None:
            return answer
        return Stored(answer.status, self._vault.seal(answer.body, _place(asked)))

    def _opened(self, asked: Asked, answer: Stored) -> Stored:
        if self._vault is None or not answer.body.startswith(_SEALED):
            return answer
        body = self._vault.open(answer.body, _place(asked))
        return Stored(answer.status, body, answer.original_request)

    async def _store_failure(self, item: OnceItem[Payload, Result], error: Exception) -> Stored:
        status, body = item.render(error)
        answer = Stored(status, body)
        if item.asked.key is not None:
            async with self._db.transaction() as tx:
                insert_finished(tx, [(item.asked, answer)], self._clock.now())
        return answer


@dataclass(slots=True)
class _Batch(Generic[Payload, Result]):
    """Requests, what is known to be their answers, and which of them are still to be decided."""

    items: Sequence[OnceItem[Payload, Result]]
    answers: list[Stored | Refusal | None]
    fresh: list[int]

    @property
    def payloads(self) -> list[Payload]:
        return [self.items[index].payload for index in self.fresh]

    def answer(self, results: Sequence[Result | Refusal]) -> None:
        for index, result in zip(self.fresh, results, strict=True):
            self.answers[index] = _answered(self.items[index], result)

    def given(self) -> list[Stored | Refusal]:
        return [answer for answer in self.answers if answer is not None]

    def unkept(self) -> list[OnceItem[Payload, Result]]:
        """Return the requests whose answers are not to be kept."""
        pairs = zip(self.items, self.answers, strict=True)
        return [item for item, answer in pairs if not isinstance(answer, Stored)]


async def _look(tx: Tx, items: Sequence[OnceItem[Payload, Result]]) -> _Batch[Payload, Result]:
    """Read what the keys' earlier uses say."""
    known = await select_rows(tx, [item.asked for item in items if item.asked.key is not None])
    answers = [
        earlier_answer(item.asked, known.get((item.asked.merchant_id, item.asked.key or "")))
        for item in items
    ]
    return _Batch(items, answers, [index for index, answer in enumerate(answers) if answer is None])


class _OnceAhead(Generic[Payload, Result]):
    """Requests decided ahead, with the answers to be kept.

    Keys are believed to be new, which keeping the answers proves or denies, so the earlier answers
    need not be looked for, unless there are doubts.
    """

    def __init__(
        self,
        db: Database,
        ahead: Ahead[Payload, Result],
        finished: Callable[[Notebook, _Batch[Payload, Result]], None],
    ) -> None:
        self._db = db
        self._ahead = ahead
        self._finished = finished
        self.doubts = Doubts()

    def forget(self) -> None:
        self._ahead.forget()

    async def draft(
        self, tx: Tx, items: Sequence[OnceItem[Payload, Result]]
    ) -> _OnceDraft[Result] | None:
        """Decide as if all keys were new; None where one is known not to be."""
        if self.doubts.remain() and await self._any_known(items):
            return None
        draft = await self._ahead.draft(tx, [item.payload for item in items])
        if draft is None:
            return None
        batch = _Batch(items, [None] * len(items), list(range(len(items))))
        batch.answer(draft.results)
        # An answer that is not kept proves nothing about its key.
        if await self._any_known(batch.unkept()):
            return None
        notebook = Notebook()
        self._finished(notebook, batch)
        return _OnceDraft(draft, batch.given(), notebook)

    async def _any_known(self, items: Sequence[OnceItem[Payload, Result]]) -> bool:
        asked = [item.asked for item in items if item.asked.key is not None]
        if not asked:
            return False
        async with self._db.transaction(readonly=True) as tx:
            known = await select_known(tx, asked)
        if known:
            self.doubts.beware()
        return bool(known)


@dataclass(frozen=True, slots=True)
class _OnceDraft(Generic[Result]):
    draft: Draft[Result]
    results: Sequence[Stored | Refusal]
    notebook: Notebook

    async def write(self, tx: Tx) -> None:
        await self.draft.write(tx)
        tx.take_over(self.notebook)


def _key_of(item: OnceItem[Payload, Result]) -> tuple[int, str] | None:
    return key_of(item.asked)


def _answered(item: OnceItem[Payload, Result], result: Result | Refusal) -> Stored | Refusal:
    if isinstance(result, Refusal) and result.kind in TRANSIENT:
        return result
    return Stored(*item.render(result))


def _place(asked: Asked) -> str:
    return f"runtime.idempotency:{asked.merchant_id}:{asked.key}"
