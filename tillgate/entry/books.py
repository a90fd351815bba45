"""`tillgate books`: seal history, and audit it."""

from __future__ import annotations

from collections.abc import Mapping

from tillgate.ledger import flows
from tillgate.ledger.model import Report
from tillgate.runtime.db import Database


async def verify(
    db: Database,
    *,
    progress: flows.Progress | None,
    merchant_id: int | None = None,
    heads: Mapping[int, tuple[int, str]] | None = None,
) -> Report:
    """Audit one merchant's books, or all; `report.is_good` says whether they are as they must be."""
    return await flows.verify(db, progress=progress, merchant_id=merchant_id, heads=heads)
