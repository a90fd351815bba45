"""Orders decided ahead: on the wallets and books as the batch under way will leave them.

Wallets are remembered as the drafts leave them. One that somebody else has moved on is noticed by
its sequence, an account by the stamp of the books, an order carried out before by its unique cause,
all at the writing; then the batch is decided again under the lock. A refusal writes nothing, so
before one is given its wallet is looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tillgate.kernel.errors import Refusal
from tillgate.ledger import queries as ledger
from tillgate.ledger.foresight import Drafted, Foresight, stamps_of
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook
from tillgate.wallets import store
from tillgate.wallets.decisions import Result, decide_all
from tillgate.wallets.desk import Desk, Key, causes_of, lay, wallet_keys
from tillgate.wallets.model import AnyOrder, OpenWallet, Wallet


class OrdersAhead:
    """The drafts of one lane of orders."""

    #: More wallets than this are not worth keeping.
    LIMIT = 50_000

    def __init__(self) -> None:
        self._books = Foresight()
        self._last: Desk | None = None
        self._wallets: dict[Key, Wallet] = {}

    def forget(self) -> None:
        """Begin anew with what is committed."""
        self._books.forget()
        self._last = None
        self._wallets = {}

    async def draft(self, tx: Tx, orders: Sequence[AnyOrder]) -> Drafted[Result] | None:
        """Decide orders; those that open accounts, which takes the lock, cannot be."""
        if any(isinstance(order, OpenWallet) for order in orders):
            return None
        merchants = {order.merchant_id for order in orders}
        books = await self._books.open(tx, merchants)
        stamps = stamps_of(books, merchants)
        desk = Desk(books)
        if self._last is not None:
            desk.inherit(self._last, orders)
        recalled = desk.recall(self._wallets, orders)
        await lay(tx, desk, orders, are_new=True)
        results = decide_all(desk, orders)
        refused = [
            order
            for order, result in zip(orders, results, strict=True)
            if isinstance(result, Refusal)
        ]
        if refused and not await _is_so(tx, desk, refused, recalled):
            return None
        notebook = Notebook()
        draft = self._books.close(books, stamps, notebook, results)
        desk.save(notebook)
        self._keep(desk)
        return draft

    def _keep(self, desk: Desk) -> None:
        self._last = desk
        if len(self._wallets) > self.LIMIT:
            self._wallets = {}
        self._wallets.update(desk.wallets)


async def _is_so(
    tx: Tx, desk: Desk, refused: Sequence[AnyOrder], recalled: Mapping[Key, Wallet]
) -> bool:
    """Whether what these refusals rest on is still true, but for the books, whose stamp tells.

    An order that has been carried out before is not refused: that is its answer.
    """
    asked = causes_of(refused)
    if asked and await ledger.journals(tx, asked):
        return False
    named = wallet_keys(desk, refused) & recalled.keys()
    if not named:
        return True
    found = await store.select_wallets(tx, named)
    return {(one.merchant_id, one.id): one.sequence for one in found} == {
        key: recalled[key].sequence for key in named
    }
