"""One step each inside the caller's transaction: endpoints, what is owed to them, what became of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from tillgate.kernel.facts import Headline
from tillgate.kernel.ids import new_id
from tillgate.kernel.paging import Page
from tillgate.runtime import fact_log
from tillgate.runtime.db import Tx
from tillgate.runtime.secrets import Vault
from tillgate.webhooks import machine, signing, store
from tillgate.webhooks.addresses import is_public, literal_address
from tillgate.webhooks.errors import (
    EndpointNotFound,
    EventNotFound,
    EventsRefused,
    OverlapRefused,
    TooManyEndpoints,
    UrlRefused,
)
from tillgate.webhooks.event import is_live
from tillgate.webhooks.model import (
    MAX_ENDPOINTS,
    MAX_OVERLAP_SECONDS,
    Answer,
    Catalogue,
    Delivery,
    Endpoint,
    EndpointChanges,
    EndpointTerms,
)

#: One replay restarts at most this many deliveries.
MOST_REPLAYED = 1_000


def sealed_place(merchant_id: int, endpoint_id: str) -> str:
    """Return the place a secret is bound to."""
    return f"webhooks.endpoints/{merchant_id}/{endpoint_id}"


async def create_endpoint(
    tx: Tx,
    vault: Vault,
    merchant_id: int,
    terms: EndpointTerms,
    *,
    may_be_private: bool,
    at: datetime,
) -> tuple[Endpoint, str]:
    """Open an endpoint; return it with its secret, which is never shown again."""
    check_url(terms.url, merchant_id, may_be_private=may_be_private)
    check_events(terms.enabled_events)
    await store.lock_endpoints(tx, merchant_id)
    if len(await store.select_endpoints(tx, merchant_id)) >= MAX_ENDPOINTS:
        raise TooManyEndpoints(MAX_ENDPOINTS)
    endpoint_id, secret = new_id("we"), signing.new_secret()
    endpoint = Endpoint(
        merchant_id=merchant_id,
        id=endpoint_id,
        url=terms.url,
        enabled_events=terms.enabled_events,
        status="enabled",
        description=terms.description,
        api_version=terms.api_version,
        metadata=terms.metadata,
        created_at=at,
        failures=0,
        paused_until=None,
        sealed_secret=vault.seal(secret.encode(), sealed_place(merchant_id, endpoint_id)),
        sealed_previous=None,
        previous_until=None,
    )
    await store.insert_endpoint(tx, endpoint)
    return endpoint, secret


async def update_endpoint(
    tx: Tx, merchant_id: int, endpoint_id: str, changes: EndpointChanges, *, may_be_private: bool
) -> Endpoint:
    """Change an endpoint; enabling it again gives it a fresh start."""
    endpoint = await lock_endpoint(tx, merchant_id, endpoint_id)
    if changes.url is not None:
        check_url(changes.url, merchant_id, may_be_private=may_be_private)
        endpoint = replace(endpoint, url=changes.url, failures=0, paused_until=None)
    if changes.enabled_events is not None:
        check_events(changes.enabled_events)
        endpoint = replace(endpoint, enabled_events=changes.enabled_events)
    if changes.description is not None:
        endpoint = replace(endpoint, description=changes.description or None)
    if changes.metadata is not None:
        endpoint = replace(endpoint, metadata=changes.metadata)
    if changes.disabled is not None:
        status = "disabled" if changes.disabled else "enabled"
        endpoint = replace(endpoint, status=status, failures=0, paused_until=None)
    await store.update_endpoint(tx, endpoint)
    return endpoint


async def delete_endpoint(tx: Tx, merchant_id: int, endpoint_id: str) -> None:
    """Delete an endpoint; nothing is sent to it any more."""
    await lock_endpoint(tx, merchant_id, endpoint_id)
    await store.delete_endpoint(tx, merchant_id, endpoint_id)


async def roll_secret(
    tx: Tx,
    vault: Vault,
    merchant_id: int,
    endpoint_id: str,
    *,
    overlap_seconds: int,
    at: datetime,
) -> tuple[Endpoint, str]:
    """Give an endpoint a new secret; the old one signs along for `overlap_seconds`."""
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise OverlapRefused(MAX_OVERLAP_SECONDS)
    endpoint = await lock_endpoint(tx, merchant_id, endpoint_id)
    secret, place = signing.new_secret(), sealed_place(merchant_id, endpoint_id)
    rolled = replace(
        endpoint,
        sealed_secret=vault.seal(secret.encode(), place),
        sealed_previous=endpoint.sealed_secret if overlap_seconds else None,
        previous_until=at + timedelta(seconds=overlap_seconds) if overlap_seconds else None,
    )
    await store.update_endpoint(tx, rolled)
    return rolled, secret


async def enqueue(tx: Tx, facts: Sequence[Headline], catalogue: Catalogue, *, at: datetime) -> None:
    """Owe these facts to every enabled endpoint that listens to them; twice is the same as once."""
    listening: dict[int, list[Endpoint]] = {}
    for endpoint in await store.select_enabled(tx, {fact.merchant_id for fact in facts}):
        listening.setdefault(endpoint.merchant_id, []).append(endpoint)
    if not listening:
        return
    owed = [
        store.Owed(fact.merchant_id, new_id("whd"), endpoint.id, fact.id)
        for fact in facts
        if fact.name in catalogue
        for endpoint in listening.get(fact.merchant_id, ())
        if endpoint.listens_to(catalogue[fact.name].type)
    ]
    if owed:
        await store.insert_deliveries(tx, owed, at=at)


async def claim(
    tx: Tx, endpoint: Endpoint, *, at: datetime, lease_seconds: float, limit: int
) -> list[Delivery]:
    """Take due deliveries of one endpoint; a claim that dies is due again after the lease."""
    lease_until = at + timedelta(seconds=lease_seconds)
    return await store.claim_deliveries(tx, endpoint, at=at, lease_until=lease_until, limit=limit)


async def record(
    tx: Tx,
    endpoint: Endpoint,
    answers: Sequence[tuple[Delivery, Answer]],
    *,
    give_up_after_seconds: int,
    at: datetime,
) -> None:
    """Write what these tries came to, and judge the endpoint's health by them, in order."""
    results: list[store.Result] = []
    for delivery, answer in answers:
        next_at = None
        status = "delivered"
        if not answer.is_success:
            next_at = machine.next_try(
                delivery, answer, at=at, give_up_after_seconds=give_up_after_seconds
            )
            status = "pending" if next_at else "abandoned"
        results.append(store.Result(delivery, answer, status, next_at, new_id("wht")))
    await store.update_deliveries(tx, endpoint.merchant_id, results, at=at)
    await _judge(tx, endpoint, [answer for _, answer in answers], at)


async def _judge(tx: Tx, endpoint: Endpoint, answers: Collection[Answer], at: datetime) -> None:
    if endpoint.failures == 0 and all(answer.is_success for answer in answers):
        return
    current = await store.lock_endpoint(tx, endpoint.merchant_id, endpoint.id)
    if current is None:
        return
    for answer in answers:
        if answer.is_success:
            current = replace(current, failures=0, paused_until=None)
            continue
        failures = current.failures + 1
        paused_until = machine.rest(failures, answer, at=at)
        current = replace(current, failures=failures, paused_until=paused_until)
        if machine.is_gone(answer):
            current = replace(current, status="disabled")
    await store.update_endpoint(tx, current)
    if any(machine.is_gone(answer) for answer in answers):
        await store.abandon_deliveries(tx, endpoint.merchant_id, endpoint.id)


async def replay_event(
    tx: Tx, catalogue: Catalogue, merchant_id: int, endpoint_id: str, event_id: str, *, at: datetime
) -> None:
    """Send one event to one endpoint again, under the same event id."""
    await lock_endpoint(tx, merchant_id, endpoint_id)
    facts = await fact_log.select_facts(tx, merchant_id, [event_id])
    if event_id not in facts or facts[event_id].name not in catalogue:
        raise EventNotFound(event_id, param="event")
    owed = [store.Owed(merchant_id, new_id("whd"), endpoint_id, event_id)]
    await store.insert_or_restart(tx, owed, at=at)


async def replay_range(
    tx: Tx, catalogue: Catalogue, merchant_id: int, endpoint_id: str, page: Page, *, at: datetime
) -> tuple[int, str | None]:
    """Send the events of a page again, newest first, as far as the endpoint listens to them.

    Returns how many, and the id to go on after if there are more.
    """
    endpoint = await lock_endpoint(tx, merchant_id, endpoint_id)
    names = [name for name, kind in catalogue.items() if endpoint.listens_to(kind.type)]
    page = replace(page, limit=min(page.limit, MOST_REPLAYED))
    found = await fact_log.select_page(tx, merchant_id, page, names=names)
    owed = [store.Owed(merchant_id, new_id("whd"), endpoint_id, fact.id) for fact in found.data]
    if owed:
        await store.insert_or_restart(tx, owed, at=at)
    return len(owed), found.data[-1].id if found.has_more else None


async def lock_endpoint(tx: Tx, merchant_id: int, endpoint_id: str) -> Endpoint:
    """Hold one endpoint's row, which must exist."""
    endpoint = await store.lock_endpoint(tx, merchant_id, endpoint_id)
    if endpoint is None:
        raise EndpointNotFound(endpoint_id)
    return endpoint


def check_url(url: str, merchant_id: int, *, may_be_private: bool) -> None:
    """Refuse addresses that we would refuse to send to, as far as can be told without asking DNS."""
    try:
        split = urlsplit(url)
        host, _ = split.hostname, split.port
    except ValueError:
        raise UrlRefused("it cannot be read") from None
    if split.scheme not in {"http", "https"} or not host:
        raise UrlRefused("an endpoint is an http or https address")
    if len(url) > 2_000 or not url.isascii() or any(character <= " " for character in url):
        raise UrlRefused("it is too long or holds characters that must be escaped")
    if split.username is not None or split.password is not None:
        raise UrlRefused("a password does not belong into an address")
    if may_be_private:
        return
    address = literal_address(host)
    if host == "localhost" or (address is not None and not is_public(address)):
        raise UrlRefused("it is not a public address")
    if is_live(merchant_id) and split.scheme != "https":
        raise UrlRefused("in live mode an endpoint is an https address")


def check_events(enabled_events: Sequence[str]) -> None:
    """Refuse a list that could never match; types of the future are allowed."""
    if not enabled_events:
        raise EventsRefused("at least one type of event, or '*'")
    for event_type in enabled_events:
        readable = event_type.replace(".", "").replace("_", "").isalnum()
        if event_type != "*" and not (readable and "." in event_type and len(event_type) < 100):
            raise EventsRefused(event_type[:100])
