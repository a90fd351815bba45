"""The inbox: notices of providers as they came in, with what became of them.

A notice is stored in the transaction that gives it its effect, as `applied`; where that fails or
takes long, it is stored by itself, as `received`, and applied later by the same door. The two may
be under way at the same time and end in either order: one row is left, and an effect is never taken
for none. A notice nobody could apply stays here with its bytes, and can be replayed, until `prune`:
what it led to (facts, journals) stays for good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec

from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook


class RawNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as it came in: header names lower-case, body untouched."""

    merchant_id: int
    id: str
    provider_account_id: str
    headers: dict[str, str]
    body: bytes
    received_at: datetime
    status: str = "received"
    tries: int = 0
    note: str | None = None


_KEPT = ("wechatpay-", "stripe-", "content-type", "user-agent", "request-id")


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers worth keeping: what a signature is over, and who sent it."""
    return {name: value for name, value in headers.items() if name.startswith(_KEPT)}


def insert(notes: Notebook, notices: Sequence[RawNotice], *, apply_by: timedelta) -> None:
    """Store notices raw; the worker takes up what has not been applied after `apply_by`.

    One that has been applied meanwhile stays as it is.
    """
    notes.later(
        """
        INSERT INTO runtime.notices (merchant_id, id, provider_account_id, headers, body,
            received_at, status, note, next_at)
        SELECT n.*, n.received_at + $2::interval FROM unnest($1::runtime.notice_row[]) n
        ON CONFLICT (merchant_id, id) DO NOTHING
        """,
        _rows(notices, "received"),
        apply_by,
    )


def insert_applied(
    notes: Notebook, notices: Sequence[RawNotice], *, at: datetime, note: str | None = None
) -> None:
    """These notices have their effect in this transaction, whether they were stored before or not."""
    if notices:
        notes.later(
            """
            INSERT INTO runtime.notices AS n (merchant_id, id, provider_account_id, headers, body,
                received_at, status, note, applied_at)
            SELECT u.*, $2 FROM unnest($1::runtime.notice_row[]) u
            ON CONFLICT (merchant_id, id) DO UPDATE SET status = excluded.status,
                note = excluded.note, applied_at = excluded.applied_at, next_at = NULL
            """,
            _rows(notices, "applied", note),
            at,
        )


def _rows(
    notices: Sequence[RawNotice], status: str, note: str | None = None
) -> list[tuple[object, ...]]:
    """Each once, in order of keys, as all do who write several."""
    by_key = {(notice.merchant_id, notice.id): notice for notice in notices}
    return [
        (
            n.merchant_id, n.id, n.provider_account_id, msgspec.json.encode(n.headers).decode(),
            n.body, n.received_at, status, note,
        )
        for _, n in sorted(by_key.items())
    ]  # fmt: skip


async def put_off(
    tx: Tx, merchant_id: int, notice_id: str, *, until: datetime | None, note: str
) -> None:
    """Applying it failed: try again at `until`, or never again and let a person look.

    Not where it has been applied all the same: by another process, or by a commit whose answer was
    lost.
    """
    await tx.run(
        "UPDATE runtime.notices SET tries = tries + 1, next_at = $3, note = $4,"
        " status = CASE WHEN $3::timestamptz IS NULL THEN 'failed' ELSE status END"
        " WHERE merchant_id = $1 AND id = $2 AND status <> 'applied'",
        merchant_id,
        notice_id,
        until,
        note,
    )


async def due(tx: Tx, now: datetime, limit: int) -> list[RawNotice]:
    """Return stored notices that should have been applied by now, the longest due first."""
    rows = await tx.all(
        "SELECT * FROM runtime.notices WHERE next_at <= $1 ORDER BY next_at LIMIT $2", now, limit
    )
    return [_notice(row) for row in rows]


async def put_back(tx: Tx, notice_id: str, *, at: datetime) -> int:
    """Let a notice be applied again, whatever became of it; return how many there were."""
    return await tx.run(
        "UPDATE runtime.notices SET status = 'received', next_at = $2, tries = 0, note = 'replayed'"
        " WHERE id = $1",
        notice_id,
        at,
    )


async def prune(tx: Tx, before: datetime, limit: int = 10_000) -> int:
    """Delete notices received before a moment with which nothing is to be done any more."""
    return await tx.run(
        """
        DELETE FROM runtime.notices n USING (
            SELECT merchant_id, id FROM runtime.notices
            WHERE received_at < $1 AND next_at IS NULL LIMIT $2) old
        WHERE n.merchant_id = old.merchant_id AND n.id = old.id AND n.next_at IS NULL
        """,
        before,
        limit,
    )


async def one(tx: Tx, merchant_id: int, notice_id: str) -> RawNotice | None:
    """Read one notice."""
    row = await tx.maybe(
        "SELECT * FROM runtime.notices WHERE merchant_id = $1 AND id = $2", merchant_id, notice_id
    )
    return None if row is None else _notice(row)


def _notice(row: asyncpg.Record) -> RawNotice:
    return RawNotice(
        merchant_id=row["merchant_id"],
        id=row["id"],
        provider_account_id=row["provider_account_id"],
        headers=msgspec.json.decode(row["headers"], type=dict[str, str]),
        body=row["body"],
        received_at=row["received_at"],
        status=row["status"],
        tries=row["tries"],
        note=row["note"],
    )
