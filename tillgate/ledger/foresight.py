"""Books as the batches under way will leave them: what a batch decided ahead stands on.

    books = await foresight.open(tx, merchants)        # nothing is locked
    await load(...); books.post(...); ...
    return foresight.close(books, notebook, results)   # a `Draft` for a `Lane`

The draft may be written only if each merchant's books still carry the stamp it was decided on,
which is looked at under the lock. So a batch that failed, or anybody else's writing in between, is
noticed, and the batch is decided again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tillgate.kernel.errors import Refusal
from tillgate.ledger import commands, store
from tillgate.ledger.machine import Books, Memory
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook

Result = TypeVar("Result")


class ChainBroken(Exception):
    """The books do not carry the stamp this batch was decided on."""


@dataclass(frozen=True, slots=True)
class Drafted(Generic[Result]):
    """A batch decided ahead: on which stamps, what it came to, and what it writes."""

    stamps: Mapping[int, int]
    #: Merchants whose books are written to, which looks at the stamp by itself.
    written: Collection[int]
    results: Sequence[Result | Refusal]
    notebook: Notebook

    async def write(self, tx: Tx) -> None:
        """Note what is to be written; it fails where the books have moved on."""
        others = self.stamps.keys() - self.written
        if others:
            counters = await store.lock_books(tx, others)
            if any(counters[merchant].stamp != self.stamps[merchant] for merchant in others):
                raise ChainBroken
        tx.take_over(self.notebook)


class Foresight:
    """The books of one lane, carried from draft to draft."""

    def __init__(self) -> None:
        self._books: Books | None = None

    def forget(self) -> None:
        """Begin anew with what is committed."""
        self._books = None

    async def open(self, tx: Tx, merchants: Collection[int]) -> Books:
        """Return the books as the last draft leaves them; until they are closed, there are none."""
        books, self._books = self._books, None
        if books is None or len(books.accounts) > Memory.LIMIT:
            books = Books()
        books.turn()
        for merchant in sorted(set(merchants) - books.counters.keys()):
            books.counters[merchant] = await store.select_counters(tx, merchant)
        return books

    def close(
        self,
        books: Books,
        stamps: Mapping[int, int],
        notebook: Notebook,
        results: Sequence[Result | Refusal],
    ) -> Drafted[Result]:
        """Note down what the books have taken in; the next draft goes on from there."""
        commands.save(notebook, books)
        self._books = books
        written = {one for one, stamp in stamps.items() if books.counters[one].stamp != stamp}
        return Drafted(stamps, written, results, notebook)


def stamps_of(books: Books, merchants: Collection[int]) -> dict[int, int]:
    """Return the stamps that a draft on these books rests on."""
    return {merchant: books.counters[merchant].stamp for merchant in merchants}
