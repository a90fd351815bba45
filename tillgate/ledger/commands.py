"""Posting, inside the caller's transaction: lock, load, decide in memory, write once.

    books = await lock(tx, {merchant_id})
    await load(tx, books, accounts=[...], codes=[...], causes=[...])
    posted = books.post(Journal(...), at=clock.now())     # Posted | Refusal, any number of times
    save(tx, books)

Lock the books last of all rows, since the lock is the one everybody of that merchant waits for.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from datetime import datetime

from tillgate.kernel.errors import Refusal
from tillgate.ledger import store
from tillgate.ledger.machine import Books, Memory
from tillgate.ledger.model import AccountTerms, Journal, Posted
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook


async def open_books(tx: Tx, merchant_id: int) -> None:
    """Open a new merchant's books."""
    await store.insert_books(tx, merchant_id)


async def lock(tx: Tx, merchant_ids: Collection[int], memory: Memory | None = None) -> Books:
    """Lock these merchants' books until the transaction ends.

    With a `memory` of the caller's, accounts of a single merchant that nobody else has written
    since are known already.
    """
    books = Books(memory)
    books.counters = await store.lock_books(tx, set(merchant_ids))
    assert set(merchant_ids) <= set(books.counters), "a merchant has no books"
    if memory is not None and len(books.counters) == 1:
        for merchant_id, counters in books.counters.items():
            memory.recall(merchant_id, counters.stamp, books)
    return books


async def load(
    tx: Tx,
    books: Books,
    *,
    accounts: Iterable[tuple[int, int]] = (),
    causes: Iterable[tuple[int, str]] = (),
    holds: Iterable[tuple[int, str]] = (),
) -> None:
    """Read accounts by number, and which causes and holds stand in the books already."""
    wanted = {key for key in accounts if key not in books.accounts}
    unheard = {key for key in holds if key not in books.checked_holds}
    if unheard:
        for hold in await store.select_holds(tx, unheard):
            books.holds[hold.merchant_id, hold.id] = hold
            keys = ((hold.merchant_id, number) for number, _ in hold.parts)
            wanted |= {key for key in keys if key not in books.accounts}
        books.checked_holds |= unheard
    unchecked = {cause for cause in causes if cause not in books.checked}
    if unchecked:
        for posted in await store.select_journals(tx, unchecked):
            books.posted[posted.merchant_id, posted.cause] = posted
        books.checked |= unchecked
    if wanted:
        books.take_in(await store.select_accounts(tx, wanted))


async def ensure_accounts(
    tx: Tx, books: Books, terms: Iterable[tuple[int, AccountTerms]], *, at: datetime
) -> None:
    """Load accounts by code, opening those that are missing; `books.number` then knows them."""
    wanted = {
        (merchant, term.code, term.currency): (merchant, term)
        for merchant, term in terms
        if (merchant, term.code, term.currency) not in books.numbers
    }
    if not wanted:
        return
    books.take_in(await store.select_accounts_by_code(tx, wanted.keys()))
    missing: dict[int, list[AccountTerms]] = {}
    for key, (merchant, term) in wanted.items():
        if key not in books.numbers:
            missing.setdefault(merchant, []).append(term)
    for merchant, new in sorted(missing.items()):
        counters = books.counters[merchant]
        first = counters.last_account + 1
        counters.last_account += len(new)
        books.take_in(await store.insert_accounts(tx, merchant, first, new, at))


def save(notes: Notebook, books: Books) -> None:
    """Write what the books have taken in since they were locked."""
    if books.touched or books.new:
        stamp = int.from_bytes(os.urandom(7), "big")
        store.write(notes, store.take_writing(books, stamp))
        if books.memory is not None and len(books.counters) == 1:
            books.memory.keep(next(iter(books.counters)), stamp, books)
    if books.changed_holds:
        store.upsert_holds(notes, list(books.changed_holds.values()))
        books.written_holds |= books.changed_holds.keys()
        books.changed_holds.clear()


async def post(
    tx: Tx, journals: Collection[Journal], *, at: datetime, memory: Memory | None = None
) -> list[Posted | Refusal]:
    """Post journals in order, each accepted or refused by itself."""
    books = await lock(tx, {journal.merchant_id for journal in journals}, memory)
    await load_for(tx, books, journals)
    results = [books.post(journal, at=at) for journal in journals]
    save(tx, books)
    return results


async def load_for(tx: Tx, books: Books, journals: Collection[Journal]) -> None:
    """Read what is needed to post these journals."""
    known = books.accounts
    await load(
        tx,
        books,
        accounts=[
            key
            for journal in journals
            for line in journal.lines
            for key in ((journal.merchant_id, line.debit), (journal.merchant_id, line.credit))
            if key not in known
        ],
        causes=[(journal.merchant_id, journal.cause) for journal in journals],
    )
