"""SQL of seals and of the audit: what is asked of history, a range of journals at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from tillgate.ledger.model import Difference, Digest, Seal
from tillgate.runtime.db import Tx


async def select_merchants(tx: Tx) -> list[int]:
    """Return all merchants that have books."""
    rows = await tx.all("SELECT merchant_id FROM ledger.books ORDER BY merchant_id")
    return [row["merchant_id"] for row in rows]


async def select_last_journal(tx: Tx, merchant_id: int) -> int:
    """Return how many journals the books say they have."""
    found = await tx.value(
        "SELECT last_journal FROM ledger.books WHERE merchant_id = $1", merchant_id
    )
    return found or 0


async def select_seals(tx: Tx, merchant_id: int, after: int, limit: int) -> list[Seal]:
    """Read seals in order, those after a number."""
    rows = await tx.all(
        "SELECT * FROM ledger.seals WHERE merchant_id = $1 AND number > $2 ORDER BY number LIMIT $3",
        merchant_id,
        after,
        limit,
    )
    return [_seal(row) for row in rows]


async def select_last_seal(tx: Tx, merchant_id: int) -> Seal | None:
    """Read the head of the chain."""
    row = await tx.maybe(
        "SELECT * FROM ledger.seals WHERE merchant_id = $1 ORDER BY number DESC LIMIT 1",
        merchant_id,
    )
    return None if row is None else _seal(row)


async def insert_seal(tx: Tx, seal: Seal) -> bool:
    """Add a link to the chain; False where somebody else was faster."""
    written = await tx.run(
        """
        INSERT INTO ledger.seals (merchant_id, number, first_journal, last_journal, last_at,
            previous, digests, hash, sealed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
        """,
        seal.merchant_id,
        seal.number,
        seal.first_journal,
        seal.last_journal,
        seal.last_at,
        seal.previous,
        seal.digests,
        seal.hash,
        seal.sealed_at,
    )
    return written == 1


async def digest_journals(
    tx: Tx, merchant_id: int, first: int, last: int, previous: bytes
) -> Digest:
    """Digest a range of journals: every column of every line, in order.

    A line is its numbers as eight bytes each, its texts with their length before them, and its
    time in microseconds; a journal is the SHA-256 of its lines; the range is the SHA-256 of the
    previous hash, the merchant, both ends, and its journals.
    """
    row = await tx.one(
        """
        WITH journals AS (
            SELECT journal, max(at) AS at, sha256(string_agg(
                int8send(merchant_id) || int8send(journal) || int8send(line)
                || int8send(octet_length(cause)) || convert_to(cause, 'UTF8')
                || int8send(octet_length(currency)) || convert_to(currency, 'UTF8')
                || int8send(debit) || int8send(credit) || int8send(amount)
                || int8send(debit_after) || int8send(credit_after)
                || int8send((extract(epoch FROM at) * 1000000)::bigint),
                ''::bytea ORDER BY line)) AS digest
            FROM ledger.lines WHERE merchant_id = $1 AND journal BETWEEN $2 AND $3
            GROUP BY journal
        )
        SELECT coalesce(array_agg(journal ORDER BY journal), '{}') AS journals, max(at) AS last_at,
            coalesce(string_agg(substr(digest, 1, 16), ''::bytea ORDER BY journal), '') AS digests,
            sha256($4::bytea || int8send($1) || int8send($2) || int8send($3)
                || coalesce(string_agg(digest, ''::bytea ORDER BY journal), '')) AS hash
        FROM journals
        """,
        merchant_id,
        first,
        last,
        previous,
    )
    return Digest(tuple(row["journals"]), row["last_at"], row["digests"], row["hash"])


async def select_line_faults(tx: Tx, merchant_id: int, first: int, last: int) -> list[Difference]:
    """Check a range of journals: numbers, currencies, times, causes and running balances.

    The balance before an account's first line of the range is read off its last line before it.
    """
    rows = await tx.all(
        """
        WITH chunk AS MATERIALIZED (
            SELECT * FROM ledger.lines WHERE merchant_id = $1 AND journal BETWEEN $2 AND $3
        ), postings AS (
            SELECT journal, line, debit AS account, -amount AS amount, debit_after AS balance
                FROM chunk
            UNION ALL
            SELECT journal, line, credit, amount, credit_after FROM chunk
        ), ranked AS (
            SELECT *, lag(balance) OVER before AS earlier, row_number() OVER before AS rank
            FROM postings WINDOW before AS (PARTITION BY account ORDER BY journal, line)
        ), running AS (
            SELECT r.*, CASE WHEN r.rank > 1 THEN r.earlier ELSE coalesce((
                SELECT p.balance FROM (
                    (SELECT journal, line, debit_after AS balance FROM ledger.lines
                        WHERE merchant_id = $1 AND (debit, journal) < (r.account, $2)
                            AND debit >= r.account
                        ORDER BY debit DESC, journal DESC, line DESC LIMIT 1)
                    UNION ALL
                    (SELECT journal, line, credit_after FROM ledger.lines
                        WHERE merchant_id = $1 AND (credit, journal) < (r.account, $2)
                            AND credit >= r.account
                        ORDER BY credit DESC, journal DESC, line DESC LIMIT 1)
                ) p ORDER BY p.journal DESC, p.line DESC LIMIT 1), 0) END AS stood
            FROM ranked r
        ), ordered AS (
            SELECT journal, line, cause, at, currency, debit, credit,
                lag(journal) OVER whole AS journal_before, lag(line) OVER whole AS line_before,
                lag(cause) OVER whole AS cause_before, lag(at) OVER whole AS at_before
            FROM chunk WINDOW whole AS (ORDER BY journal, line)
        )
        SELECT journal, line, 'running balance' AS what, balance AS found, stood + amount AS expected
            FROM running WHERE balance <> stood + amount
        UNION ALL
        SELECT journal, line, 'a line before it is missing', line,
                CASE WHEN journal_before = journal THEN line_before + 1 ELSE 0 END
            FROM ordered
            WHERE line <> CASE WHEN journal_before = journal THEN line_before + 1 ELSE 0 END
        UNION ALL
        SELECT journal, line, 'a journal before it is missing', journal,
                coalesce(journal_before + 1, $2)
            FROM ordered WHERE journal NOT IN (coalesce(journal_before + 1, $2), journal_before)
                OR (journal_before IS NULL AND journal <> $2)
        UNION ALL
        SELECT journal, line, 'time runs backwards, or one journal has two times or causes',
                NULL, NULL
            FROM ordered WHERE at < at_before
                OR (journal = journal_before AND (at <> at_before OR cause <> cause_before))
        UNION ALL
        SELECT o.journal, o.line, 'currency is not that of both accounts', NULL, NULL FROM ordered o
            WHERE 2 <> (SELECT count(*) FROM ledger.accounts a WHERE a.merchant_id = $1
                AND a.number IN (o.debit, o.credit) AND a.currency = o.currency)
        ORDER BY 1, 2 LIMIT 20
        """,
        merchant_id,
        first,
        last,
    )
    return [
        Difference(
            merchant_id, row["what"], row["journal"], row["line"], row["found"], row["expected"]
        )
        for row in rows
    ]


async def select_edge_faults(tx: Tx, merchant_id: int) -> list[Difference]:
    """Check that the books' counters, their last journal and their last account agree."""
    rows = await tx.all(
        """
        SELECT 'the last journal' AS what, b.last_journal AS expected, coalesce((SELECT journal
            FROM ledger.lines WHERE merchant_id = $1 ORDER BY journal DESC LIMIT 1), 0) AS found
        FROM ledger.books b WHERE merchant_id = $1
        UNION ALL
        SELECT 'the last account', b.last_account, coalesce((SELECT number
            FROM ledger.accounts WHERE merchant_id = $1 ORDER BY number DESC LIMIT 1), 0)
        FROM ledger.books b WHERE merchant_id = $1
        """,
        merchant_id,
    )
    return [
        Difference(merchant_id, row["what"], None, None, row["found"], row["expected"])
        for row in rows
        if row["found"] != row["expected"]
    ]


async def select_account_faults(
    tx: Tx, merchant_id: int, first: int, last: int
) -> list[Difference]:
    """Check a range of accounts: balance and held against postings and holds, floor, gaps."""
    rows = await tx.all(
        """
        SELECT n.number, a.number IS NULL AS missing, a.code, a.balance, a.held, a.floor,
            coalesce(p.balance, 0) AS posted, coalesce(h.held, 0) AS reserved
        FROM generate_series($2::bigint, $3::bigint) n(number)
        LEFT JOIN ledger.accounts a ON a.merchant_id = $1 AND a.number = n.number
        LEFT JOIN LATERAL (
            (SELECT journal, line, debit_after AS balance FROM ledger.lines
                WHERE merchant_id = $1 AND debit BETWEEN n.number AND n.number
                ORDER BY debit DESC, journal DESC, line DESC LIMIT 1)
            UNION ALL
            (SELECT journal, line, credit_after FROM ledger.lines
                WHERE merchant_id = $1 AND credit BETWEEN n.number AND n.number
                ORDER BY credit DESC, journal DESC, line DESC LIMIT 1)
            ORDER BY journal DESC, line DESC LIMIT 1
        ) p ON true
        LEFT JOIN LATERAL (SELECT sum(amount)::bigint AS held FROM ledger.holds
            WHERE merchant_id = $1 AND account = n.number AND status = 'open') h ON true
        WHERE a.number IS NULL OR a.balance <> coalesce(p.balance, 0)
            OR a.held <> coalesce(h.held, 0) OR a.balance - a.held < a.floor
        ORDER BY n.number LIMIT 20
        """,
        merchant_id,
        first,
        last,
    )
    return [difference for row in rows for difference in _account_faults(merchant_id, row)]


async def select_last_account(tx: Tx, merchant_id: int) -> int:
    """Return how many accounts the books say they have."""
    found = await tx.value(
        "SELECT last_account FROM ledger.books WHERE merchant_id = $1", merchant_id
    )
    return found or 0


async def select_sums(tx: Tx, merchant_id: int) -> list[tuple[str, int]]:
    """Return the sum of all balances by currency: nought in each, if the books balance."""
    rows = await tx.all(
        "SELECT currency, sum(balance)::bigint AS total FROM ledger.accounts"
        " WHERE merchant_id = $1 GROUP BY currency ORDER BY currency",
        merchant_id,
    )
    return [(row["currency"], row["total"]) for row in rows]


async def select_journal_at(tx: Tx, merchant_id: int, at: datetime) -> int:
    """Return the last journal posted up to a moment, or 0.

    Numbers have no gaps and times never run backwards, so it is found by halving: some 24 probes
    of the primary key for ten million journals.
    """
    return await tx.value(
        """
        WITH RECURSIVE halves (low, high) AS (
            SELECT coalesce((SELECT s.last_journal FROM ledger.seals s
                    WHERE s.merchant_id = $1 AND s.last_at <= $2
                    ORDER BY s.last_at DESC, s.last_journal DESC LIMIT 1), 0),
                coalesce((SELECT s.last_journal - 1 FROM ledger.seals s
                    WHERE s.merchant_id = $1 AND s.last_at > $2
                    ORDER BY s.last_at, s.last_journal LIMIT 1),
                (SELECT b.last_journal FROM ledger.books b WHERE b.merchant_id = $1), 0)
            UNION ALL
            SELECT CASE WHEN h.at <= $2 THEN h.middle ELSE h.low END,
                CASE WHEN h.at <= $2 THEN h.high ELSE h.middle - 1 END
            FROM (
                SELECT low, high, (low + high + 1) / 2 AS middle, (
                    SELECT l.at FROM ledger.lines l WHERE l.merchant_id = $1
                        AND l.journal = (low + high + 1) / 2 LIMIT 1) AS at
                FROM halves WHERE low < high
            ) h
        )
        SELECT low FROM halves WHERE low = high LIMIT 1
        """,
        merchant_id,
        at,
    )


async def select_trial_balance(
    tx: Tx, merchant_id: int
) -> Sequence[tuple[str, str, str, int, int]]:
    """Return (currency, class, side, accounts, balance): wallets are one class, others by code."""
    rows = await tx.all(
        """
        SELECT currency, regexp_replace(code, '^wallet:[^:]+', 'wallet') AS class, normal_side,
            count(*) AS accounts, sum(balance)::bigint AS balance
        FROM ledger.accounts WHERE merchant_id = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2
        """,
        merchant_id,
    )
    return [
        (row["currency"], row["class"], row["normal_side"], row["accounts"], row["balance"])
        for row in rows
    ]


def _account_faults(merchant_id: int, row: asyncpg.Record) -> list[Difference]:
    name = f"account {row['number']} ({row['code']}): "
    if row["missing"]:
        return [Difference(merchant_id, f"account {row['number']} is missing")]
    faults: list[Difference] = []
    if row["balance"] != row["posted"]:
        faults.append(
            Difference(merchant_id, name + "balance", None, None, row["balance"], row["posted"])
        )
    if row["held"] != row["reserved"]:
        faults.append(
            Difference(merchant_id, name + "held", None, None, row["held"], row["reserved"])
        )
    if row["floor"] is not None and row["balance"] - row["held"] < row["floor"]:
        free = row["balance"] - row["held"]
        faults.append(
            Difference(merchant_id, name + "below its floor", None, None, free, row["floor"])
        )
    return faults


def _seal(row: asyncpg.Record) -> Seal:
    return Seal(
        merchant_id=row["merchant_id"],
        number=row["number"],
        first_journal=row["first_journal"],
        last_journal=row["last_journal"],
        last_at=row["last_at"],
        previous=row["previous"],
        digests=row["digests"],
        hash=row["hash"],
        sealed_at=row["sealed_at"],
    )
