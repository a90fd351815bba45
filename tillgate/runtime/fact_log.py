"""The log of facts: reading what happened, and the shelf for facts that a subscriber failed on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from tillgate.kernel.facts import Fact
from tillgate.kernel.paging import Page, Rows
from tillgate.runtime.db import Tx


@dataclass(frozen=True, slots=True)
class ParkedFact:
    """A fact that waits to be heard again."""

    merchant_id: int
    fact_id: str
    tries: int
    next_at: datetime
    note: str


#: As a `Fact` has them.
_FACT = (
    "SELECT merchant_id, id, name, object_id, sequence, data, at, request_id, idempotency_key,"
    " previous FROM runtime.facts"
)
_EACH_ID = "SELECT f.* FROM unnest($2::text[]) k(key) CROSS JOIN LATERAL ("
_ITS_FACT = " WHERE merchant_id = $1 AND id BETWEEN key AND key ORDER BY id LIMIT 1) f"
_BY_ID = _EACH_ID + _FACT + _ITS_FACT


async def select_facts(tx: Tx, merchant_id: int, fact_ids: Sequence[str]) -> dict[str, Fact]:
    """Read facts of one merchant by id.

    BETWEEN and ORDER BY leave no index to choose but the key's: the plan may be made while there is
    no fact yet, and then any index that begins with the merchant looks as good.
    """
    rows = await tx.all(_BY_ID, merchant_id, list(fact_ids))
    return {row["id"]: Fact(*row) for row in rows}


async def numbers_said(
    tx: Tx, numbers: Collection[tuple[int, str, int]]
) -> set[tuple[int, str, int]]:
    """Return those of these numbers (merchant, object, sequence) that a fact bears already.

    BETWEEN, ORDER BY and LIMIT leave no index to choose but the objects', as in `select_facts`.
    """
    rows = await tx.all(
        """
        SELECT f.* FROM unnest($1::bigint[], $2::text[], $3::bigint[]) k(merchant_id, object_id, number)
        CROSS JOIN LATERAL (SELECT x.merchant_id, x.object_id, x.sequence FROM runtime.facts x
            WHERE x.merchant_id = k.merchant_id AND x.object_id BETWEEN k.object_id AND k.object_id
                AND x.sequence = k.number
            ORDER BY x.object_id, x.sequence LIMIT 1) f
        """,
        *([one[place] for one in numbers] for place in range(3)),
    )
    return {(row["merchant_id"], row["object_id"], row["sequence"]) for row in rows}


async def merchant_of(tx: Tx, fact_id: str) -> int | None:
    """Return whose fact this is: for the operator's commands, who only know the id."""
    return await tx.value("SELECT merchant_id FROM runtime.facts WHERE id = $1", fact_id)


async def select_page(
    tx: Tx,
    merchant_id: int,
    page: Page,
    *,
    names: Sequence[str],
    object_id: str | None = None,
    nearly_all: bool = False,
) -> Rows[Fact]:
    """Return a page of one merchant's facts with these names, newest first.

    Each name is read in its own order by index, so that a rare one is not searched among all;
    unless `nearly_all` facts have one of these names.
    """
    low, high = page.bounds("evt")
    values: list[object] = [
        merchant_id, low, high, page.created_from, page.created_to, page.limit + 1, list(names)
    ]  # fmt: skip
    forwards = page.before is not None
    if object_id is not None:
        sql = _OF_OBJECT_BEFORE if forwards else _OF_OBJECT_AFTER
        values.append(object_id)
    elif nearly_all:
        sql = _AMONG_ALL_BEFORE if forwards else _AMONG_ALL_AFTER
    else:
        sql = _NAMED_BEFORE if forwards else _NAMED_AFTER
    rows = await tx.all(sql, *values)
    data = [Fact(*row) for row in rows[: page.limit]]
    if forwards:
        data.reverse()
    return Rows(data, len(rows) > page.limit)


_ALL = _FACT + " WHERE merchant_id = $1 AND id > $2 AND id < $3 AND at >= $4 AND at < $5"
_AMONG_ALL = _ALL + " AND name = ANY($7::text[])"
_AMONG_ALL_AFTER = _AMONG_ALL + " ORDER BY id DESC LIMIT $6"
_AMONG_ALL_BEFORE = _AMONG_ALL + " ORDER BY id LIMIT $6"
_OF_OBJECT = _AMONG_ALL + " AND object_id = $8"
_OF_OBJECT_AFTER = _OF_OBJECT + " ORDER BY id DESC LIMIT $6"
_OF_OBJECT_BEFORE = _OF_OBJECT + " ORDER BY id LIMIT $6"
_EACH_NAME = "SELECT f.* FROM (SELECT DISTINCT unnest($7::text[]) AS name) n CROSS JOIN LATERAL ("
_NAMED = _EACH_NAME + _ALL + " AND name = n.name ORDER BY name"
_NAMED_AFTER = _NAMED + " DESC, id DESC LIMIT $6) f ORDER BY f.id DESC LIMIT $6"
_NAMED_BEFORE = _NAMED + ", id LIMIT $6) f ORDER BY f.id LIMIT $6"


async def park(tx: Tx, parked: ParkedFact, *, at: datetime) -> None:
    """Put a fact aside."""
    await tx.run(
        """
        INSERT INTO runtime.parked_facts (merchant_id, fact_id, tries, next_at, note, parked_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        parked.merchant_id,
        parked.fact_id,
        parked.tries,
        parked.next_at,
        parked.note,
        at,
    )


async def put_off(tx: Tx, parked: ParkedFact) -> None:
    """Put a parked fact off again, unless it has been heard."""
    await tx.run(
        "UPDATE runtime.parked_facts SET tries = $3, next_at = $4, note = $5"
        " WHERE merchant_id = $1 AND fact_id = $2",
        parked.merchant_id,
        parked.fact_id,
        parked.tries,
        parked.next_at,
        parked.note,
    )


async def select_parked_due(tx: Tx, at: datetime, limit: int) -> list[ParkedFact]:
    """Return parked facts to be tried again, the longest due first."""
    rows = await tx.all(
        "SELECT * FROM runtime.parked_facts WHERE next_at <= $1 ORDER BY next_at LIMIT $2",
        at,
        limit,
    )
    return [
        ParkedFact(row["merchant_id"], row["fact_id"], row["tries"], row["next_at"], row["note"])
        for row in rows
    ]


async def claim_parked(tx: Tx, merchant_id: int, fact_id: str) -> bool:
    """Lock one parked fact; False where somebody else has it or it has been heard."""
    found = await tx.value(
        "SELECT true FROM runtime.parked_facts WHERE merchant_id = $1 AND fact_id = $2"
        " FOR UPDATE SKIP LOCKED",
        merchant_id,
        fact_id,
    )
    return bool(found)


async def unpark(tx: Tx, merchant_id: int, fact_id: str) -> None:
    """It has been heard."""
    await tx.run(
        "DELETE FROM runtime.parked_facts WHERE merchant_id = $1 AND fact_id = $2",
        merchant_id,
        fact_id,
    )
