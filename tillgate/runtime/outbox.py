"""The outbox: facts written in the transaction that made them true, relayed afterwards.

`runtime.facts` is the log of what happened, written once; `runtime.unrelayed` names those of them
that are still to be relayed: a row for what a transaction said for a merchant, or for 24 facts of
it. Publishing is a command like any other; relaying is the worker's (`entry.subscriptions` says who
hears what).
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from tillgate.kernel.facts import Fact, Headline
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook

_FACTS = """
    INSERT INTO runtime.facts (merchant_id, id, name, object_id, sequence, data, previous,
        at, request_id, idempotency_key)
    SELECT * FROM unnest($1::runtime.fact_row[])
    """
# Twenty-four names and ids stay well below the size at which a row is compressed and moved away.
_UNRELAYED = """
    INSERT INTO runtime.unrelayed (merchant_id, id, ids, names, at)
    SELECT merchant_id, min(id), array_agg(id), array_agg(name), min(at)
    FROM unnest($1::runtime.fact_row[]) WITH ORDINALITY GROUP BY merchant_id, (ordinality - 1) / 24
    """


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
    notes.rows_later(rows, _FACTS, _UNRELAYED)


async def merchants_waiting(tx: Tx) -> list[int]:
    """Return the merchants that have facts to be relayed."""
    rows = await tx.all(
        """
        WITH RECURSIVE m AS (
            (SELECT merchant_id FROM runtime.unrelayed ORDER BY merchant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT o.merchant_id FROM runtime.unrelayed o
                WHERE o.merchant_id > m.merchant_id ORDER BY o.merchant_id LIMIT 1)
            FROM m WHERE m.merchant_id IS NOT NULL
        )
        SELECT merchant_id FROM m WHERE merchant_id IS NOT NULL
        """
    )
    return [row["merchant_id"] for row in rows]


async def claim(tx: Tx, merchant_id: int, limit: int) -> list[Headline]:
    """Take facts of one merchant that nobody else is taking, oldest first.

    They are `limit`, or some more where the last row has more; rows after that one are not read,
    and so not locked. They count as relayed when this transaction commits. (`id > ''` is true of
    all; it has PostgreSQL go by the key, row by row, and not sort first all that wait.)
    """
    rows = await tx.all(
        """
        WITH due AS MATERIALIZED (
            SELECT o.id FROM (
                SELECT id, ids FROM runtime.unrelayed WHERE merchant_id = $1 AND id > ''
                ORDER BY id FOR UPDATE SKIP LOCKED
            ) o CROSS JOIN LATERAL unnest(o.ids) LIMIT $2
        )
        DELETE FROM runtime.unrelayed
        WHERE merchant_id = $1 AND id = ANY (ARRAY(SELECT DISTINCT id FROM due))
        RETURNING ids, names
        """,
        merchant_id,
        limit,
    )
    return _headlines(merchant_id, rows)


async def take_apart(tx: Tx, merchant_id: int, limit: int) -> list[str]:
    """Give each of the facts that would be claimed a row of its own; return them, oldest first."""
    fact_ids = [headline.id for headline in await claim(tx, merchant_id, limit)]
    await tx.run(
        """
        INSERT INTO runtime.unrelayed (merchant_id, id, ids, names, at)
        SELECT merchant_id, id, ARRAY[id], ARRAY[name], at FROM runtime.facts
        WHERE merchant_id = $1 AND id = ANY ($2::text[])
        """,
        merchant_id,
        fact_ids,
    )
    return fact_ids


async def claim_these(tx: Tx, merchant_id: int, fact_ids: Sequence[str]) -> list[Headline]:
    """Take those of these facts, each with a row of its own, that nobody else is taking or took."""
    rows = await tx.all(
        """
        WITH due AS MATERIALIZED (
            SELECT id FROM runtime.unrelayed
            WHERE merchant_id = $1 AND id = ANY ($2::text[]) AND cardinality(ids) = 1
            ORDER BY id FOR UPDATE SKIP LOCKED
        )
        DELETE FROM runtime.unrelayed
        WHERE merchant_id = $1 AND id = ANY (ARRAY(SELECT id FROM due))
        RETURNING ids, names
        """,
        merchant_id,
        list(fact_ids),
    )
    return _headlines(merchant_id, rows)


async def drop(tx: Tx, merchant_id: int, fact_id: str) -> bool:
    """Take out one fact that has a row of its own, to be kept elsewhere; False: it was heard."""
    dropped = await tx.run(
        "DELETE FROM runtime.unrelayed WHERE merchant_id = $1 AND id = $2 AND cardinality(ids) = 1",
        merchant_id,
        fact_id,
    )
    return dropped > 0


def _headlines(merchant_id: int, rows: Sequence[asyncpg.Record]) -> list[Headline]:
    """Return the facts of rows that came in any order, oldest first."""
    pairs = [pair for ids, names in rows for pair in zip(ids, names, strict=True)]
    pairs.sort()
    return [Headline(merchant_id, fact_id, name) for fact_id, name in pairs]


# What the code before still writes, a row for each fact. It goes with runtime.outbox.


async def merchants_of_before(tx: Tx) -> list[int]:
    """Return merchants that have facts in the table of before."""
    rows = await tx.all(
        "SELECT DISTINCT merchant_id FROM"
        " (SELECT merchant_id FROM runtime.outbox ORDER BY merchant_id, id LIMIT 1000) o"
    )
    return [row["merchant_id"] for row in rows]


async def move_over(tx: Tx, merchant_id: int, limit: int) -> int:
    """Move facts of one merchant from the table of before; return how many."""
    moved = await tx.value(
        """
        WITH due AS MATERIALIZED (
            SELECT id FROM runtime.outbox WHERE merchant_id = $1
            ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
        ), taken AS (
            DELETE FROM runtime.outbox
            WHERE merchant_id = $1 AND id = ANY (ARRAY(SELECT id FROM due))
            RETURNING merchant_id, id, at
        ), moved AS (
            INSERT INTO runtime.unrelayed (merchant_id, id, ids, names, at)
            SELECT t.merchant_id, t.id, ARRAY[t.id], ARRAY[f.name], t.at
            FROM taken t JOIN runtime.facts f ON f.merchant_id = t.merchant_id AND f.id = t.id
            RETURNING 1
        )
        SELECT count(*) FROM moved
        """,
        merchant_id,
        limit,
    )
    return int(moved)
