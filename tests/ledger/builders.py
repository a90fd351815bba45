"""Builders: accounts by name, journals in one line."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

from tillgate.kernel.clock import FixedClock
from tillgate.kernel.errors import Refusal
from tillgate.ledger import commands
from tillgate.ledger.model import AccountTerms, Journal, Line, Posted
from tillgate.runtime.db import Database

TEAHOUSE = 3
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Shop:
    """A merchant whose accounts are opened when they are first named."""

    def __init__(self, db: Database, clock: FixedClock, merchant_id: int = TEAHOUSE) -> None:
        self.db = db
        self.clock = clock
        self.merchant_id = merchant_id
        self._causes = count(1)

    async def account(self, code: str, currency: str = "cny", *, floor: int | None = 0) -> int:
        """Return an account's number; `world` has no floor."""
        terms = AccountTerms(code, currency, floor=None if code == "world" else floor)
        async with self.db.transaction() as tx:
            books = await commands.lock(tx, {self.merchant_id})
            await commands.ensure_accounts(
                tx, books, [(self.merchant_id, terms)], at=self.clock.now()
            )
            return books.number(self.merchant_id, code, currency)

    def journal(self, lines: Sequence[tuple[int, int, int]], cause: str | None = None) -> Journal:
        """A journal of (debit, credit, amount)."""
        return Journal(
            self.merchant_id,
            cause or f"test:{next(self._causes)}",
            tuple(Line(*line) for line in lines),
        )

    async def post(
        self, *lines: tuple[int, int, int], cause: str | None = None
    ) -> Posted | Refusal:
        """Post one journal."""
        async with self.db.transaction() as tx:
            journal = self.journal(lines, cause)
            return (await commands.post(tx, [journal], at=self.clock.now()))[0]

    async def balance(self, number: int) -> int:
        """Return an account's balance."""
        async with self.db.transaction() as tx:
            return await tx.value(
                "SELECT balance FROM ledger.accounts WHERE merchant_id = $1 AND number = $2",
                self.merchant_id,
                number,
            )
