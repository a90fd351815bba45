"""Orders decided ahead: on the wallets and books as the batch under way will leave them.

Wallets are read again for each batch unless the one before has changed them, so what another
process did to one is seen. A wallet that moves on between the reading and the writing is noticed
by its sequence, an account by the stamp of the books, an order carried out before by its unique
cause; then the batch is decided again under the lock.
"""

from __future__ import annotations

from collections.abc import Sequence

from tillgate.kernel.errors import Refusal
from tillgate.ledger import queries as ledger
from tillgate.ledger.foresight import Drafted, Foresight, stamps_of
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook
from tillgate.wallets.decisions import Result, decide_all
from tillgate.wallets.desk import Desk, causes_of, lay
from tillgate.wallets.model import AnyOrder, OpenWallet


class OrdersAhead:
    """The drafts of one lane of orders."""

    def __init__(self) -> None:
        self._books = Foresight()
        self._last: Desk | None = None

    def forget(self) -> None:
        """Begin anew with what is committed."""
        self._books.forget()
        self._last = None

    async def draft(self, tx: Tx, orders: Sequence[AnyOrder]) -> Drafted[Result] | None:
        """Decide orders; those that open accounts, which takes the lock, cannot be."""
        if any(isinstance(order, OpenWallet) for order in orders):
            return None
        merchants = {order.merchant_id for order in orders}
        books = await self._books.open(tx, merchants)
        stamps = stamps_of(books, merchants)
        desk = Desk(books)
        if self._last is not None:
            desk.inherit(self._last)
        await lay(tx, desk, orders, are_new=True)
        results = decide_all(desk, orders)
        refused = [
            order
            for order, result in zip(orders, results, strict=True)
            if isinstance(result, Refusal)
        ]
        asked = causes_of(refused)
        if asked and await ledger.journals(tx, asked):
            return None  # it has been carried out before, and that is its answer
        notebook = Notebook()
        draft = self._books.close(books, stamps, notebook, results)
        desk.save(notebook)
        self._last = desk
        return draft
