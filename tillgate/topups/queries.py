"""Read-only questions about top-ups."""

from __future__ import annotations

from tillgate.kernel.paging import Page, Rows
from tillgate.payments import queries as payments
from tillgate.runtime.db import Tx
from tillgate.topups import store
from tillgate.topups.errors import TopUpNotFound
from tillgate.topups.model import TopUpView


async def top_up(tx: Tx, merchant_id: int, top_up_id: str) -> TopUpView:
    """Return one top-up with its payment."""
    found = await store.select_top_up(tx, merchant_id, top_up_id)
    if found is None:
        raise TopUpNotFound(top_up_id)
    return TopUpView(found, await payments.payment(tx, merchant_id, found.payment_id))


async def is_top_up(tx: Tx, merchant_id: int, top_up_id: str, *, wallet_id: str | None) -> bool:
    """Whether there is such a top-up, of this wallet if one is named."""
    found = await store.select_top_up(tx, merchant_id, top_up_id)
    return found is not None and wallet_id in {None, found.wallet_id}


async def of_wallet(
    tx: Tx, merchant_id: int, wallet_id: str, *, before: str | None = None, limit: int = 20
) -> list[TopUpView]:
    """Return a wallet's top-ups, newest first, `before` a top-up's id."""
    found = await store.select_top_ups_of_wallet(
        tx, merchant_id, wallet_id, before=before, limit=limit
    )
    paid_by = await payments.payments(tx, merchant_id, [one.payment_id for one in found])
    return [TopUpView(one, paid_by[one.payment_id]) for one in found]


async def top_up_page(
    tx: Tx, merchant_id: int, page: Page, *, wallet_id: str | None = None
) -> Rows[TopUpView]:
    """Return a page of top-ups, newest first, of one wallet if it is named."""
    found = await store.select_top_up_page(tx, merchant_id, page, wallet_id=wallet_id)
    paid_by = await payments.payments(tx, merchant_id, [one.payment_id for one in found.data])
    return Rows([TopUpView(one, paid_by[one.payment_id]) for one in found.data], found.has_more)
