"""SQL of the schema `payments`.

A Struct's fields are its table's columns, so there is no mapping to get wrong: rows are written as
an array of a composite type with the same fields, one parameter and one statement for a batch, and
read as JSON.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Generic, LiteralString, TypeVar

import asyncpg
import msgspec

from tillgate.kernel.paging import Page, Rows
from tillgate.payments.model import Attempt, Payment, Refund
from tillgate.runtime.db import Tx
from tillgate.runtime.listing import select_page
from tillgate.runtime.rows import Row, RowsOf
from tillgate.runtime.writes import Notebook

_payment = msgspec.json.Decoder(Payment)

Key = tuple[int, str]

#: What a journey changes: the attributes of the `_move` types, without the key before them.
PAYMENT_MOVES: Final[tuple[LiteralString, ...]] = (
    "status", "amount_capturable", "amount_received", "amount_refunded", "latest_attempt",
    "open_attempt", "attempts", "next_action", "last_error", "canceled_at", "cancellation_reason",
    "sequence",
)  # fmt: skip
ATTEMPT_MOVES: Final[tuple[LiteralString, ...]] = (
    "status", "reference", "next_step", "error", "instrument", "amount_authorised",
    "amount_to_capture", "amount_captured", "amount_refunded", "closing", "expires_at",
    "look_up_at", "look_ups", "sequence", "paid_at",
)  # fmt: skip
REFUND_MOVES: Final[tuple[LiteralString, ...]] = (
    "status", "failure_reason", "reference", "metadata", "look_up_at", "look_ups", "sequence",
)  # fmt: skip
#: What only the merchant changes of a payment.
PAYMENT_EDITS: Final[tuple[LiteralString, ...]] = (
    "amount", "currency", "capture_method", "customer_id", "method_types", "payment_method",
    "method_options", "return_url", "description", "receipt_email", "setup_future_usage",
    "statement_descriptor", "statement_descriptor_suffix", "shipping", "metadata",
)  # fmt: skip
KEY: Final = ("merchant_id", "id")

_payment_rows = RowsOf(Payment)
_payment_moves = RowsOf(Payment, (*KEY, *PAYMENT_MOVES))
_attempt_moves = RowsOf(Attempt, (*KEY, *ATTEMPT_MOVES))
_refund_moves = RowsOf(Refund, (*KEY, *REFUND_MOVES))


def _setting(
    table: LiteralString, row_type: LiteralString, columns: Sequence[LiteralString]
) -> LiteralString:
    """Return the UPDATE of these columns from an array of rows."""
    theirs = ", ".join(["u." + column for column in columns])
    columns_set = f"SET ({', '.join(columns)}) = ({theirs})"
    rows = f"unnest($1::payments.{row_type}[]) u"
    where = "x.merchant_id = u.merchant_id AND x.id = u.id"
    return f"UPDATE payments.{table} x {columns_set} FROM {rows} WHERE {where}"


_MOVE_PAYMENTS = _setting("payments", "payment_move", PAYMENT_MOVES)
_REWRITE_PAYMENTS = _setting("payments", "payment_row", (*PAYMENT_MOVES, *PAYMENT_EDITS))
_MOVE_ATTEMPTS = _setting("attempts", "attempt_move", ATTEMPT_MOVES)
_MOVE_REFUNDS = _setting("refunds", "refund_move", REFUND_MOVES)


def _update(notes: Notebook, sql: LiteralString, rows: list[Row]) -> None:
    notes.later(sql, rows, rows=len(rows), otherwise="a locked row vanished")


def _keys(keys: Collection[Key]) -> tuple[list[int], list[str]]:
    return [key[0] for key in keys], [key[1] for key in keys]


# Payments ------------------------------------------------------------------------------------


def insert_payments(notes: Notebook, payments: Sequence[Payment]) -> None:
    """Write new payments."""
    if payments:
        notes.later(
            "INSERT INTO payments.payments SELECT * FROM unnest($1::payments.payment_row[])",
            _payment_rows(payments),
        )


async def lock_payments(tx: Tx, keys: Collection[Key]) -> list[Payment]:
    """Read payments and hold their rows, in order, until the transaction ends.

    A payment's row is the lock of everything that belongs to it: attempts and refunds too.
    """
    rows = await tx.all(
        """
        WITH wanted AS MATERIALIZED (
            SELECT DISTINCT merchant_id, id FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)
            ORDER BY 1, 2
        )
        SELECT row_to_json(p)::text AS row FROM wanted w
        CROSS JOIN LATERAL (SELECT * FROM payments.payments x
            WHERE x.merchant_id = w.merchant_id AND x.id = w.id FOR UPDATE) p
        """,
        *_keys(keys),
    )
    return [_payment.decode(row["row"]) for row in rows]


def update_payments(notes: Notebook, payments: Sequence[Payment]) -> None:
    """Write what a journey moves of payments (`PAYMENT_MOVES`); their rows are locked."""
    if payments:
        _update(notes, _MOVE_PAYMENTS, _payment_moves(payments))


def rewrite_payments(notes: Notebook, payments: Sequence[Payment]) -> None:
    """Write all that can change of payments; their rows are locked."""
    if payments:
        _update(notes, _REWRITE_PAYMENTS, _payment_rows(payments))


async def select_payment(tx: Tx, merchant_id: int, payment_id: str) -> Payment | None:
    """Read one payment."""
    row = await tx.value(
        "SELECT row_to_json(p)::text FROM payments.payments p WHERE merchant_id = $1 AND id = $2",
        merchant_id,
        payment_id,
    )
    return None if row is None else _payment.decode(row)


async def select_payments_by_id(tx: Tx, keys: Collection[Key]) -> list[Payment]:
    """Read payments, without locking them."""
    rows = await tx.all(
        """
        SELECT row_to_json(p)::text AS row FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)
        JOIN payments.payments p ON p.merchant_id = k.merchant_id AND p.id = k.id
        """,
        *_keys(keys),
    )
    return [_payment.decode(row["row"]) for row in rows]


async def select_sequences(tx: Tx, keys: Collection[Key]) -> dict[Key, int]:
    """Read how often payments have changed, and nothing else of them."""
    rows = await tx.all(
        """
        SELECT p.merchant_id, p.id, p.sequence FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)
        JOIN payments.payments p ON p.merchant_id = k.merchant_id AND p.id = k.id
        """,
        *_keys(keys),
    )
    return {(row["merchant_id"], row["id"]): row["sequence"] for row in rows}


async def select_coming(
    tx: Tx, accounts: Collection[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Return what may still be paid into these ledger accounts, with its gifts.

    What failed and is not being tried again is left out; it is asked for anew when it is.
    """
    rows = await tx.all(
        """
        SELECT p.merchant_id, p.pay_into, sum(p.amount + coalesce((SELECT sum((g->>'amount')::bigint)
            FROM jsonb_array_elements(p.gifts) g), 0))::bigint AS amount
        FROM unnest($1::bigint[], $2::bigint[]) k(merchant_id, pay_into)
        JOIN payments.payments p ON p.merchant_id = k.merchant_id AND p.pay_into = k.pay_into
        WHERE p.status NOT IN ('succeeded', 'canceled')
            AND (p.open_attempt IS NOT NULL OR p.attempts = 0)
        GROUP BY p.merchant_id, p.pay_into
        """,
        [key[0] for key in accounts],
        [key[1] for key in accounts],
    )
    return {(row["merchant_id"], row["pay_into"]): row["amount"] for row in rows}


async def select_overdue_payments(tx: Tx, now: datetime, limit: int) -> list[Key]:
    """Return payments that have a deadline, have passed it, and have no attempt to wait for."""
    rows = await tx.all(
        "SELECT merchant_id, id FROM payments.payments"
        " WHERE expires_at <= $1 AND open_attempt IS NULL AND status IN"
        " ('requires_payment_method', 'requires_confirmation') ORDER BY expires_at LIMIT $2",
        now,
        limit,
    )
    return [(row["merchant_id"], row["id"]) for row in rows]


# Attempts and refunds ------------------------------------------------------------------------

Part = TypeVar("Part", Attempt, Refund)


class Parts(Generic[Part]):
    """What belongs to a payment, whose row is its lock, and is looked up at the provider."""

    def __init__(self, name: LiteralString, kind: type[Part]) -> None:
        self._name: LiteralString = name
        self._decoder = msgspec.json.Decoder(kind)
        self._rows = RowsOf(kind)

    def rows(self, parts: Sequence[Part]) -> list[Row]:
        """Return them as they are written."""
        return self._rows(parts)

    def decode(self, row: asyncpg.Record) -> Part:
        """Read a row that came as JSON."""
        return self._decoder.decode(row["row"])

    def insert(self, notes: Notebook, parts: Sequence[Part]) -> None:
        """Write new ones."""
        if parts:
            notes.later(self._of(_INSERT), self.rows(parts))

    async def select(self, tx: Tx, keys: Collection[Key]) -> list[Part]:
        """Read them by id; whoever changes them holds their payments' rows."""
        return [self.decode(row) for row in await tx.all(self._of(_SELECT), *_keys(keys))]

    async def select_of_payment(self, tx: Tx, merchant_id: int, payment_id: str) -> list[Part]:
        """Read those of a payment, oldest first."""
        rows = await tx.all(self._of(_SELECT_OF_PAYMENT), merchant_id, payment_id)
        return [self.decode(row) for row in rows]

    async def lock_payments(self, tx: Tx, keys: Collection[Key]) -> list[Payment]:
        """Hold the payments that these belong to."""
        rows = await tx.all(self._of(_LOCK_PAYMENTS), *_keys(keys))
        return [_payment.decode(row["row"]) for row in rows]

    async def select_due(self, tx: Tx, now: datetime, limit: int) -> list[Part]:
        """Return those it is time to look up, the longest due first."""
        return [self.decode(row) for row in await tx.all(self._of(_SELECT_DUE), now, limit)]

    async def lease(self, tx: Tx, part: Part, until: datetime) -> bool:
        """Put the next look-up off to `until`; False where somebody else was faster."""
        key = (part.merchant_id, part.id)
        return bool(await tx.run(self._of(_LEASE), *key, part.look_up_at, until))

    def _of(self, sql: LiteralString) -> LiteralString:
        return sql.replace("payments.part", self._name)


#: `payments.parts` stands for the table of either, and `payments.part_row` for its type.
_INSERT: LiteralString = "INSERT INTO payments.parts SELECT * FROM unnest($1::payments.part_row[])"
_SELECT: LiteralString = """
    SELECT row_to_json(a)::text AS row FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)
    JOIN payments.parts a ON a.merchant_id = k.merchant_id AND a.id = k.id
    """
_SELECT_OF_PAYMENT: LiteralString = (
    "SELECT row_to_json(a)::text AS row FROM payments.parts a"
    " WHERE merchant_id = $1 AND payment_id = $2 ORDER BY id"
)
_LOCK_PAYMENTS: LiteralString = """
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT a.merchant_id, a.payment_id AS id
        FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)
        CROSS JOIN LATERAL (SELECT * FROM payments.parts x
            WHERE x.merchant_id = k.merchant_id AND x.id = k.id OFFSET 0) a
        ORDER BY 1, 2
    )
    SELECT row_to_json(p)::text AS row FROM wanted w
    CROSS JOIN LATERAL (SELECT * FROM payments.payments x
        WHERE x.merchant_id = w.merchant_id AND x.id = w.id FOR UPDATE) p
    """
_SELECT_DUE: LiteralString = (
    "SELECT row_to_json(a)::text AS row FROM payments.parts a"
    " WHERE look_up_at <= $1 ORDER BY look_up_at LIMIT $2"
)
_LEASE: LiteralString = (
    "UPDATE payments.parts SET look_up_at = $4, look_ups = look_ups + 1"
    " WHERE merchant_id = $1 AND id = $2 AND look_up_at = $3"
)
attempts = Parts("payments.attempt", Attempt)
refunds = Parts("payments.refund", Refund)


def update_attempts(notes: Notebook, changed: Sequence[Attempt]) -> None:
    """Write what can change of attempts; their payments' rows are locked."""
    if changed:
        _update(notes, _MOVE_ATTEMPTS, _attempt_moves(changed))


async def find_paid(tx: Tx, merchant_id: int, account_id: str, reference: str) -> str | None:
    """Return which attempt was paid by an order of one of our accounts."""
    return await tx.value(
        "SELECT id FROM payments.attempts WHERE merchant_id = $1 AND provider_account_id = $2"
        " AND reference = $3 AND status = 'paid'",
        merchant_id,
        account_id,
        reference,
    )


async def may_be_paid(
    tx: Tx, merchant_id: int, account_id: str, reference: str, *, by: datetime
) -> bool:
    """Tell whether an attempt that was open by then has this order, or none that we know of yet."""
    return await tx.value(
        "SELECT EXISTS (SELECT FROM payments.attempts WHERE merchant_id = $1"
        " AND provider_account_id = $2 AND coalesce(reference, $3) = $3"
        " AND status IN ('created', 'waiting', 'unknown', 'authorised') AND created_at <= $4)",
        merchant_id,
        account_id,
        reference,
        by,
    )


async def select_refunds_of_payments(tx: Tx, keys: Collection[Key]) -> list[Refund]:
    """Read all refunds of these payments, whose rows are held."""
    rows = await tx.all(
        """
        SELECT row_to_json(r)::text AS row FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)
        JOIN payments.refunds r ON r.merchant_id = k.merchant_id AND r.payment_id = k.id
        """,
        *_keys(keys),
    )
    return [refunds.decode(row) for row in rows]


def update_refunds(notes: Notebook, changed: Sequence[Refund]) -> None:
    """Write what can change of refunds; their payments' rows are locked."""
    if changed:
        _update(notes, _MOVE_REFUNDS, _refund_moves(changed))


# Pages ---------------------------------------------------------------------------------------


async def select_payment_page(
    tx: Tx, merchant_id: int, page: Page, *, customer_id: str | None
) -> Rows[Payment]:
    """Read a page of payments."""
    if customer_id is not None:
        return await select_page(
            tx,
            "SELECT row_to_json(p)::text AS row FROM payments.payments p",
            " AND customer_id = $7",
            (merchant_id, "pi", customer_id),
            page,
            lambda row: _payment.decode(row["row"]),
        )
    return await select_page(
        tx,
        "SELECT row_to_json(p)::text AS row FROM payments.payments p",
        "",
        (merchant_id, "pi"),
        page,
        lambda row: _payment.decode(row["row"]),
    )


async def select_attempt_page(
    tx: Tx,
    merchant_id: int,
    page: Page,
    *,
    statuses: Sequence[str],
    payment_id: str | None,
    customer_id: str | None,
) -> Rows[Attempt]:
    """Read a page of attempts in one of these states, or that had reserved money and let it go.

    A payment or a customer narrows them down to few; each stands bare in its statement, so that
    its index is used whatever was asked before.
    """
    filters: LiteralString = (
        " AND (status = ANY($7::text[]) OR status = 'closed' AND amount_authorised > 0)"
    )
    values: list[object] = [list(statuses)]
    if payment_id is not None:
        values.append(payment_id)
        filters += " AND payment_id = $8"
    if customer_id is not None:
        values.append(customer_id)
        filters += _OF_CUSTOMER_TOO if payment_id is not None else _OF_CUSTOMER
    return await select_page(
        tx,
        "SELECT row_to_json(a)::text AS row FROM payments.attempts a",
        filters,
        (merchant_id, "att", *values),
        page,
        attempts.decode,
    )


_OF_CUSTOMER: LiteralString = (
    " AND payment_id = ANY(ARRAY(SELECT p.id FROM payments.payments p"
    " WHERE p.merchant_id = $1 AND p.customer_id = $8))"
)
_OF_CUSTOMER_TOO: LiteralString = (
    " AND EXISTS (SELECT FROM payments.payments p"
    " WHERE p.merchant_id = $1 AND p.id = $8 AND p.customer_id = $9)"
)


async def select_refund_page(
    tx: Tx, merchant_id: int, page: Page, *, payment_id: str | None, attempt_id: str | None
) -> Rows[Refund]:
    """Read a page of refunds; those of an attempt stand with its payment's."""
    filters: LiteralString = ""
    values: list[object] = []
    if payment_id is not None:
        values.append(payment_id)
        filters += " AND payment_id = $7"
    if attempt_id is not None:
        values.append(attempt_id)
        filters += _OF_ATTEMPT_TOO if payment_id is not None else _OF_ATTEMPT
    return await select_page(
        tx,
        "SELECT row_to_json(r)::text AS row FROM payments.refunds r",
        filters,
        (merchant_id, "re", *values),
        page,
        refunds.decode,
    )


_OF_ATTEMPT_TOO: LiteralString = " AND attempt_id = $8"
_OF_ATTEMPT: LiteralString = (
    " AND attempt_id = $7 AND payment_id = (SELECT a.payment_id FROM payments.attempts a"
    " WHERE a.merchant_id = $1 AND a.id = $7)"
)
