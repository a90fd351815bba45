"""SQL of the schema `wallets`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from tillgate.kernel.money import currency
from tillgate.kernel.paging import LAST_ID
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook
from tillgate.wallets.machine import Status
from tillgate.wallets.model import Limits, Transaction, Wallet, WalletHold

Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Kept:
    """A transaction's row: what the ledger does not know about a journal."""

    transaction: Transaction
    refunded_principal: int
    refunded_bonus: int


async def select_wallets(tx: Tx, keys: Collection[Key]) -> list[Wallet]:
    """Read wallets by id."""
    rows = await tx.all(
        "SELECT w.* FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)"
        " JOIN wallets.wallets w ON w.merchant_id = k.merchant_id AND w.id = k.id",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return [_wallet(row) for row in rows]


async def select_accounts_of(tx: Tx, keys: Collection[Key]) -> dict[Key, tuple[int, int]]:
    """Return, by wallet, its accounts of principal and of bonus, which never change."""
    rows = await tx.all(
        "SELECT w.merchant_id, w.id, w.principal_account, w.bonus_account"
        " FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)"
        " JOIN wallets.wallets w ON w.merchant_id = k.merchant_id AND w.id = k.id",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return {(merchant_id, wallet_id): (one, two) for merchant_id, wallet_id, one, two in rows}


async def select_wallets_of(tx: Tx, keys: Collection[tuple[int, str, str]]) -> list[Wallet]:
    """Read wallets by merchant, customer and currency."""
    rows = await tx.all(
        "SELECT w.* FROM unnest($1::bigint[], $2::text[], $3::text[]) k(m, customer_id, currency)"
        " JOIN wallets.wallets w ON w.merchant_id = k.m AND w.customer_id = k.customer_id"
        " AND w.currency = k.currency",
        [key[0] for key in keys],
        [key[1] for key in keys],
        [key[2] for key in keys],
    )
    return [_wallet(row) for row in rows]


async def select_wallet_page(
    tx: Tx,
    merchant_id: int,
    customer_id: str | None,
    after: str | None,
    before: str | None,
    limit: int,
) -> list[Wallet]:
    """Read a page of wallets, newest first: those older than `after`, or newer than `before`."""
    low, high = before or "", after or LAST_ID
    if customer_id is None:
        sql = _PAGE_AFTER if before is None else _PAGE_BEFORE
        rows = await tx.all(sql, merchant_id, low, high, limit)
    else:
        sql = _PAGE_AFTER_OF if before is None else _PAGE_BEFORE_OF
        rows = await tx.all(sql, merchant_id, low, high, limit, customer_id)
    found = [_wallet(row) for row in rows]
    return found[::-1] if before is not None else found


_PAGE = "SELECT * FROM wallets.wallets WHERE merchant_id = $1 AND id > $2 AND id < $3"
_PAGE_AFTER = _PAGE + " ORDER BY id DESC LIMIT $4"
_PAGE_BEFORE = _PAGE + " ORDER BY id LIMIT $4"
_PAGE_AFTER_OF = _PAGE + " AND customer_id = $5 ORDER BY id DESC LIMIT $4"
_PAGE_BEFORE_OF = _PAGE + " AND customer_id = $5 ORDER BY id LIMIT $4"


def insert_wallets(notes: Notebook, wallets: Sequence[Wallet]) -> None:
    """Write new wallets."""
    notes.later(
        """
        INSERT INTO wallets.wallets (merchant_id, id, customer_id, currency, principal_account,
            bonus_account, status, limit_single, limit_daily, limit_balance, description, metadata,
            sequence, created_at)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[],
            $6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[],
            $12::jsonb[], $13::bigint[], $14::timestamptz[])
        """,
        *_columns(
            (
                w.merchant_id, w.id, w.customer_id, w.currency.code, w.principal_account,
                w.bonus_account, w.status.value, w.limits.single, w.limits.daily, w.limits.balance,
                w.description, _dump(w.metadata), w.sequence, w.created_at,
            )
            for w in wallets
        ),
    )  # fmt: skip


def update_wallets(notes: Notebook, wallets: Sequence[tuple[Wallet, int]]) -> None:
    """Write wallets' terms and counters, each if its sequence is still what was read."""
    notes.later(
        """
        UPDATE wallets.wallets w SET status = u.status, limit_single = u.single,
            limit_daily = u.daily, limit_balance = u.balance, description = u.description,
            metadata = u.metadata, spent_on = u.spent_on, spent_today = u.spent_today,
            sequence = u.sequence
        FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[],
            $7::bigint[], $8::text[], $9::jsonb[], $10::date[], $11::bigint[], $12::bigint[])
            u(merchant_id, id, read, status, single, daily, balance, description, metadata,
            spent_on, spent_today, sequence)
        WHERE w.merchant_id = u.merchant_id AND w.id = u.id AND w.sequence = u.read
        """,
        *_columns(
            (
                w.merchant_id, w.id, read, w.status.value, w.limits.single, w.limits.daily,
                w.limits.balance, w.description, _dump(w.metadata), w.spent_on, w.spent_today,
                w.sequence,
            )
            for w, read in wallets
        ),
        rows=len(wallets),
        otherwise="a wallet has moved on",
    )  # fmt: skip


def update_counters(notes: Notebook, wallets: Sequence[tuple[Wallet, int]]) -> None:
    """Write only what a movement changes, what was spent today and the sequence, each if the
    sequence is still what was read."""
    notes.later(
        """
        UPDATE wallets.wallets w SET spent_on = u.spent_on, spent_today = u.spent_today,
            sequence = u.sequence
        FROM unnest($1::wallets.counter_change[]) u
        WHERE w.merchant_id = u.merchant_id AND w.id = u.id AND w.sequence = u.read
        """,
        [(w.merchant_id, w.id, read, w.spent_on, w.spent_today, w.sequence) for w, read in wallets],
        rows=len(wallets),
        otherwise="a wallet has moved on",
    )


def insert_transactions(notes: Notebook, transactions: Sequence[Transaction]) -> None:
    """Write what journals meant to wallets."""
    notes.later(
        """
        INSERT INTO wallets.transactions (merchant_id, id, wallet_id, journal, type, amount,
            principal_amount, bonus_amount, currency, cause, source, description, metadata,
            created_at)
        SELECT * FROM unnest($1::wallets.transaction_row[])
        """,
        [
            (
                t.merchant_id, t.id, t.wallet_id, t.journal, t.type, t.amount, t.principal_amount,
                t.bonus_amount, t.currency, t.cause, t.source, t.description, _dump(t.metadata),
                t.created_at,
            )
            for t in transactions
        ],
    )  # fmt: skip


def update_refunded(notes: Notebook, refunded: Mapping[Key, tuple[int, int]]) -> None:
    """Write how much of each spend has been given back; the database checks the cap again."""
    notes.later(
        """
        UPDATE wallets.transactions t SET refunded_principal = u.principal, refunded_bonus = u.bonus
        FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
            u(merchant_id, id, principal, bonus)
        WHERE t.merchant_id = u.merchant_id AND t.id = u.id
        """,
        [key[0] for key in refunded],
        [key[1] for key in refunded],
        [parts[0] for parts in refunded.values()],
        [parts[1] for parts in refunded.values()],
    )


async def update_notes(
    tx: Tx,
    merchant_id: int,
    transaction_id: str,
    description: str | None,
    metadata: Mapping[str, str],
) -> None:
    """Write the words on a transaction; its amounts can never be written."""
    await tx.run(
        "UPDATE wallets.transactions SET description = $3, metadata = $4"
        " WHERE merchant_id = $1 AND id = $2",
        merchant_id,
        transaction_id,
        description,
        _dump(metadata),
    )


async def select_transactions(tx: Tx, keys: Collection[Key]) -> list[Kept]:
    """Read transactions by id. Their `balance_after` is not known here."""
    rows = await tx.all(
        "SELECT t.* FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)"
        " JOIN wallets.transactions t ON t.merchant_id = k.merchant_id AND t.id = k.id",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return [_kept(row) for row in rows]


async def select_transactions_of(
    tx: Tx, merchant_id: int, keys: Collection[tuple[str, int]]
) -> list[Kept]:
    """Read transactions by wallet and journal."""
    rows = await tx.all(
        "SELECT t.* FROM unnest($2::text[], $3::bigint[]) k(wallet_id, journal)"
        " CROSS JOIN LATERAL (SELECT * FROM wallets.transactions x WHERE x.merchant_id = $1"
        " AND x.wallet_id = k.wallet_id AND x.journal = k.journal OFFSET 0) t",
        merchant_id,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return [_kept(row) for row in rows]


async def select_holds(tx: Tx, keys: Collection[Key]) -> list[WalletHold]:
    """Read holds by id."""
    rows = await tx.all(
        "SELECT h.* FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)"
        " JOIN wallets.holds h ON h.merchant_id = k.merchant_id AND h.id = k.id",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return [_hold(row) for row in rows]


async def select_hold_page(
    tx: Tx, merchant_id: int, wallet_id: str, after: str | None, before: str | None, limit: int
) -> list[WalletHold]:
    """Read a page of a wallet's holds, newest first."""
    rows = await tx.all(
        _HOLDS_BEFORE if before is not None else _HOLDS_AFTER,
        merchant_id,
        wallet_id,
        before or "",
        after or LAST_ID,
        limit,
    )
    found = [_hold(row) for row in rows]
    return found[::-1] if before is not None else found


_HOLDS = (
    "SELECT * FROM wallets.holds WHERE merchant_id = $1 AND wallet_id = $2 AND id > $3 AND id < $4"
)
_HOLDS_AFTER = _HOLDS + " ORDER BY id DESC LIMIT $5"
_HOLDS_BEFORE = _HOLDS + " ORDER BY id LIMIT $5"


def upsert_holds(notes: Notebook, holds: Sequence[WalletHold]) -> None:
    """Write new holds and the end of old ones."""
    notes.later(
        """
        INSERT INTO wallets.holds AS h (merchant_id, id, wallet_id, amount, principal_amount,
            bonus_amount, captured_amount, currency, status, transaction_id, description, metadata,
            expires_at, created_at, ended_at)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[],
            $12::jsonb[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[])
        ON CONFLICT (merchant_id, id) DO UPDATE SET captured_amount = excluded.captured_amount,
            status = excluded.status, transaction_id = excluded.transaction_id,
            ended_at = excluded.ended_at
        WHERE h.status = 'open'
        """,
        *_columns(
            (
                h.merchant_id, h.id, h.wallet_id, h.amount, h.principal_amount, h.bonus_amount,
                h.captured_amount, h.currency, h.status, h.transaction_id, h.description,
                _dump(h.metadata), h.expires_at, h.created_at, h.ended_at,
            )
            for h in holds
        ),
        rows=len(holds),
        otherwise="a hold has ended",
    )  # fmt: skip


def _columns(rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    return zip(*rows, strict=True)


def _dump(metadata: Mapping[str, str]) -> str:
    return msgspec.json.encode(metadata).decode() if metadata else "{}"


def _load(text: str) -> Mapping[str, str]:
    return {} if text == "{}" else msgspec.json.decode(text, type=dict[str, str])


def _wallet(row: asyncpg.Record) -> Wallet:
    return Wallet(
        merchant_id=row["merchant_id"],
        id=row["id"],
        customer_id=row["customer_id"],
        currency=currency(row["currency"]),
        principal_account=row["principal_account"],
        bonus_account=row["bonus_account"],
        status=Status(row["status"]),
        limits=Limits(row["limit_single"], row["limit_daily"], row["limit_balance"]),
        spent_on=row["spent_on"],
        spent_today=row["spent_today"],
        description=row["description"],
        metadata=_load(row["metadata"]),
        sequence=row["sequence"],
        created_at=row["created_at"],
    )


def _kept(row: asyncpg.Record) -> Kept:
    transaction = Transaction(
        merchant_id=row["merchant_id"],
        id=row["id"],
        wallet_id=row["wallet_id"],
        journal=row["journal"],
        type=row["type"],
        amount=row["amount"],
        principal_amount=row["principal_amount"],
        bonus_amount=row["bonus_amount"],
        balance_after=0,
        currency=row["currency"],
        cause=row["cause"],
        source=row["source"],
        description=row["description"],
        metadata=_load(row["metadata"]),
        amount_refunded=row["refunded_principal"] + row["refunded_bonus"],
        created_at=row["created_at"],
    )
    return Kept(transaction, row["refunded_principal"], row["refunded_bonus"])


def _hold(row: asyncpg.Record) -> WalletHold:
    return WalletHold(
        merchant_id=row["merchant_id"],
        id=row["id"],
        wallet_id=row["wallet_id"],
        amount=row["amount"],
        principal_amount=row["principal_amount"],
        bonus_amount=row["bonus_amount"],
        captured_amount=row["captured_amount"],
        currency=row["currency"],
        status=row["status"],
        transaction_id=row["transaction_id"],
        description=row["description"],
        metadata=_load(row["metadata"]),
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )
