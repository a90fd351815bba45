"""Read-only questions about events, endpoints and deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tillgate.kernel.facts import Fact
from tillgate.kernel.paging import Page, Rows
from tillgate.runtime import fact_log
from tillgate.runtime.db import Tx
from tillgate.webhooks import event, store
from tillgate.webhooks.errors import EndpointNotFound, EventNotFound
from tillgate.webhooks.model import Catalogue, Delivery, Endpoint, Try


async def endpoint(tx: Tx, merchant_id: int, endpoint_id: str) -> Endpoint:
    """Return one endpoint, or refuse."""
    found = await store.select_endpoint(tx, merchant_id, endpoint_id)
    if found is None:
        raise EndpointNotFound(endpoint_id)
    return found


async def endpoints(tx: Tx, merchant_id: int) -> list[Endpoint]:
    """Return a merchant's endpoints (at most sixteen), newest first."""
    return await store.select_endpoints(tx, merchant_id)


async def merchant_of(tx: Tx, endpoint_id: str) -> int:
    """Return whose endpoint this is: for the operator's commands, who only know the id."""
    found = await store.find_merchant(tx, endpoint_id)
    if found is None:
        raise EndpointNotFound(endpoint_id)
    return found


async def is_endpoint(tx: Tx, merchant_id: int, endpoint_id: str) -> bool:
    """Whether there is such an endpoint."""
    return await store.select_endpoint(tx, merchant_id, endpoint_id) is not None


async def is_event(
    tx: Tx, catalogue: Catalogue, merchant_id: int, event_id: str, *, object_id: str | None
) -> bool:
    """Whether there is such an event, of this object if one is named."""
    fact = (await fact_log.select_facts(tx, merchant_id, [event_id])).get(event_id)
    if fact is None or fact.name not in catalogue:
        return False
    return object_id in {None, fact.object_id}


async def is_delivery(
    tx: Tx, merchant_id: int, delivery_id: str, *, endpoint_id: str, event_id: str | None
) -> bool:
    """Whether there is such a delivery to this endpoint, of this event if one is named."""
    found = await store.select_delivery(tx, merchant_id, delivery_id)
    if found is None or found.endpoint_id != endpoint_id:
        return False
    return event_id in {None, found.event_id}


async def one_event(
    tx: Tx, catalogue: Catalogue, merchant_id: int, event_id: str
) -> dict[str, Any]:
    """Return one event as the wire has it, or refuse."""
    facts = await fact_log.select_facts(tx, merchant_id, [event_id])
    fact = facts.get(event_id)
    if fact is None or fact.name not in catalogue:
        raise EventNotFound(event_id)
    return (await _drawn(tx, catalogue, merchant_id, [fact]))[0]


async def events(
    tx: Tx,
    catalogue: Catalogue,
    merchant_id: int,
    page: Page,
    *,
    types: Sequence[str] = (),
    object_id: str | None = None,
) -> Rows[dict[str, Any]]:
    """Return a page of events, newest first; `types` may end in `.*`."""
    names = [
        name
        for name, kind in catalogue.items()
        if not types or any(_matches(kind.type, wanted) for wanted in types)
    ]
    rows = await fact_log.select_page(
        tx, merchant_id, page, names=names, object_id=object_id, nearly_all=not types
    )
    return Rows(await _drawn(tx, catalogue, merchant_id, rows.data), rows.has_more)


async def deliveries(
    tx: Tx,
    merchant_id: int,
    page: Page,
    *,
    endpoint_id: str | None = None,
    event_id: str | None = None,
    status: str | None = None,
) -> Rows[Delivery]:
    """Return a page of deliveries, newest first."""
    return await store.select_deliveries(
        tx, merchant_id, page, endpoint_id=endpoint_id, event_id=event_id, status=status
    )


async def tries(tx: Tx, merchant_id: int, delivery_id: str) -> list[Try]:
    """Return the log of one delivery, oldest first."""
    return await store.select_tries(tx, merchant_id, delivery_id)


async def pending(tx: Tx, merchant_id: int, event_ids: Sequence[str]) -> dict[str, int]:
    """Return to how many endpoints each of these events is still owed."""
    return await store.count_pending(tx, merchant_id, event_ids)


async def queues_due(tx: Tx, *, at: datetime) -> list[Endpoint]:
    """Return the endpoints that are owed something now and are not resting."""
    return await store.select_queues_due(tx, at)


async def _drawn(
    tx: Tx, catalogue: Catalogue, merchant_id: int, facts: Sequence[Fact]
) -> list[dict[str, Any]]:
    owed = await store.count_pending(tx, merchant_id, [fact.id for fact in facts])
    return [event.draw(fact, catalogue[fact.name], pending=owed.get(fact.id, 0)) for fact in facts]


def _matches(event_type: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return event_type.startswith(wanted[:-1])
    return event_type == wanted
