"""The outbox: facts written in the transaction that made them true, relayed afterwards.

`runtime.facts` is the outbox and the log of what happened in one. Publishing is a command like
any other; relaying is the worker's (`entry.subscriptions` says who hears what).
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from tillgate.kernel.facts import Fact
from tillgate.runtime.db import Tx


async def publish(tx: Tx, facts: Sequence[Fact]) -> None:
    """Write facts; they become visible with everything else of the transaction."""
    if not facts:
        return
    await tx.run(
        """
        INSERT INTO runtime.facts (merchant_id, id, name, object_id, sequence, data, previous, at,
            request_id, idempotency_key)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[],
            $6::bytea[], $7::bytea[], $8::timestamptz[], $9::text[], $10::text[])
        """,
        [fact.merchant_id for fact in facts],
        [fact.id for fact in facts],
        [fact.name for fact in facts],
        [fact.object_id for fact in facts],
        [fact.sequence for fact in facts],
        [fact.data for fact in facts],
        [fact.previous for fact in facts],
        [fact.at for fact in facts],
        [fact.request_id for fact in facts],
        [fact.idempotency_key for fact in facts],
    )


async def merchants_waiting(tx: Tx) -> list[int]:
    """Return the merchants that have facts to be relayed."""
    rows = await tx.all(
        """
        WITH RECURSIVE m AS (
            (SELECT merchant_id FROM runtime.facts WHERE NOT relayed ORDER BY merchant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT f.merchant_id FROM runtime.facts f
                WHERE NOT f.relayed AND f.merchant_id > m.merchant_id
                ORDER BY f.merchant_id LIMIT 1)
            FROM m WHERE m.merchant_id IS NOT NULL
        )
        SELECT merchant_id FROM m WHERE merchant_id IS NOT NULL
        """
    )
    return [row["merchant_id"] for row in rows]


async def claim(tx: Tx, merchant_id: int, limit: int) -> list[Fact]:
    """Lock up to `limit` facts of one merchant that nobody else is relaying, oldest first."""
    rows = await tx.all(
        "SELECT * FROM runtime.facts WHERE merchant_id = $1 AND NOT relayed"
        " ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED",
        merchant_id,
        limit,
    )
    return [read_fact(row) for row in rows]


async def mark_relayed(tx: Tx, merchant_id: int, fact_ids: Sequence[str]) -> None:
    """These facts have been heard by all subscribers."""
    await tx.run(
        "UPDATE runtime.facts SET relayed = true WHERE merchant_id = $1 AND id = ANY($2::text[])",
        merchant_id,
        list(fact_ids),
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
