"""Both sides' books against each other, to the cent; written apart from what makes the traffic."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tillgate.entry.subscriptions import CATALOGUE

DONE = {"success": "succeeded", "abnormal": "failed", "closed": "failed"}


@dataclass
class Promised:
    """What clients were told for sure, by the id of the object they were given."""

    top_ups: dict[str, str] = field(default_factory=dict)
    refunds: dict[str, str] = field(default_factory=dict)
    spends: dict[str, int] = field(default_factory=dict)
    #: Payments, and how much of each was captured.
    captures: dict[str, int] = field(default_factory=dict)
    #: Payments.
    canceled: set[str] = field(default_factory=set)


async def complaints(
    db: asyncpg.Connection,
    books: dict[str, dict[str, Any]],
    promised: Promised,
    delivered: set[str],
) -> list[str]:
    """Return whatever does not agree; `delivered` are the events that an endpoint has heard."""
    found = await _orders(db, books)
    found += await _refunds(db, books)
    found += await _balances(db, books)
    found += await _promises(db, promised)
    found += await _kept(db, promised)
    found += await _facts(db)
    found += await _deliveries(db, delivered)
    return found + await _doubles(db)


async def false_answers(db: asyncpg.Connection, again: dict[str, str | None]) -> list[str]:
    """Compare what was answered in the end, an id or a refusal by key, with what there is."""
    rows = await db.fetch(
        """
        SELECT t.metadata->>'key' AS key, t.id, p.status = 'succeeded' AS is_done
        FROM topups.top_ups t
        JOIN payments.payments p ON p.merchant_id = t.merchant_id AND p.id = t.payment_id
        UNION ALL SELECT metadata->>'key', id, status <> 'failed' FROM payments.refunds
        UNION ALL SELECT metadata->>'key', id, true FROM wallets.transactions
        UNION ALL SELECT metadata->>'key', id, true FROM payments.payments WHERE subject IS NULL
        UNION ALL SELECT metadata->>'confirmed_by', id,
            status IN ('succeeded', 'requires_capture', 'canceled') FROM payments.payments
            WHERE subject IS NULL
        UNION ALL SELECT metadata->>'key' || '-capture', id, status = 'succeeded'
            FROM payments.payments WHERE subject IS NULL
        UNION ALL SELECT metadata->>'key' || '-cancel', id, status = 'canceled'
            FROM payments.payments WHERE subject IS NULL
        -- Its time may have been up before.
        UNION ALL SELECT metadata->>'key' || '-cancel', payment_id, false FROM topups.top_ups
        UNION ALL SELECT 'listen', id, true FROM webhooks.endpoints
        """
    )
    made = {row["key"]: row for row in rows if row["key"] in again}
    stored = await db.fetch("SELECT key, status FROM runtime.idempotency WHERE status >= 500")
    return [
        *(f"key {row['key']} has {row['status']} for an answer" for row in stored),
        *(
            f"key {key} was answered with {answered}, and there is {made.get(key)}"
            for key, answered in again.items()
            if (key in made and made[key]["is_done"] and made[key]["id"] != answered)
            or (answered is not None and (key not in made or made[key]["id"] != answered))
        ),
    ]


def _took(books: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {
        order["out_trade_no"]: order["amount"]
        for provider in books.values()
        for order in provider["orders"]
        if order["state"] == "paid"
    }


async def _orders(db: asyncpg.Connection, books: dict[str, dict[str, Any]]) -> list[str]:
    took = _took(books)
    booked = {
        row["id"]: row["amount"]
        for row in await db.fetch(
            "SELECT substr(cause, 9) AS id, amount FROM ledger.lines"
            " WHERE cause LIKE 'payment:%' AND line = 0"
        )
    }
    marked = {
        row["id"]: row["amount_captured"]
        for row in await db.fetch(
            "SELECT id, amount_captured FROM payments.attempts WHERE status = 'paid'"
        )
    }
    return [
        f"{number}: the provider took {took.get(number)}, we booked {booked.get(number)}"
        f" and marked {marked.get(number)}"
        for number in sorted(took.keys() | booked.keys() | marked.keys())
        if not took.get(number) == booked.get(number) == marked.get(number)
    ]


async def _refunds(db: asyncpg.Connection, books: dict[str, dict[str, Any]]) -> list[str]:
    theirs = {
        refund["out_refund_no"]: (DONE.get(refund["state"], refund["state"]), refund["amount"])
        for provider in books.values()
        for refund in provider["refunds"]
    }
    ours = {
        row["id"]: (row["status"], row["amount"])
        for row in await db.fetch("SELECT id, status, amount FROM payments.refunds")
    }
    found = [
        f"refund {number}: the provider says {theirs.get(number)}, we say {ours.get(number)}"
        for number in sorted(theirs.keys() | ours.keys())
        if theirs.get(number) != ours.get(number)
        and not (number not in theirs and ours[number][0] == "failed")
    ]
    over = await db.fetch(
        "SELECT attempt_id, sum(amount) AS given FROM payments.refunds WHERE status <> 'failed'"
        " GROUP BY attempt_id HAVING sum(amount) > (SELECT amount_captured FROM payments.attempts a"
        " WHERE a.id = attempt_id)"
    )
    return found + [f"{row['attempt_id']} gave back {row['given']}, too much" for row in over]


async def _balances(db: asyncpg.Connection, books: dict[str, dict[str, Any]]) -> list[str]:
    hold = sum(_took(books).values()) - sum(
        refund["amount"]
        for provider in books.values()
        for refund in provider["refunds"]
        if refund["state"] == "success"
    )
    owed = await db.fetchval(
        "SELECT coalesce(-sum(balance), 0)::bigint FROM ledger.accounts"
        " WHERE code LIKE 'provider:%:receivable'"
    )
    found = [] if hold == owed else [f"providers hold {hold} for us, our books say {owed}"]
    wrong = await db.fetch(
        "SELECT code, balance FROM ledger.accounts"
        " WHERE (code LIKE 'provider:%:refunds' OR code LIKE 'suspense:%') AND balance <> 0"
    )
    found += [f"{row['code']} is left at {row['balance']}" for row in wrong]
    uneven = await db.fetch(
        "SELECT currency, sum(balance) AS rest FROM ledger.accounts GROUP BY currency"
        " HAVING sum(balance) <> 0"
    )
    return found + [f"the books are {row['rest']} {row['currency']} out" for row in uneven]


async def _facts(db: asyncpg.Connection) -> list[str]:
    """Whatever came to be is told once, and nothing else is."""
    wrong = await db.fetch(
        """
        WITH true_of AS (
            SELECT id, 'payment.created' AS name FROM payments.payments
            UNION ALL SELECT id, 'payment.succeeded' FROM payments.payments WHERE status = 'succeeded'
            UNION ALL SELECT id, 'refund.created' FROM payments.refunds
            UNION ALL SELECT id, 'refund.failed' FROM payments.refunds WHERE status = 'failed'
        ), told AS (
            SELECT object_id AS id, name, count(*) AS times FROM runtime.facts
            WHERE name IN (SELECT name FROM true_of) GROUP BY object_id, name
        )
        SELECT id, name, coalesce(times, 0) AS times, t.id IS NOT NULL AS is_true
        FROM true_of t FULL JOIN told USING (id, name)
        WHERE t.id IS NULL OR times IS DISTINCT FROM 1
        """
    )
    moved = await db.fetch(
        """
        SELECT t.id, count(f.id) AS times FROM wallets.transactions t
        LEFT JOIN runtime.facts f ON f.object_id = t.wallet_id
            AND f.name IN ('wallet.debited', 'wallet.credited')
            AND convert_from(f.data, 'UTF8')::jsonb->'transaction'->>'id' = t.id
        GROUP BY t.id HAVING count(f.id) <> 1
        """
    )
    return [
        *(f"{row['name']} of {row['id']} was told {row['times']} times" for row in wrong),
        *(f"transaction {row['id']} was told {row['times']} times" for row in moved),
    ]


async def _deliveries(db: asyncpg.Connection, delivered: set[str]) -> list[str]:
    """Whatever was told is delivered, and nothing else is."""
    told = await db.fetch(
        "SELECT id, name, at > (SELECT min(created_at) FROM webhooks.endpoints) AS is_owed"
        " FROM runtime.facts"
    )
    owed = {row["id"] for row in told if row["is_owed"] and row["name"] in CATALOGUE}
    return [
        *(f"event {each} was never delivered" for each in owed - delivered),
        *(f"event {each} is none" for each in delivered - {row["id"] for row in told}),
    ]


async def _kept(db: asyncpg.Connection, promised: Promised) -> list[str]:
    """What was captured and canceled, as it was told."""
    rows = await db.fetch(
        "SELECT p.id, p.status, a.amount_captured FROM payments.payments p"
        " LEFT JOIN payments.attempts a ON a.merchant_id = p.merchant_id AND a.payment_id = p.id"
        " AND a.status = 'paid'"
    )
    ours = {row["id"]: (row["status"], row["amount_captured"]) for row in rows}
    promises = dict.fromkeys(promised.canceled, ("canceled", None))
    promises |= {each: ("succeeded", amount) for each, amount in promised.captures.items()}
    return [
        f"payment {each} was said to be {said}, it is {ours.get(each)}"
        for each, said in promises.items()
        if ours.get(each) != said
    ]


async def _promises(db: asyncpg.Connection, promised: Promised) -> list[str]:
    top_ups = {
        row["id"]: row["status"]
        for row in await db.fetch(
            "SELECT t.id, p.status FROM topups.top_ups t JOIN payments.payments p"
            " ON p.merchant_id = t.merchant_id AND p.id = t.payment_id"
        )
    }
    refunds = {r["id"] for r in await db.fetch("SELECT id FROM payments.refunds")}
    spends = {
        r["id"]: -r["amount"]
        for r in await db.fetch("SELECT id, amount FROM wallets.transactions WHERE type = 'spend'")
    }
    found = [
        f"top-up {each} was promised and is gone" for each in promised.top_ups.keys() - top_ups
    ]
    found += [
        f"top-up {each} had succeeded and is {top_ups.get(each)}"
        for each, status in promised.top_ups.items()
        if status == "succeeded" != top_ups.get(each)
    ]
    found += [
        f"refund {each} was promised and is gone" for each in promised.refunds.keys() - refunds
    ]
    return found + [
        f"spend {each} of {amount} was promised, it is {spends.get(each)}"
        for each, amount in promised.spends.items()
        if spends.get(each) != amount
    ]


async def _doubles(db: asyncpg.Connection) -> list[str]:
    """One key, one effect: each client wrote its key into what it asked for."""
    keys: Counter[str] = Counter()
    for table in ("topups.top_ups", "payments.refunds", "wallets.transactions"):
        rows = await db.fetch(f"SELECT metadata->>'key' AS key FROM {table}")
        keys.update(row["key"] for row in rows if row["key"])
    rows = await db.fetch(
        "SELECT metadata->>'key' AS key FROM payments.payments WHERE subject IS NULL"
        " UNION ALL SELECT 'confirmation of ' || payment_id FROM payments.attempts"
        " WHERE status = 'paid'"
    )
    keys.update(row["key"] for row in rows)
    return [f"key {key} had {times} effects" for key, times in keys.items() if times > 1]
