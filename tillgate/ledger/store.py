"""SQL of the schema `ledger`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import asyncpg
import msgspec

from tillgate.ledger.machine import Books, Counters
from tillgate.ledger.model import (
    Account,
    AccountTerms,
    BookedLine,
    Hold,
    Posted,
    PostedLine,
)
from tillgate.runtime import telemetry
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook


async def insert_books(tx: Tx, merchant_id: int) -> None:
    """Open a merchant's books, where they are not."""
    await tx.run(
        "INSERT INTO ledger.books (merchant_id) VALUES ($1) ON CONFLICT DO NOTHING", merchant_id
    )


async def select_counters(tx: Tx, merchant_id: int) -> Counters:
    """Read a merchant's counters without a lock."""
    row = await tx.one(
        "SELECT last_journal, last_account, last_at, stamp FROM ledger.books WHERE merchant_id = $1",
        merchant_id,
    )
    return Counters(row["last_journal"], row["last_account"], row["last_at"], row["stamp"])


async def lock_books(tx: Tx, merchant_ids: Collection[int]) -> dict[int, Counters]:
    """Lock the books of these merchants, in order, until the transaction ends.

    From here on the transaction plans by index, whatever the statistics say: a batch must never
    meet a scan of a table that has grown (measured: it hashed all accounts to find 2,000 of them).
    """
    rows = await tx.all(
        """
        SELECT b.*, set_config('enable_hashjoin', 'off', true),
            set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true)
        FROM (SELECT merchant_id, last_journal, last_account, last_at, stamp FROM ledger.books
            WHERE merchant_id = ANY ($1::bigint[]) ORDER BY merchant_id FOR UPDATE) b
        """,
        sorted(merchant_ids),
    )
    return {
        row["merchant_id"]: Counters(
            row["last_journal"], row["last_account"], row["last_at"], row["stamp"]
        )
        for row in rows
    }


async def select_accounts(tx: Tx, keys: Collection[tuple[int, int]]) -> list[Account]:
    """Read accounts by merchant and number."""
    rows = await tx.all(
        "SELECT a.merchant_id, a.number, a.code, a.currency, a.normal_side, a.floor, a.balance,"
        " a.held, a.created_at FROM unnest($1::bigint[], $2::bigint[]) k(merchant_id, number)"
        " CROSS JOIN LATERAL (SELECT * FROM ledger.accounts x WHERE x.merchant_id = k.merchant_id"
        " AND x.number = k.number OFFSET 0) a",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return [_account(row) for row in rows]


async def select_accounts_by_code(tx: Tx, keys: Collection[tuple[int, str, str]]) -> list[Account]:
    """Read accounts by merchant, code and currency."""
    rows = await tx.all(
        "SELECT a.* FROM unnest($1::bigint[], $2::text[], $3::text[]) k(merchant_id, code, currency)"
        " JOIN ledger.accounts a ON a.merchant_id = k.merchant_id AND a.code = k.code"
        " AND a.currency = k.currency",
        [key[0] for key in keys],
        [key[1] for key in keys],
        [key[2] for key in keys],
    )
    return [_account(row) for row in rows]


async def insert_accounts(
    tx: Tx, merchant_id: int, first_number: int, terms: Sequence[AccountTerms], at: datetime
) -> list[Account]:
    """Open accounts with consecutive numbers; the merchant's books are locked."""
    rows = await tx.all(
        """
        INSERT INTO ledger.accounts
            (merchant_id, number, code, currency, normal_side, floor, created_at)
        SELECT $1, $2 + n - 1, code, currency, normal_side, floor, $7
        FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[])
            WITH ORDINALITY t(code, currency, normal_side, floor, n)
        RETURNING *
        """,
        merchant_id,
        first_number,
        [term.code for term in terms],
        [term.currency for term in terms],
        [term.normal_side for term in terms],
        [term.floor for term in terms],
        at,
    )
    await tx.run(
        "UPDATE ledger.books SET last_account = $2 WHERE merchant_id = $1",
        merchant_id,
        first_number + len(terms) - 1,
    )
    return [_account(row) for row in rows]


async def select_journals(tx: Tx, causes: Collection[tuple[int, str]]) -> list[Posted]:
    """Read the journals of these causes, where they have been posted."""
    rows = await tx.all(
        """
        SELECT l.* FROM unnest($1::bigint[], $2::text[]) k(merchant_id, cause)
        CROSS JOIN LATERAL (SELECT * FROM ledger.lines x
            WHERE x.merchant_id = k.merchant_id AND x.cause = k.cause OFFSET 0) l
        ORDER BY l.merchant_id, l.journal, l.line
        """,
        [key[0] for key in causes],
        [key[1] for key in causes],
    )
    grouped: dict[tuple[int, int], list[asyncpg.Record]] = {}
    for row in rows:
        grouped.setdefault((row["merchant_id"], row["journal"]), []).append(row)
    return [_posted(group) for group in grouped.values()]


async def select_lines_of(
    tx: Tx,
    merchant_id: int,
    numbers: Sequence[int],
    *,
    before: int | None,
    after: int | None,
    limit: int,
) -> list[BookedLine]:
    """Return all lines on these accounts of a page of journals, newest first.

    Each account is read in its own order by index, both sides, never further than the page. The
    bounds are written as rows so that only the account's index fits: with `debit = …` the planner
    may walk all journals backwards in search of an account that has none on that side.
    """
    rows = await tx.all(
        _LINES_AFTER if after is not None else _LINES_BEFORE,
        merchant_id,
        list(numbers),
        after if after is not None else (before if before is not None else _MAX_JOURNAL),
        limit,
    )
    return [_booked(row) for row in rows]


_MAX_JOURNAL = 2**62

_LINES_BEFORE = """
    WITH journals AS (
        SELECT DISTINCT p.journal FROM unnest($2::bigint[]) n(number) CROSS JOIN LATERAL (
            (SELECT DISTINCT debit, journal FROM ledger.lines
                WHERE merchant_id = $1 AND (debit, journal) < (n.number, $3)
                    AND debit >= n.number ORDER BY debit DESC, journal DESC LIMIT $4)
            UNION ALL
            (SELECT DISTINCT credit, journal FROM ledger.lines
                WHERE merchant_id = $1 AND (credit, journal) < (n.number, $3)
                    AND credit >= n.number ORDER BY credit DESC, journal DESC LIMIT $4)
        ) p ORDER BY p.journal DESC LIMIT $4
    )
    SELECT l.* FROM journals j
    JOIN ledger.lines l ON l.merchant_id = $1 AND l.journal = j.journal
    WHERE l.debit = ANY ($2::bigint[]) OR l.credit = ANY ($2::bigint[])
    ORDER BY l.journal DESC, l.line DESC
    """
_LINES_AFTER = """
    WITH journals AS (
        SELECT DISTINCT p.journal FROM unnest($2::bigint[]) n(number) CROSS JOIN LATERAL (
            (SELECT DISTINCT debit, journal FROM ledger.lines
                WHERE merchant_id = $1 AND (debit, journal) > (n.number, $3)
                    AND debit <= n.number ORDER BY debit, journal LIMIT $4)
            UNION ALL
            (SELECT DISTINCT credit, journal FROM ledger.lines
                WHERE merchant_id = $1 AND (credit, journal) > (n.number, $3)
                    AND credit <= n.number ORDER BY credit, journal LIMIT $4)
        ) p ORDER BY p.journal LIMIT $4
    )
    SELECT l.* FROM journals j
    JOIN ledger.lines l ON l.merchant_id = $1 AND l.journal = j.journal
    WHERE l.debit = ANY ($2::bigint[]) OR l.credit = ANY ($2::bigint[])
    ORDER BY l.journal DESC, l.line DESC
    """


async def select_balances_at(
    tx: Tx, merchant_id: int, numbers: Sequence[int], journal: int
) -> dict[int, int]:
    """Return where accounts stood after a journal."""
    standing = await select_standing(tx, merchant_id, [(number, journal) for number in numbers])
    return {number: balance for (number, _), balance in standing.items()}


async def select_standing(
    tx: Tx, merchant_id: int, moments: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Return where accounts stood, each after a journal of its own: the running balance of the
    last line up to it."""
    rows = await tx.all(
        """
        SELECT n.number, n.journal, coalesce(p.balance, 0) AS balance
        FROM unnest($2::bigint[], $3::bigint[]) n(number, journal) LEFT JOIN LATERAL (
            (SELECT journal, line, debit_after AS balance FROM ledger.lines
                WHERE merchant_id = $1 AND (debit, journal) <= (n.number, n.journal)
                    AND debit >= n.number ORDER BY debit DESC, journal DESC, line DESC LIMIT 1)
            UNION ALL
            (SELECT journal, line, credit_after AS balance FROM ledger.lines
                WHERE merchant_id = $1 AND (credit, journal) <= (n.number, n.journal)
                    AND credit >= n.number ORDER BY credit DESC, journal DESC, line DESC LIMIT 1)
            ORDER BY journal DESC, line DESC LIMIT 1
        ) p ON true
        """,
        merchant_id,
        [number for number, _ in moments],
        [journal for _, journal in moments],
    )
    return {(row["number"], row["journal"]): row["balance"] for row in rows}


async def select_holds(tx: Tx, keys: Collection[tuple[int, str]]) -> list[Hold]:
    """Read holds by id."""
    rows = await tx.all(
        """
        SELECT h.* FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)
        JOIN ledger.holds h ON h.merchant_id = k.merchant_id AND h.id = k.id
        ORDER BY h.merchant_id, h.id, h.account
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    grouped: dict[tuple[int, str], list[asyncpg.Record]] = {}
    for row in rows:
        grouped.setdefault((row["merchant_id"], row["id"]), []).append(row)
    return [_hold(group) for group in grouped.values()]


async def select_expired_holds(tx: Tx, merchant_id: int, at: datetime, limit: int) -> list[str]:
    """Return ids of open holds whose time is over."""
    rows = await tx.all(
        "SELECT DISTINCT id FROM (SELECT id FROM ledger.holds WHERE merchant_id = $1"
        " AND status = 'open' AND expires_at <= $2 ORDER BY expires_at LIMIT $3) due ORDER BY id",
        merchant_id,
        at,
        limit,
    )
    return [row["id"] for row in rows]


async def select_merchants_with_expired_holds(tx: Tx, at: datetime) -> list[int]:
    """Return the merchants that have open holds whose time is over; one index probe for each."""
    rows = await tx.all(
        """
        SELECT b.merchant_id FROM ledger.books b WHERE EXISTS (
            SELECT FROM ledger.holds h WHERE h.merchant_id = b.merchant_id
                AND h.status = 'open' AND h.expires_at <= $1)
        ORDER BY b.merchant_id
        """,
        at,
    )
    return [row["merchant_id"] for row in rows]


def upsert_holds(notes: Notebook, holds: Sequence[Hold]) -> None:
    """Write new holds, and the end of old ones; an ended hold never changes again."""
    parts = [(hold, account, amount) for hold in holds for account, amount in hold.parts]
    notes.later(
        """
        INSERT INTO ledger.holds AS h
            (merchant_id, id, account, amount, status, expires_at, created_at, ended_at)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[],
            $6::timestamptz[], $7::timestamptz[], $8::timestamptz[])
        ON CONFLICT (merchant_id, id, account)
        DO UPDATE SET status = excluded.status, ended_at = excluded.ended_at
        WHERE h.status = 'open'
        """,
        [hold.merchant_id for hold, _, _ in parts],
        [hold.id for hold, _, _ in parts],
        [account for _, account, _ in parts],
        [amount for _, _, amount in parts],
        [hold.status for hold, _, _ in parts],
        [hold.expires_at for hold, _, _ in parts],
        [hold.created_at for hold, _, _ in parts],
        [hold.ended_at for hold, _, _ in parts],
        rows=len(parts),
        otherwise="a hold ended while its books were locked",
    )


class Writing(msgspec.Struct, frozen=True):
    """What a batch has to write, taken off the books so that they may go on."""

    stamp: int
    lines: list[tuple[object, ...]]
    accounts: list[tuple[object, ...]]
    counters: list[list[object]]


def take_writing(books: Books, stamp: int) -> Writing:
    """Take what is new off the books; from here on they stand as if it were written."""
    touched = sorted(books.touched)
    states = [books.accounts[key] for key in touched]
    merchants = {key[0] for key in touched} | {posted.merchant_id for posted in books.new}
    counted = [(merchant, books.counters[merchant]) for merchant in sorted(merchants)]
    counters = [(merchant, one.last_journal, one.last_at, one.stamp) for merchant, one in counted]
    writing = Writing(
        stamp,
        list(_line_rows(books.new)),
        [
            (
                key[0],
                key[1],
                state.balance,
                state.held,
                state.balance_before,
                state.held_before,
                state.currency,
            )
            for key, state in zip(touched, states, strict=True)
        ],
        _columns(counters, 4),
    )
    for state in states:
        state.balance_before, state.held_before = state.balance, state.held
    for _, counter in counted:
        counter.stamp = stamp
    books.written += books.new
    books.touched.clear()
    books.new.clear()
    return writing


def write(notes: Notebook, writing: Writing) -> None:
    """Write new lines, new balances and the counters.

    The books come first: their row is the lock, and must carry the stamp it was found with. A
    second check: each touched account still stands where the books found it, and is of the
    currency that the lines on it say.
    """
    notes.later(
        """
        UPDATE ledger.books b SET last_journal = u.last_journal, last_at = u.last_at, stamp = $5
        FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[])
            u(merchant_id, last_journal, last_at, found)
        WHERE b.merchant_id = u.merchant_id AND b.stamp = u.found
        """,
        *writing.counters,
        writing.stamp,
        rows=len(writing.counters[0]),
        otherwise="somebody else has written into the books",
    )
    telemetry.LINES.inc(len(writing.lines))
    if writing.lines:
        # Not by COPY: a row costs a little less that way, but it is a round trip of its own.
        notes.later(_INSERT_LINES, writing.lines, rows=len(writing.lines))
    notes.later(
        """
        UPDATE ledger.accounts a SET balance = u.balance, held = u.held
        FROM unnest($1::ledger.account_change[]) u
        WHERE a.merchant_id = u.merchant_id AND a.number = u.number
            AND a.balance = u.balance_before AND a.held = u.held_before
            AND a.currency = u.currency
        """,
        writing.accounts,
        rows=len(writing.accounts),
        otherwise="an account moved while its books were locked",
    )


_INSERT_LINES = """
    INSERT INTO ledger.lines (merchant_id, journal, line, cause, currency, debit, credit, amount,
        debit_after, credit_after, at)
    SELECT * FROM unnest($1::ledger.line_row[])
    """


def _line_rows(new: Sequence[Posted]) -> Iterator[tuple[object, ...]]:
    for posted in new:
        merchant, number, cause, at = posted.merchant_id, posted.number, posted.cause, posted.at
        for index, line in enumerate(posted.lines):
            yield (
                merchant, number, index, cause, line.currency, line.debit, line.credit,
                line.amount, line.debit_after, line.credit_after, at,
            )  # fmt: skip


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    if not rows:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*rows, strict=True)]


def _account(row: asyncpg.Record) -> Account:
    return Account(
        merchant_id=row["merchant_id"],
        number=row["number"],
        code=row["code"],
        currency=row["currency"],
        normal_side=row["normal_side"],
        floor=row["floor"],
        balance=row["balance"],
        held=row["held"],
        created_at=row["created_at"],
    )


def _posted(rows: Sequence[asyncpg.Record]) -> Posted:
    first = rows[0]
    return Posted(
        merchant_id=first["merchant_id"],
        number=first["journal"],
        cause=first["cause"],
        at=first["at"],
        lines=tuple(
            PostedLine(
                row["debit"], row["credit"], row["amount"], row["currency"], row["debit_after"],
                row["credit_after"],
            )
            for row in rows
        ),
        repeated=True,
    )  # fmt: skip


def _hold(rows: Sequence[asyncpg.Record]) -> Hold:
    first = rows[0]
    return Hold(
        merchant_id=first["merchant_id"],
        id=first["id"],
        parts=tuple((row["account"], row["amount"]) for row in rows),
        created_at=first["created_at"],
        expires_at=first["expires_at"],
        status=first["status"],
        ended_at=first["ended_at"],
    )


def _booked(row: asyncpg.Record) -> BookedLine:
    return BookedLine(
        journal=row["journal"],
        line=row["line"],
        cause=row["cause"],
        currency=row["currency"],
        debit=row["debit"],
        credit=row["credit"],
        amount=row["amount"],
        debit_after=row["debit_after"],
        credit_after=row["credit_after"],
        at=row["at"],
    )
