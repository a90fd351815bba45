"""SQL of `payments.breaks`: where a provider's word and ours differ, until a person has looked."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tillgate.payments.model import Break
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook

_decoder = msgspec.json.Decoder(Break)


def insert_breaks(notes: Notebook, breaks: Sequence[Break]) -> None:
    """Open breaks; one of a kind per attempt or refund stays open at a time."""
    if breaks:
        notes.later(
            "INSERT INTO payments.breaks SELECT * FROM"
            " jsonb_populate_recordset(NULL::payments.breaks, $1::jsonb) ON CONFLICT DO NOTHING",
            msgspec.json.encode(breaks).decode(),
        )


async def select_breaks(tx: Tx, *, with_resolved: bool, limit: int) -> list[Break]:
    """Read breaks of all merchants, newest first, as the operator lists them."""
    rows = await tx.all(
        "SELECT row_to_json(b)::text AS row FROM payments.breaks b"
        " WHERE $1 OR resolved_at IS NULL ORDER BY id DESC LIMIT $2",
        with_resolved,
        limit,
    )
    return [_decoder.decode(row["row"]) for row in rows]


async def select_kinds(tx: Tx, merchant_id: int, attempt_id: str, refund_id: str) -> frozenset[str]:
    """Return the kinds of all breaks about this refund of the attempt, resolved or not."""
    rows = await tx.all(
        "SELECT kind FROM payments.breaks"
        " WHERE merchant_id = $1 AND attempt_id = $2 AND refund_id = $3",
        merchant_id,
        attempt_id,
        refund_id,
    )
    return frozenset(row["kind"] for row in rows)


async def find_merchant(tx: Tx, name: str) -> int | None:
    """Return whose break is called so: for the operator, who only knows its id."""
    return await tx.value("SELECT merchant_id FROM payments.breaks WHERE id = $1", name)


async def lock_break(tx: Tx, merchant_id: int, break_id: str) -> Break | None:
    """Read a break and hold its row."""
    row = await tx.value(
        "SELECT row_to_json(b)::text FROM (SELECT * FROM payments.breaks"
        " WHERE merchant_id = $1 AND id = $2 FOR UPDATE) b",
        merchant_id,
        break_id,
    )
    return None if row is None else _decoder.decode(row)


async def update_break(tx: Tx, found: Break) -> None:
    """Write how a break was resolved."""
    await tx.run(
        "UPDATE payments.breaks SET resolved_at = $3, resolution = $4"
        " WHERE merchant_id = $1 AND id = $2",
        found.merchant_id,
        found.id,
        found.resolved_at,
        found.resolution,
    )
