"""Telling merchants: endpoints, the `Stripe-Signature` header, and the plan of retries.

The signature is made afresh for every delivery, over the bytes that are sent.
"""

import hmac
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from simulators.card.books import Books, encode
from simulators.card.errors import invalid, missing
from simulators.card.form import Form, choice, flag, listed, metadata, only, required, text
from simulators.card.objects import API_VERSION, Event, Plain, WebhookEndpoint
from simulators.common.clock import Clock
from simulators.common.notices import Notice, NoticeRules

MAX_ENDPOINTS: Final = 16
# Exponential, over three days.
SCHEDULE: Final = (5, 30, 120, 600, 3_600, 10_800, 28_800, 57_600, 72_000, 86_400)
_ENDPOINT: Final = frozenset(
    {"url", "enabled_events", "description", "metadata", "api_version", "expand", "disabled"}
    | {"connect", "status"}
)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the `Stripe-Signature` header for these bytes at this second."""
    signed = b"%d." % timestamp + body
    return f"t={timestamp},v1={hmac.digest(secret.encode(), signed, 'sha256').hex()}"


def rules(find: Callable[[str], WebhookEndpoint | None], clock: Clock) -> NoticeRules:
    """Return how this provider delivers."""

    def render(notice: Notice, spoiled: bool) -> tuple[Mapping[str, str], bytes]:  # noqa: FBT001
        body = notice.payload["body"].encode()
        endpoint = find(notice.payload["endpoint"])
        secret = (endpoint.secret or "") if endpoint is not None else ""
        header = signature(secret + ("spoiled" if spoiled else ""), int(clock.seconds()), body)
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": header,
        }, body

    return NoticeRules(render, lambda status, _: 200 <= status < 300, SCHEDULE)


def notice_of(event: Event, endpoint: WebhookEndpoint, about: str) -> Notice:
    """Return the message that brings an event to an endpoint."""
    return Notice(
        id=f"{event.id}:{endpoint.id}",
        kind=event.type,
        order_id=about,
        url=endpoint.url,
        payload={"body": encode(event).decode(), "endpoint": endpoint.id},
        created_at=event.created,
    )


def create(books: Books, form: Form, secret: str | None = None) -> WebhookEndpoint:
    """POST /v1/webhook_endpoints: the only answer that shows the secret."""
    only(form, _ENDPOINT)
    if len(books.endpoints.rows) >= MAX_ENDPOINTS:
        raise invalid("You have reached the maximum of 16 webhook endpoints.", "url")
    endpoint = WebhookEndpoint(
        id=books.new_id("we"),
        api_version=text(form, "api_version") or API_VERSION,
        created=books.now(),
        description=text(form, "description"),
        enabled_events=_events(form),
        metadata=metadata(form),
        secret=secret or books.new_id("whsec").replace("whsec_", "whsec_sim"),
        url=_url(form),
    )
    return books.endpoints.add(endpoint)


def _events(form: Form) -> list[str]:
    events = listed(form, "enabled_events")
    if not events:
        raise missing("enabled_events")
    return events


def _url(form: Form) -> str:
    url = required(form, "url")
    if not url.startswith(("http://", "https://")):
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url")
    return url


def update(books: Books, endpoint_id: str, form: Form) -> WebhookEndpoint:
    """POST /v1/webhook_endpoints/{id}"""
    only(form, _ENDPOINT)
    endpoint = books.endpoints.get(endpoint_id)
    if "url" in form:
        endpoint.url = _url(form)
    if "enabled_events" in form:
        endpoint.enabled_events = _events(form)
    if "disabled" in form:
        endpoint.status = "disabled" if flag(form, "disabled") else "enabled"
    if choice(form, "status", ("enabled", "disabled")) is not None:
        endpoint.status = "enabled" if text(form, "status") == "enabled" else "disabled"
    endpoint.description = text(form, "description") or endpoint.description
    endpoint.metadata = metadata(form, endpoint.metadata)
    books.endpoints.save(endpoint)
    return shown(endpoint)


def delete(books: Books, endpoint_id: str) -> Plain:
    """DELETE /v1/webhook_endpoints/{id}"""
    endpoint = books.endpoints.get(endpoint_id)
    books.endpoints.remove(endpoint)
    return {"id": endpoint.id, "object": "webhook_endpoint", "deleted": True}


def shown(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Return the endpoint as everybody but its maker sees it."""
    return msgspec.structs.replace(endpoint, secret=None)
