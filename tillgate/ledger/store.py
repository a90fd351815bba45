"""SQL of the schema `ledger`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import asyncpg

from tillgate.ledger.machine import Books, Counters
from tillgate.ledger.model import Account, AccountTerms, Posted, PostedLine
from tillgate.runtime.db import Tx


async def insert_books(tx: Tx, merchant_id: int) -> None:
    """Open a merchant's books, where they are not."""
    await tx.run(
        "INSERT INTO ledger.books (merchant_id) VALUES ($1) ON CONFLICT DO NOTHING", merchant_id
    )


async def lock_books(tx: Tx, merchant_ids: Collection[int]) -> dict[int, Counters]:
    """Lock the books of these merchants, in order, until the transaction ends."""
    if len(merchant_ids) == 1:
        rows = await tx.all(
            "SELECT merchant_id, last_journal, last_account, last_at FROM ledger.books"
            " WHERE merchant_id = $1 FOR UPDATE",
            next(iter(merchant_ids)),
        )
    else:
        rows = await tx.all(
            "SELECT merchant_id, last_journal, last_account, last_at FROM ledger.books"
            " WHERE merchant_id = ANY($1::bigint[]) ORDER BY merchant_id FOR UPDATE",
            sorted(merchant_ids),
        )
    return {
        row["merchant_id"]: Counters(row["last_journal"], row["last_account"], row["last_at"])
        for row in rows
    }


async def select_accounts(tx: Tx, keys: Collection[tuple[int, int]]) -> list[Account]:
    """Read accounts by merchant and number."""
    rows = await tx.all(
        "SELECT a.* FROM unnest($1::bigint[], $2::bigint[]) k(merchant_id, number)"
        " JOIN ledger.accounts a ON a.merchant_id = k.merchant_id AND a.number = k.number",
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
        JOIN ledger.lines l ON l.merchant_id = k.merchant_id AND l.cause = k.cause
        ORDER BY l.merchant_id, l.journal, l.line
        """,
        [key[0] for key in causes],
        [key[1] for key in causes],
    )
    grouped: dict[tuple[int, int], list[asyncpg.Record]] = {}
    for row in rows:
        grouped.setdefault((row["merchant_id"], row["journal"]), []).append(row)
    return [_posted(group) for group in grouped.values()]


async def write(tx: Tx, books: Books) -> None:
    """Write new balances, new lines and the counters in one statement, which checks them again.

    The second check: each touched account still stands where the books were opened, and both
    sides of each line are accounts of the line's currency.
    """
    accounts = [
        (merchant, number, state.balance, state.held, state.balance_before, state.held_before)
        for (merchant, number) in sorted(books.touched)
        for state in [books.accounts[merchant, number]]
    ]
    lines = [
        (
            posted.merchant_id, posted.number, index, posted.cause, line.currency, line.debit,
            line.credit, line.amount, line.debit_after, line.credit_after, posted.at,
        )
        for posted in books.new
        for index, line in enumerate(posted.lines)
    ]  # fmt: skip
    counters = [
        (merchant, counter.last_journal, counter.last_at)
        for merchant, counter in books.counters.items()
    ]
    row = await tx.one(
        """
        WITH moved AS (
            UPDATE ledger.accounts a SET balance = u.balance, held = u.held
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
                u(merchant_id, number, balance, held, balance_before, held_before)
            WHERE a.merchant_id = u.merchant_id AND a.number = u.number
                AND a.balance = u.balance_before AND a.held = u.held_before
            RETURNING a.number
        ), written AS (
            INSERT INTO ledger.lines (merchant_id, journal, line, cause, currency, debit, credit,
                amount, debit_after, credit_after, at)
            SELECT l.merchant_id, l.journal, l.line, l.cause, l.currency, l.debit, l.credit,
                l.amount, l.debit_after, l.credit_after, l.at
            FROM unnest($7::bigint[], $8::bigint[], $9::smallint[], $10::text[], $11::text[],
                    $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
                    $17::timestamptz[])
                l(merchant_id, journal, line, cause, currency, debit, credit, amount, debit_after,
                    credit_after, at)
            JOIN ledger.accounts d ON d.merchant_id = l.merchant_id AND d.number = l.debit
                AND d.currency = l.currency
            JOIN ledger.accounts c ON c.merchant_id = l.merchant_id AND c.number = l.credit
                AND c.currency = l.currency
            RETURNING line
        ), counted AS (
            UPDATE ledger.books b SET last_journal = u.last_journal, last_at = u.last_at
            FROM unnest($18::bigint[], $19::bigint[], $20::timestamptz[])
                u(merchant_id, last_journal, last_at)
            WHERE b.merchant_id = u.merchant_id
            RETURNING b.merchant_id
        )
        SELECT (SELECT count(*) FROM moved) AS moved, (SELECT count(*) FROM written) AS written,
            (SELECT count(*) FROM counted) AS counted
        """,
        *_columns(accounts, 6),
        *_columns(lines, 11),
        *_columns(counters, 3),
    )
    assert row["moved"] == len(accounts), "an account moved while its books were locked"
    assert row["written"] == len(lines), "a line joins accounts that are not of its currency"
    assert row["counted"] == len(counters), "books were lost"


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
