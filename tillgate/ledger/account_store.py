"""SQL of lists of accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tillgate.ledger import store
from tillgate.ledger.model import Account, AccountsWanted
from tillgate.runtime.db import Tx

#: Up to here accounts are found by code and put in order; beyond, the way goes by number.
_FEW: Final = 1_000
_MAX_NUMBER: Final = 2**62


async def select_account_page(tx: Tx, merchant_id: int, wanted: AccountsWanted) -> list[Account]:
    """Read a page of accounts, newest first.

    Few accounts with the wanted beginning of their codes are found by their codes. Many are soon
    met on the way through all, by number.
    """
    if wanted.prefix:
        numbers = await _select_by_code(tx, merchant_id, wanted.prefix, _FEW + 1)
        if len(numbers) <= _FEW:
            return await _page_of(tx, merchant_id, numbers, wanted)
    return await _accounts(tx, merchant_id, await _select_by_number(tx, merchant_id, wanted))


async def _page_of(
    tx: Tx, merchant_id: int, numbers: Sequence[int], wanted: AccountsWanted
) -> list[Account]:
    low = wanted.before or 0
    high = _MAX_NUMBER if wanted.after is None else wanted.after
    found = await _accounts(tx, merchant_id, [one for one in numbers if low < one < high])
    fitting = [one for one in found if wanted.currency in {None, one.currency}]
    return fitting[: wanted.limit] if wanted.before is None else fitting[-wanted.limit :]


async def _accounts(tx: Tx, merchant_id: int, numbers: Sequence[int]) -> list[Account]:
    found = await store.select_accounts(tx, [(merchant_id, number) for number in numbers])
    return sorted(found, key=lambda one: one.number, reverse=True)


async def _select_by_code(tx: Tx, merchant_id: int, prefix: str, limit: int) -> list[int]:
    # The bounds are hidden from the planner: it would plan anew each time for what it saw in them.
    rows = await tx.all(
        """
        SELECT number FROM ledger.accounts WHERE merchant_id = $1
            AND code COLLATE "C" >= (SELECT $2::text) AND code COLLATE "C" < (SELECT $3::text)
        ORDER BY code COLLATE "C" LIMIT (SELECT $4::bigint)
        """,
        merchant_id,
        prefix,
        prefix + "\U0010ffff",
        limit,
    )
    return [row["number"] for row in rows]


async def _select_by_number(tx: Tx, merchant_id: int, wanted: AccountsWanted) -> list[int]:
    rows = await tx.all(
        _BY_NUMBER_AFTER if wanted.before is None else _BY_NUMBER_BEFORE,
        merchant_id,
        wanted.before or 0,
        _MAX_NUMBER if wanted.after is None else wanted.after,
        wanted.prefix,
        wanted.currency,
        wanted.limit,
    )
    return [row["number"] for row in rows]


_BY_NUMBER = (
    "SELECT number FROM ledger.accounts WHERE merchant_id = $1 AND number > $2 AND number < $3"
    " AND starts_with(code, $4) AND ($5::text IS NULL OR currency = $5)"
)
_BY_NUMBER_AFTER = _BY_NUMBER + " ORDER BY number DESC LIMIT $6"
_BY_NUMBER_BEFORE = _BY_NUMBER + " ORDER BY number LIMIT $6"
