"""Keyset pages: one way for every list.

The statement's parameters are fixed: $1 merchant, $2 and $3 the exclusive bounds of the id, $4 and
$5 the range of `created_at`, $6 the limit, $7 and on the list's own filters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import LiteralString, TypeVar

import asyncpg

from tillgate.kernel.paging import Page, Rows
from tillgate.runtime.db import Tx

Value = TypeVar("Value")

_WHERE: LiteralString = (
    " WHERE merchant_id = $1 AND id > $2 AND id < $3 AND created_at >= $4 AND created_at < $5"
)


async def select_page(
    tx: Tx,
    select: LiteralString,
    filters: LiteralString,
    values: tuple[int, str, *tuple[object, ...]],
    page: Page,
    read: Callable[[asyncpg.Record], Value],
) -> Rows[Value]:
    """Return a page of `select` (up to its FROM). `values`: merchant, id prefix, filters from $7."""
    merchant_id, prefix, *rest = values
    low, high = page.bounds(prefix)
    order: LiteralString = " ORDER BY id DESC LIMIT $6"
    if page.before is not None:
        order = " ORDER BY id LIMIT $6"
    rows = await tx.all(
        select + _WHERE + filters + order,
        merchant_id,
        low,
        high,
        page.created_from,
        page.created_to,
        page.limit + 1,
        *rest,
    )
    has_more = len(rows) > page.limit
    data = [read(row) for row in rows[: page.limit]]
    if page.before is not None:
        data.reverse()
    return Rows(data, has_more)
