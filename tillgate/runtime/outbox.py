"""The outbox: facts written in the transaction that made them true, relayed afterwards.

`runtime.facts` is the log of what happened, written once; `runtime.outbox` names those of them that
are still to be relayed. Publishing is a command like any other; relaying is the worker's
(`entry.subscriptions` says who hears what).
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from tillgate.kernel.facts import Fact
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook


def publish(notes: Notebook, facts: Sequence[Fact]) -> None:
    """Write facts; they become visible with everything else of the transaction."""
    if not facts:
        return
    rows = [
        (
            fact.merchant_id, fact.id, fact.name, fact.object_id, fact.sequence, fact.data,
            fact.previous, fact.at, fact.request_id, fact.idempotency_key,
        )
        for fact in facts
    ]  # fmt: skip
    notes.later(
        """
        INSERT INTO runtime.facts (merchant_id, id, name, object_id, sequence, data, previous,
            at, request_id, idempotency_key)
        SELECT * FROM unnest($1::runtime.fact_row[])
        """,
        rows,
    )
    notes.later(
        """
        INSERT INTO runtime.outbox (merchant_id, id, at)
        SELECT merchant_id, id, at FROM unnest($1::runtime.fact_row[])
        """,
        rows,
    )


async def merchants_waiting(tx: Tx) -> list[int]:
    """Return the merchants that have facts to be relayed."""
    rows = await tx.all(
        """
        WITH RECURSIVE m AS (
            (SELECT merchant_id FROM runtime.outbox ORDER BY merchant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT o.merchant_id FROM runtime.outbox o
                WHERE o.merchant_id > m.merchant_id ORDER BY o.merchant_id LIMIT 1)
            FROM m WHERE m.merchant_id IS NOT NULL
        )
        SELECT merchant_id FROM m WHERE merchant_id IS NOT NULL
        """
    )
    return [row["merchant_id"] for row in rows]


async def claim(tx: Tx, merchant_id: int, limit: int) -> list[Fact]:
    """Take up to `limit` facts of one merchant that nobody else is taking, oldest first.

    They count as relayed when this transaction commits. They are deleted by place: by id, each row
    would be compared with each id.
    """
    rows = await tx.all(
        """
        WITH due AS MATERIALIZED (
            SELECT merchant_id, id, ctid AS place FROM runtime.outbox
            WHERE merchant_id = $1 ORDER BY id LIMIT $2
            FOR UPDATE SKIP LOCKED
        ), taken AS (
            DELETE FROM runtime.outbox o
            WHERE o.merchant_id = $1 AND o.ctid = ANY (ARRAY(SELECT place FROM due))
        )
        SELECT f.* FROM due CROSS JOIN LATERAL (SELECT * FROM runtime.facts x
            WHERE x.merchant_id = due.merchant_id AND x.id = due.id OFFSET 0) f
        ORDER BY f.id
        """,
        merchant_id,
        limit,
    )
    return [read_fact(row) for row in rows]


async def drop(tx: Tx, merchant_id: int, fact_id: str) -> None:
    """Take one fact out: it is kept elsewhere."""
    await tx.run(
        "DELETE FROM runtime.outbox WHERE merchant_id = $1 AND id = $2", merchant_id, fact_id
    )


def read_fact(row: asyncpg.Record) -> Fact:
    """Return the fact of a row of `runtime.facts`."""
    return Fact(
        merchant_id=row["merchant_id"],
        id=row["id"],
        name=row["name"],
        object_id=row["object_id"],
        sequence=row["sequence"],
        data=row["data"],
        at=row["at"],
        request_id=row["request_id"],
        idempotency_key=row["idempotency_key"],
        previous=row["previous"],
    )
