"""The API's words for webhook endpoints, events and deliveries. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tillgate.kernel.clock import unix
from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.metadata import merge
from tillgate.web.listing import CursorRequest, ListRequest
from tillgate.web.reading import (
    Id,
    MetadataChange,
    Request,
    Text,
    read_metadata,
    read_metadata_change,
)
from tillgate.webhooks.event import is_live
from tillgate.webhooks.model import (
    MAX_OVERLAP_SECONDS,
    Delivery,
    Endpoint,
    EndpointChanges,
    EndpointTerms,
    Try,
)

EventType = Annotated[str, Meta(max_length=100)]
EventTypes = Annotated[list[EventType], Meta(min_length=1, max_length=300)]
Address = Annotated[str, Meta(max_length=2000)]


class CreateEndpoint(Request, frozen=True, kw_only=True):
    """Where events are to be sent."""

    url: Address
    enabled_events: EventTypes
    api_version: Annotated[str, Meta(max_length=40)] | None = None
    connect: bool = False
    description: Text | None = None
    metadata: MetadataChange | UnsetType = UNSET


class ChangeEndpoint(Request, frozen=True, kw_only=True):
    """What may be changed of an endpoint; enabling it again gives it a fresh start."""

    description: Text | UnsetType | None = UNSET
    disabled: bool | None = None
    enabled_events: EventTypes | None = None
    metadata: MetadataChange | UnsetType = UNSET
    url: Address | None = None


class RollSecret(Request, frozen=True, kw_only=True):
    """For how long the old secret signs along."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=MAX_OVERLAP_SECONDS)] = 0


class ListEvents(ListRequest, frozen=True, kw_only=True):
    """Events, newest first; `type` may end in `.*`."""

    object_id: Id | None = None
    type: EventType | None = None
    types: Annotated[list[EventType], Meta(max_length=20)] | None = None


class ListDeliveries(CursorRequest, frozen=True, kw_only=True):
    """Deliveries to one endpoint, newest first."""

    event: Id | None = None
    status: Literal["pending", "delivered", "abandoned"] | None = None


class ReplayEvent(Request, frozen=True, kw_only=True):
    """Which event is to be sent again."""

    event: Id


class ShownEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook endpoint. Its secret is shown once, when it is created or rolled."""

    id: str
    object: str = "webhook_endpoint"
    api_version: str | None
    application: None = None
    created: int
    description: str | None
    enabled_events: list[str]
    livemode: bool
    metadata: dict[str, str]
    secret: str | UnsetType = UNSET
    status: str
    url: str


class DeletedEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that was deleted."""

    id: str
    object: str = "webhook_endpoint"
    deleted: bool = True


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """The object as it was right after, and the object's sequence number."""

    object: dict[str, Any]
    sequence: int
    previous_attributes: dict[str, Any] | UnsetType = UNSET


class EventRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request that caused it, where there was one."""

    id: str | None
    idempotency_key: str | None


class ShownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened."""

    id: str
    object: str = "event"
    account: str | UnsetType = UNSET
    api_version: str
    context: None = None
    created: int
    data: EventData
    livemode: bool
    pending_webhooks: int
    request: EventRequest
    type: str


class ShownTry(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a delivery."""

    id: str
    created: int
    error: str | None
    milliseconds: int
    number: int
    response_body: str | None
    response_status: int | None


class ShownDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event owed to one endpoint."""

    id: str
    object: str = "webhook_delivery"
    attempts: int
    created: int
    delivered_at: int | None
    event: str
    last_error: str | None
    last_response_status: int | None
    livemode: bool
    next_attempt_at: int | None
    status: str
    tries: list[ShownTry] | UnsetType = UNSET
    webhook_endpoint: str


def read_terms(body: CreateEndpoint) -> EndpointTerms:
    """Return what a new endpoint is to be."""
    if body.connect:
        raise FieldRefused("connect", "There are no connected accounts here.")
    return EndpointTerms(
        url=body.url,
        enabled_events=tuple(dict.fromkeys(body.enabled_events)),
        description=body.description,
        api_version=body.api_version,
        metadata=read_metadata(body.metadata),
    )


def read_changes(body: ChangeEndpoint, endpoint: Endpoint) -> EndpointChanges:
    """Return what is to be changed of an endpoint."""
    return EndpointChanges(
        url=body.url,
        enabled_events=None
        if body.enabled_events is None
        else tuple(dict.fromkeys(body.enabled_events)),
        description=None if body.description is UNSET else body.description or "",
        metadata=None
        if body.metadata is UNSET
        else merge(endpoint.metadata, read_metadata_change(body.metadata)),
        disabled=body.disabled,
    )


def read_types(body: ListEvents) -> list[str]:
    """Return the types of events a list is narrowed to."""
    if body.type is not None and body.types is not None:
        raise FieldRefused("types", "type and types cannot be given together.")
    return [body.type] if body.type is not None else body.types or []


def show_endpoint(endpoint: Endpoint, secret: str | None = None) -> ShownEndpoint:
    """Show an endpoint, with its secret the once it may be seen."""
    return ShownEndpoint(
        id=endpoint.id,
        api_version=endpoint.api_version,
        created=unix(endpoint.created_at),
        description=endpoint.description,
        enabled_events=list(endpoint.enabled_events),
        livemode=is_live(endpoint.merchant_id),
        metadata=dict(endpoint.metadata),
        secret=UNSET if secret is None else secret,
        status=endpoint.status,
        url=endpoint.url,
    )


def show_delivery(delivery: Delivery, tries: list[Try] | None = None) -> ShownDelivery:
    """Show a delivery, with its log where asked."""
    return ShownDelivery(
        id=delivery.id,
        attempts=delivery.tries,
        created=unix(delivery.created_at),
        delivered_at=None if delivery.delivered_at is None else unix(delivery.delivered_at),
        event=delivery.event_id,
        last_error=delivery.last_error,
        last_response_status=delivery.last_status,
        livemode=is_live(delivery.merchant_id),
        next_attempt_at=None if delivery.next_at is None else unix(delivery.next_at),
        status=delivery.status,
        tries=UNSET if tries is None else [_show_try(one) for one in tries],
        webhook_endpoint=delivery.endpoint_id,
    )


def _show_try(one: Try) -> ShownTry:
    return ShownTry(
        id=one.id,
        created=unix(one.at),
        error=one.error,
        milliseconds=one.milliseconds,
        number=one.number,
        response_body=one.answer,
        response_status=one.status,
    )
