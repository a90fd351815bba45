"""SQL of `payments.breaks`: where a provider's word and ours differ, until a person has looked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tillgate.runtime.writes import Notebook


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """Where a provider's word and ours differ."""

    merchant_id: int
    id: str
    kind: str
    attempt_id: str | None = None
    refund_id: str | None = None
    ours: dict[str, object]
    theirs: dict[str, object]
    created_at: datetime
    resolved_at: datetime | None = None
    resolution: str | None = None


def insert_breaks(notes: Notebook, breaks: Sequence[Break]) -> None:
    """Open breaks; one of a kind per attempt or refund stays open at a time."""
    if breaks:
        notes.later(
            "INSERT INTO payments.breaks SELECT * FROM"
            " jsonb_populate_recordset(NULL::payments.breaks, $1::jsonb) ON CONFLICT DO NOTHING",
            msgspec.json.encode(breaks).decode(),
        )
