"""Journeys through history: sealing it, and auditing it, a range at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field

from tillgate.kernel.clock import Clock
from tillgate.ledger import seal_store
from tillgate.ledger.model import Difference, Digest, Head, Report, Seal
from tillgate.runtime.db import Database

#: Called with the journals checked so far and those there are.
Progress = Callable[[int, int], None]

GENESIS = bytes(32)
SEAL_JOURNALS = 1_000
_RANGE = 10_000
_ACCOUNTS = 20_000
_ENOUGH = 50


async def seal(db: Database, clock: Clock, *, merchant_id: int | None = None) -> int:
    """Seal what has been posted since the last seal; return how many seals were set.

    It takes no lock that a posting waits for: numbers have no gaps and a committed journal never
    changes, so whatever can be seen up to the books' counter is closed.
    """
    async with db.transaction(readonly=True) as tx:
        merchants = [merchant_id] if merchant_id else await seal_store.select_merchants(tx)
    return sum([await _seal_books(db, clock, merchant) for merchant in merchants])


async def verify(
    db: Database,
    *,
    progress: Progress | None = None,
    merchant_id: int | None = None,
    heads: Mapping[int, tuple[int, str]] | None = None,
) -> Report:
    """Audit the books: the chain, numbers, running balances, currencies, balances, holds, floors.

    `heads` are ends of chains (seal number and hash, by merchant) that were written down elsewhere.
    """
    async with db.transaction(readonly=True) as tx:
        merchants = [merchant_id] if merchant_id else await seal_store.select_merchants(tx)
        journals = [await seal_store.select_last_journal(tx, merchant) for merchant in merchants]
    audit = _Audit(db, sum(journals), progress, dict(heads or {}))
    for merchant, last in zip(merchants, journals, strict=True):
        await audit.run(merchant, last)
    return Report(
        len(merchants),
        audit.total,
        audit.accounts,
        audit.seals,
        tuple(audit.differences),
        tuple(audit.ends),
    )


async def _seal_books(db: Database, clock: Clock, merchant_id: int) -> int:
    count = 0
    while True:
        async with db.transaction() as tx:
            head = await seal_store.select_last_seal(tx, merchant_id)
            last = await seal_store.select_last_journal(tx, merchant_id)
            first = head.last_journal + 1 if head else 1
            if first > last:
                return count
            last = min(last, first + SEAL_JOURNALS - 1)
            previous = head.hash if head else GENESIS
            digest = await seal_store.digest_journals(tx, merchant_id, first, last, previous)
            assert len(digest.journals) == last - first + 1, (
                "a journal is missing: verify the books"
            )
            assert digest.last_at is not None, "journals have a time"
            number = head.number + 1 if head else 1
            link = Seal(
                merchant_id, number, first, last, digest.last_at, previous, digest.digests,
                digest.hash, clock.now(),
            )  # fmt: skip
            count += await seal_store.insert_seal(tx, link)


@dataclass
class _Audit:
    db: Database
    total: int
    progress: Progress | None
    heads: dict[int, tuple[int, str]]
    checked: int = 0
    accounts: int = 0
    seals: int = 0
    differences: list[Difference] = field(default_factory=list[Difference])
    ends: list[Head] = field(default_factory=list[Head])

    async def run(self, merchant_id: int, last_journal: int) -> None:
        """Audit one merchant's books."""
        await self._check_chain(merchant_id, last_journal)
        for first in range(1, last_journal + 1, _RANGE):
            last = min(first + _RANGE - 1, last_journal)
            async with self.db.transaction(readonly=True) as tx:
                found = await seal_store.select_line_faults(tx, merchant_id, first, last)
            self._report(found)
            self.checked += last - first + 1
            if self.progress is not None:
                self.progress(self.checked, self.total)
        async with self.db.transaction(readonly=True) as tx:
            self._report(await seal_store.select_edge_faults(tx, merchant_id))
            accounts = await seal_store.select_last_account(tx, merchant_id)
            for currency, total in await seal_store.select_sums(tx, merchant_id):
                if total:
                    what = f"the balances in {currency} do not add up to nought"
                    self._report([Difference(merchant_id, what, found=total, expected=0)])
        for first in range(1, accounts + 1, _ACCOUNTS):
            last = min(first + _ACCOUNTS - 1, accounts)
            async with self.db.transaction(readonly=True) as tx:
                self._report(await seal_store.select_account_faults(tx, merchant_id, first, last))
        self.accounts += accounts

    async def _check_chain(self, merchant_id: int, last_journal: int) -> None:
        previous, number, sealed = GENESIS, 0, 0
        wanted = self.heads.pop(merchant_id, None)
        async for link, digest in self._links(merchant_id):
            number, sealed, previous = number + 1, link.last_journal, link.hash
            self.seals += 1
            if link.number == (wanted or (0, ""))[0] and link.hash.hex() != (wanted or (0, ""))[1]:
                self._report([Difference(merchant_id, f"seal {link.number} is not the one kept")])
            self._report(_chain_faults(link, digest, number))
        if wanted is not None and wanted[0] > number:
            self._report([Difference(merchant_id, f"the chain ends before seal {wanted[0]}")])
        if sealed > last_journal:
            what = "sealed journals are missing at the end"
            self._report(
                [Difference(merchant_id, what, last_journal + 1, None, last_journal, sealed)]
            )
        if number:
            self.ends.append(Head(merchant_id, number, sealed, previous.hex()))

    async def _links(self, merchant_id: int) -> AsyncGenerator[tuple[Seal, Digest]]:
        number, previous = 0, GENESIS
        while True:
            async with self.db.transaction(readonly=True) as tx:
                links = await seal_store.select_seals(tx, merchant_id, number, limit=20)
                digests = [
                    await seal_store.digest_journals(
                        tx, merchant_id, link.first_journal, link.last_journal, before.hash
                        if before else previous
                    )
                    for link, before in zip(links, [None, *links], strict=False)
                ]  # fmt: skip
            if not links:
                return
            for link, digest in zip(links, digests, strict=True):
                yield link, digest
            number, previous = links[-1].number, links[-1].hash

    def _report(self, found: list[Difference]) -> None:
        room = _ENOUGH - len(self.differences)
        self.differences.extend(found[:room])


def _chain_faults(link: Seal, digest: Digest, number: int) -> list[Difference]:
    """Say what is wrong with a link, naming the first journal that is not what was sealed."""
    merchant = link.merchant_id
    if link.number != number:
        return [Difference(merchant, f"seal {number} is missing")]
    if link.hash == digest.hash and link.digests == digest.digests:
        return []
    there = dict(zip(digest.journals, _pieces(digest.digests), strict=True))
    sealed = range(link.first_journal, link.last_journal + 1)
    if len(link.digests) != 16 * len(sealed):
        return [Difference(merchant, f"seal {link.number} was changed")]
    for journal, piece in zip(sealed, _pieces(link.digests), strict=True):
        if journal not in there:
            return [Difference(merchant, "a sealed journal is missing", journal)]
        if there[journal] != piece:
            return [Difference(merchant, "a sealed journal was changed", journal)]
    return [Difference(merchant, f"seal {link.number} was changed, or one before it")]


def _pieces(digests: bytes) -> list[bytes]:
    return [digests[start : start + 16] for start in range(0, len(digests), 16)]
