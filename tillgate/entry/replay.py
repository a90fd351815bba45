"""`tillgate replay`: send an event again, or all of a span; apply a stored notice again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tillgate.entry.build import open_database
from tillgate.entry.subscriptions import CATALOGUE
from tillgate.kernel.clock import SystemClock
from tillgate.kernel.errors import Kind, Refusal
from tillgate.kernel.paging import Page
from tillgate.runtime import fact_log, notices
from tillgate.runtime.db import Tx
from tillgate.runtime.settings import Settings
from tillgate.webhooks import commands, queries


class NoticeNotFound(Refusal):
    """There is no notice {notice_id}."""

    kind = Kind.NOT_FOUND


class FactNotFound(Refusal):
    """There is no event {event_id}."""

    kind = Kind.NOT_FOUND


class NobodyListens(Refusal):
    """No enabled endpoint listens to {event_id}."""


async def webhook(
    settings: Settings, event_id: str, *, endpoint: str | None = None
) -> dict[str, Any]:
    """Owe an event once more to one endpoint, or to all that listen; the worker delivers it."""
    at = SystemClock().now()
    async with open_database(settings) as db, db.transaction() as tx:
        merchant_id = await fact_log.merchant_of(tx, event_id)
        if merchant_id is None:
            raise FactNotFound(event_id=event_id)
        endpoint_ids = [endpoint] if endpoint else await _listening(tx, merchant_id, event_id)
        for endpoint_id in endpoint_ids:
            await commands.replay_event(tx, CATALOGUE, merchant_id, endpoint_id, event_id, at=at)
    return {"event": event_id, "endpoints": endpoint_ids}


async def endpoint(
    settings: Settings, endpoint_id: str, *, since: datetime, until: datetime | None
) -> dict[str, Any]:
    """Owe an endpoint once more what happened in a span of time; the worker delivers it."""
    at = SystemClock().now()
    page = Page(
        limit=commands.MOST_REPLAYED,
        created_from=since.replace(microsecond=0),
        created_to=until or at,
    )
    events, after = 0, ""
    async with open_database(settings) as db:
        while after is not None:
            async with db.transaction() as tx:
                merchant_id = await queries.merchant_of(tx, endpoint_id)
                owed, after = await commands.replay_range(
                    tx,
                    CATALOGUE,
                    merchant_id,
                    endpoint_id,
                    replace(page, after=after or None),
                    at=at,
                )
            events += owed
    return {"endpoint": endpoint_id, "events": events}


async def notice(settings: Settings, notice_id: str) -> dict[str, Any]:
    """Put a stored notice back into the inbox; the worker applies it by the same door as ever."""
    at = SystemClock().now()
    async with open_database(settings) as db, db.transaction() as tx:
        found = await notices.put_back(tx, notice_id, at=at - timedelta(seconds=1))
    if found == 0:
        raise NoticeNotFound(notice_id=notice_id)
    return {"notice": notice_id, "status": "received"}


async def _listening(tx: Tx, merchant_id: int, event_id: str) -> list[str]:
    fact = (await fact_log.select_facts(tx, merchant_id, [event_id]))[event_id]
    kind = CATALOGUE.get(fact.name)
    endpoints = await queries.endpoints(tx, merchant_id)
    listening = [
        one.id
        for one in endpoints
        if kind is not None and one.status == "enabled" and one.listens_to(kind.type)
    ]
    if not listening:
        raise NobodyListens(event_id=event_id)
    return listening
