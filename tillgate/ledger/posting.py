"""The fast lane into the books: while a batch is written, the next one is decided."""

from __future__ import annotations

from collections.abc import Sequence

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Refusal
from tillgate.ledger import commands
from tillgate.ledger.foresight import Drafted, Foresight, stamps_of
from tillgate.ledger.model import Journal, Posted
from tillgate.runtime.ahead import AheadLane
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.lane import Lane
from tillgate.runtime.writes import Notebook

PostingLane = Lane[Journal, Posted]


def open_lane(db: Database, clock: Clock, *, max_items: int = 1000) -> PostingLane:
    """Return a lane of journals: `submit` returns one as posted, or raises its refusal."""

    async def post(tx: Tx, journals: Sequence[Journal]) -> list[Posted | Refusal]:
        return await commands.post(tx, journals, at=clock.now())

    return AheadLane(db, post, _Ahead(clock), max_items=max_items)


class _Ahead:
    """Decides journals on the books as the batches before will leave them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._foresight = Foresight()

    def forget(self) -> None:
        self._foresight.forget()

    async def draft(self, tx: Tx, journals: Sequence[Journal]) -> Drafted[Posted]:
        merchants = {journal.merchant_id for journal in journals}
        books = await self._foresight.open(tx, merchants)
        stamps = stamps_of(books, merchants)
        await commands.load_for(tx, books, journals)
        at = self._clock.now()
        results = [books.post(journal, at=at) for journal in journals]
        return self._foresight.close(books, stamps, Notebook(), results)
