"""SQL of the schema `webhooks`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import asyncpg
import msgspec

from tillgate.kernel.paging import Page, Rows
from tillgate.runtime.db import Tx
from tillgate.webhooks.model import Answer, Delivery, Endpoint, Try


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery about to be owed."""

    merchant_id: int
    id: str
    endpoint_id: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a try came to, about to be written."""

    delivery: Delivery
    answer: Answer
    status: str
    next_at: datetime | None
    try_id: str


# Endpoints -----------------------------------------------------------------------------------


async def lock_endpoints(tx: Tx, merchant_id: int) -> None:
    """Hold the merchant's list of endpoints until the transaction ends."""
    await tx.run(
        "SELECT pg_advisory_xact_lock(hashtextextended('webhooks.endpoints', $1))", merchant_id
    )


async def insert_endpoint(tx: Tx, endpoint: Endpoint) -> None:
    """Write a new endpoint."""
    await tx.run(
        """
        INSERT INTO webhooks.endpoints (merchant_id, id, url, enabled_events, status, description,
            api_version, metadata, sealed_secret, created_at)
        VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8::text::jsonb, $9, $10)
        """,
        endpoint.merchant_id,
        endpoint.id,
        endpoint.url,
        _json(list(endpoint.enabled_events)),
        endpoint.status,
        endpoint.description,
        endpoint.api_version,
        _json(dict(endpoint.metadata)),
        endpoint.sealed_secret,
        endpoint.created_at,
    )


async def select_endpoint(tx: Tx, merchant_id: int, endpoint_id: str) -> Endpoint | None:
    """Read one endpoint."""
    row = await tx.maybe(
        "SELECT * FROM webhooks.endpoints WHERE merchant_id = $1 AND id = $2",
        merchant_id,
        endpoint_id,
    )
    return None if row is None else _endpoint(row)


async def lock_endpoint(tx: Tx, merchant_id: int, endpoint_id: str) -> Endpoint | None:
    """Read one endpoint and hold its row until the transaction ends."""
    row = await tx.maybe(
        "SELECT * FROM webhooks.endpoints WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        merchant_id,
        endpoint_id,
    )
    return None if row is None else _endpoint(row)


async def find_merchant(tx: Tx, name: str) -> int | None:
    """Return whose endpoint is called so."""
    return await tx.value("SELECT merchant_id FROM webhooks.endpoints WHERE id = $1", name)


async def select_endpoints(tx: Tx, merchant_id: int) -> list[Endpoint]:
    """Read all endpoints of a merchant, newest first."""
    rows = await tx.all(
        "SELECT * FROM webhooks.endpoints WHERE merchant_id = $1 ORDER BY id DESC", merchant_id
    )
    return [_endpoint(row) for row in rows]


async def select_enabled(tx: Tx, merchant_ids: Collection[int]) -> list[Endpoint]:
    """Read the enabled endpoints of these merchants."""
    rows = await tx.all(
        "SELECT * FROM webhooks.endpoints"
        " WHERE merchant_id = ANY($1::bigint[]) AND status = 'enabled'",
        list(merchant_ids),
    )
    return [_endpoint(row) for row in rows]


async def update_endpoint(tx: Tx, endpoint: Endpoint) -> None:
    """Write all that can change of an endpoint."""
    await tx.run(
        """
        UPDATE webhooks.endpoints SET url = $3, enabled_events = $4::text::jsonb, status = $5,
            description = $6, metadata = $7::text::jsonb, sealed_secret = $8, sealed_previous = $9,
            previous_until = $10, failures = $11, paused_until = $12
        WHERE merchant_id = $1 AND id = $2
        """,
        endpoint.merchant_id,
        endpoint.id,
        endpoint.url,
        _json(list(endpoint.enabled_events)),
        endpoint.status,
        endpoint.description,
        _json(dict(endpoint.metadata)),
        endpoint.sealed_secret,
        endpoint.sealed_previous,
        endpoint.previous_until,
        endpoint.failures,
        endpoint.paused_until,
    )


async def delete_endpoint(tx: Tx, merchant_id: int, endpoint_id: str) -> None:
    """Delete an endpoint with all that is still owed to it."""
    await tx.run(
        "DELETE FROM webhooks.deliveries WHERE merchant_id = $1 AND endpoint_id = $2",
        merchant_id,
        endpoint_id,
    )
    await tx.run(
        "DELETE FROM webhooks.endpoints WHERE merchant_id = $1 AND id = $2",
        merchant_id,
        endpoint_id,
    )


# Deliveries ----------------------------------------------------------------------------------


async def insert_deliveries(tx: Tx, owed: Sequence[Owed], *, at: datetime) -> None:
    """Owe events to endpoints; what is owed already stays as it is."""
    await tx.run(
        """
        INSERT INTO webhooks.deliveries (merchant_id, id, endpoint_id, event_id, status, next_at,
            created_at, started_at)
        SELECT merchant_id, id, endpoint_id, event_id, 'pending', $5, $5, $5
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
            o(merchant_id, id, endpoint_id, event_id)
        ON CONFLICT (merchant_id, endpoint_id, event_id) DO NOTHING
        """,
        [one.merchant_id for one in owed],
        [one.id for one in owed],
        [one.endpoint_id for one in owed],
        [one.event_id for one in owed],
        at,
    )


async def insert_or_restart(tx: Tx, owed: Sequence[Owed], *, at: datetime) -> int:
    """Owe events anew, whatever became of them before; three days are counted from now."""
    return await tx.run(
        """
        INSERT INTO webhooks.deliveries (merchant_id, id, endpoint_id, event_id, status, next_at,
            created_at, started_at)
        SELECT merchant_id, id, endpoint_id, event_id, 'pending', $5, $5, $5
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
            o(merchant_id, id, endpoint_id, event_id)
        ORDER BY merchant_id, endpoint_id, event_id
        ON CONFLICT (merchant_id, endpoint_id, event_id) DO UPDATE
        SET status = 'pending', next_at = $5, started_at = $5, tries = 0, delivered_at = NULL
        """,
        [one.merchant_id for one in owed],
        [one.id for one in owed],
        [one.endpoint_id for one in owed],
        [one.event_id for one in owed],
        at,
    )


async def select_queues_due(tx: Tx, at: datetime) -> list[Endpoint]:
    """Return the enabled endpoints that are owed something now and are not resting.

    The longest due delivery of each is looked at, and no other, however many there are.
    """
    rows = await tx.all(
        """
        SELECT e.* FROM webhooks.endpoints e
        WHERE e.status = 'enabled' AND (e.paused_until IS NULL OR e.paused_until <= $1)
            AND (SELECT true FROM webhooks.deliveries d WHERE d.merchant_id = e.merchant_id
                AND d.endpoint_id = e.id AND d.next_at <= $1 ORDER BY d.next_at LIMIT 1)
        """,
        at,
    )
    return [_endpoint(row) for row in rows]


async def claim_deliveries(
    tx: Tx, endpoint: Endpoint, *, at: datetime, lease_until: datetime, limit: int
) -> list[Delivery]:
    """Take up to `limit` due deliveries of one endpoint; nobody else takes them until the lease ends."""
    rows = await tx.all(
        """
        UPDATE webhooks.deliveries d SET tries = d.tries + 1, next_at = $4
        FROM (SELECT id FROM webhooks.deliveries
            WHERE merchant_id = $1 AND endpoint_id = $2 AND next_at <= $3
            ORDER BY next_at, id LIMIT $5 FOR UPDATE SKIP LOCKED) due
        WHERE d.merchant_id = $1 AND d.id = due.id
        RETURNING d.*
        """,
        endpoint.merchant_id,
        endpoint.id,
        at,
        lease_until,
        limit,
    )
    return sorted((_delivery(row) for row in rows), key=lambda delivery: delivery.event_id)


async def update_deliveries(
    tx: Tx, merchant_id: int, results: Sequence[Result], *, at: datetime
) -> None:
    """Write what tries came to, and the log of them."""
    await tx.run(
        """
        UPDATE webhooks.deliveries d SET status = r.status, next_at = r.next_at,
            last_status = r.last_status, last_error = r.error, last_answer = r.answer,
            last_milliseconds = r.milliseconds,
            delivered_at = CASE WHEN r.status = 'delivered' THEN $8::timestamptz END
        FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::int[], $6::text[], $7::text[],
            $9::int[]) r(id, status, next_at, last_status, error, answer, milliseconds)
        WHERE d.merchant_id = $1 AND d.id = r.id AND d.status = 'pending'
        """,
        merchant_id,
        [result.delivery.id for result in results],
        [result.status for result in results],
        [result.next_at for result in results],
        [result.answer.status for result in results],
        [result.answer.error for result in results],
        [result.answer.excerpt for result in results],
        at,
        [result.answer.milliseconds for result in results],
    )
    await tx.run(
        """
        INSERT INTO webhooks.tries (merchant_id, id, delivery_id, number, status, error, answer,
            milliseconds, at)
        SELECT $1, id, delivery_id, number, status, error, answer, milliseconds, $9::timestamptz
        FROM unnest($2::text[], $3::text[], $4::int[], $5::int[], $6::text[], $7::text[], $8::int[])
            t(id, delivery_id, number, status, error, answer, milliseconds)
        """,
        merchant_id,
        [result.try_id for result in results],
        [result.delivery.id for result in results],
        [result.delivery.tries for result in results],
        [result.answer.status for result in results],
        [result.answer.error for result in results],
        [result.answer.excerpt for result in results],
        [result.answer.milliseconds for result in results],
        at,
    )


async def abandon_deliveries(tx: Tx, merchant_id: int, endpoint_id: str) -> None:
    """Give up all that is owed to an endpoint that is gone."""
    await tx.run(
        "UPDATE webhooks.deliveries SET status = 'abandoned', next_at = NULL"
        " WHERE merchant_id = $1 AND endpoint_id = $2 AND status = 'pending'",
        merchant_id,
        endpoint_id,
    )


async def count_pending(tx: Tx, merchant_id: int, event_ids: Sequence[str]) -> dict[str, int]:
    """Return to how many endpoints each of these events is still owed."""
    rows = await tx.all(
        "SELECT event_id, count(*) AS pending FROM webhooks.deliveries"
        " WHERE merchant_id = $1 AND event_id = ANY($2::text[]) AND status = 'pending'"
        " GROUP BY event_id",
        merchant_id,
        list(event_ids),
    )
    return {row["event_id"]: row["pending"] for row in rows}


async def select_delivery(tx: Tx, merchant_id: int, delivery_id: str) -> Delivery | None:
    """Read one delivery."""
    row = await tx.maybe(
        "SELECT * FROM webhooks.deliveries WHERE merchant_id = $1 AND id = $2",
        merchant_id,
        delivery_id,
    )
    return None if row is None else _delivery(row)


async def select_deliveries(
    tx: Tx,
    merchant_id: int,
    page: Page,
    *,
    endpoint_id: str | None = None,
    event_id: str | None = None,
    status: str | None = None,
) -> Rows[Delivery]:
    """Return a page of a merchant's deliveries, newest first."""
    low, high = page.bounds("whd")
    rows = await tx.all(
        _page_of(endpoint_id, event_id, status, forwards=page.before is not None),
        merchant_id,
        low,
        high,
        page.created_from,
        page.created_to,
        page.limit + 1,
        endpoint_id,
        event_id,
        status,
    )
    data = [_delivery(row) for row in rows[: page.limit]]
    if page.before is not None:
        data.reverse()
    return Rows(data, len(rows) > page.limit)


def _page_of(
    endpoint_id: str | None, event_id: str | None, status: str | None, *, forwards: bool
) -> LiteralString:
    """Return the statement whose filters an index answers: each asked for stands bare in it."""
    sql: LiteralString = (
        "SELECT * FROM webhooks.deliveries WHERE merchant_id = $1 AND id > $2 AND id < $3"
        " AND created_at >= $4 AND created_at < $5"
    )
    sql += " AND endpoint_id = $7" if endpoint_id is not None else " AND $7::text IS NULL"
    sql += " AND event_id = $8" if event_id is not None else " AND $8::text IS NULL"
    sql += " AND status = $9" if status is not None else " AND $9::text IS NULL"
    if status not in {None, "delivered"}:
        sql += " AND status <> 'delivered'"  # what the partial index is of
    return sql + (" ORDER BY id LIMIT $6" if forwards else " ORDER BY id DESC LIMIT $6")


async def select_tries(tx: Tx, merchant_id: int, delivery_id: str) -> list[Try]:
    """Read the log of one delivery, oldest first."""
    rows = await tx.all(
        "SELECT * FROM webhooks.tries WHERE merchant_id = $1 AND delivery_id = $2 ORDER BY id",
        merchant_id,
        delivery_id,
    )
    return [
        Try(
            id=row["id"],
            delivery_id=row["delivery_id"],
            number=row["number"],
            status=row["status"],
            error=row["error"],
            answer=row["answer"],
            milliseconds=row["milliseconds"],
            at=row["at"],
        )
        for row in rows
    ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _endpoint(row: asyncpg.Record) -> Endpoint:
    return Endpoint(
        merchant_id=row["merchant_id"],
        id=row["id"],
        url=row["url"],
        enabled_events=msgspec.json.decode(row["enabled_events"], type=tuple[str, ...]),
        status=row["status"],
        description=row["description"],
        api_version=row["api_version"],
        metadata=msgspec.json.decode(row["metadata"], type=dict[str, str]),
        created_at=row["created_at"],
        failures=row["failures"],
        paused_until=row["paused_until"],
        sealed_secret=row["sealed_secret"],
        sealed_previous=row["sealed_previous"],
        previous_until=row["previous_until"],
    )


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        merchant_id=row["merchant_id"],
        id=row["id"],
        endpoint_id=row["endpoint_id"],
        event_id=row["event_id"],
        status=row["status"],
        tries=row["tries"],
        next_at=row["next_at"],
        started_at=row["started_at"] or row["created_at"],
        created_at=row["created_at"],
        delivered_at=row["delivered_at"],
        last_status=row["last_status"],
        last_error=row["last_error"],
        last_answer=row["last_answer"],
        last_milliseconds=row["last_milliseconds"],
    )
