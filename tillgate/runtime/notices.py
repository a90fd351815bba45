"""The inbox: raw notices of providers, stored before anything is made of them.

A notice is stored and answered at once, and applied afterwards by the same door as an answer. A
notice nobody could apply stays here with its bytes, and can be replayed, until `prune`: what it led
to (facts, journals) stays for good.
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
    """Store notices; the worker takes up what has not been applied after `apply_by`."""
    notes.later(
        """
        INSERT INTO runtime.notices (merchant_id, id, provider_account_id, headers, body,
            received_at, status, note, next_at)
        SELECT n.*, CASE WHEN n.status = 'received' THEN n.received_at + $2::interval END
        FROM unnest($1::runtime.notice_row[]) n
        """,
        [
            (
                n.merchant_id, n.id, n.provider_account_id, msgspec.json.encode(n.headers).decode(),
                n.body, n.received_at, n.status, n.note,
            )
            for n in notices
        ],
        apply_by,
    )  # fmt: skip


def mark_applied(
    notes: Notebook,
    keys: Sequence[tuple[int, str | None]],
    *,
    at: datetime,
    note: str | None = None,
) -> None:
    """These notices have had their effect."""
    keys = sorted(keys, key=lambda key: (key[0], key[1] or ""))
    if keys:
        notes.later(
            """
            UPDATE runtime.notices n SET status = 'applied', applied_at = $3, next_at = NULL,
                note = $4
            FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)
            WHERE n.merchant_id = k.merchant_id AND n.id = k.id
            """,
            [key[0] for key in keys],
            [key[1] for key in keys],
            at,
            note,
        )


async def put_off(
    tx: Tx, merchant_id: int, notice_id: str, *, until: datetime | None, note: str
) -> None:
    """Applying it failed: try again at `until`, or never again and let a person look."""
    await tx.run(
        "UPDATE runtime.notices SET tries = tries + 1, next_at = $3, note = $4,"
        " status = CASE WHEN $3::timestamptz IS NULL THEN 'failed' ELSE status END"
        " WHERE merchant_id = $1 AND id = $2",
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
