"""SQL of the schema `topups`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from tillgate.kernel.paging import LAST_ID, Page, Rows
from tillgate.runtime.db import Tx
from tillgate.runtime.listing import select_page
from tillgate.runtime.rows import RowsOf
from tillgate.runtime.writes import Notebook
from tillgate.topups.model import TopUp

_decoder = msgspec.json.Decoder(TopUp)
_top_up_rows = RowsOf(TopUp)


def insert_top_ups(notes: Notebook, top_ups: Sequence[TopUp]) -> None:
    """Write new top-ups."""
    if top_ups:
        notes.later(
            "INSERT INTO topups.top_ups SELECT * FROM unnest($1::topups.top_up_row[])",
            _top_up_rows(top_ups),
        )


async def select_top_up(tx: Tx, merchant_id: int, top_up_id: str) -> TopUp | None:
    """Read one top-up."""
    row = await tx.value(
        "SELECT row_to_json(t)::text FROM topups.top_ups t WHERE merchant_id = $1 AND id = $2",
        merchant_id,
        top_up_id,
    )
    return None if row is None else _decoder.decode(row)


async def select_top_ups_of_wallet(
    tx: Tx, merchant_id: int, wallet_id: str, *, before: str | None, limit: int
) -> list[TopUp]:
    """Read a wallet's top-ups, newest first."""
    rows = await tx.all(
        "SELECT row_to_json(t)::text AS row FROM topups.top_ups t"
        " WHERE merchant_id = $1 AND wallet_id = $2 AND id < $3"
        " ORDER BY id DESC LIMIT $4",
        merchant_id,
        wallet_id,
        LAST_ID if before is None else before,
        limit,
    )
    return [_decoder.decode(row["row"]) for row in rows]


async def select_top_up_page(
    tx: Tx, merchant_id: int, page: Page, *, wallet_id: str | None
) -> Rows[TopUp]:
    """Read a page of top-ups, of one wallet if it is named."""
    return await select_page(
        tx,
        "SELECT row_to_json(t)::text AS row FROM topups.top_ups t",
        "" if wallet_id is None else " AND wallet_id = $7",
        (merchant_id, "top", *([] if wallet_id is None else [wallet_id])),
        page,
        lambda row: _decoder.decode(row["row"]),
    )


async def select_top_ups(tx: Tx, keys: Collection[tuple[int, str]]) -> list[TopUp]:
    """Read top-ups."""
    rows = await tx.all(
        """
        SELECT row_to_json(t)::text AS row FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)
        JOIN topups.top_ups t ON t.merchant_id = k.merchant_id AND t.id = k.id
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return [_decoder.decode(row["row"]) for row in rows]
