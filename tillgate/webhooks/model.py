"""Endpoints, deliveries and tries as values; what a fact is called on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

#: What an endpoint gets that names no version of its own.
API_VERSION: Final = "2026-10-28.endive"
MAX_ENDPOINTS: Final = 16
#: After a roll the old secret signs along, at most this long.
MAX_OVERLAP_SECONDS: Final = 86_400

EndpointStatus = Literal["enabled", "disabled"]
DeliveryStatus = Literal["pending", "delivered", "abandoned"]

#: Draws an object of a fact as the API shows it: `show(data, livemode)`.
Show = Callable[[bytes, bool], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class EventKind:
    """What a fact is called on the wire, and how its object is drawn."""

    type: str
    show: Show


#: By the fact's name. A fact that is not in it is nobody's business outside.
Catalogue = Mapping[str, EventKind]


@dataclass(frozen=True, slots=True)
class EndpointTerms:
    """What a merchant asks for."""

    url: str
    enabled_events: tuple[str, ...]
    description: str | None = None
    api_version: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class EndpointChanges:
    """What a merchant changes; None leaves it as it is."""

    url: str | None = None
    enabled_events: tuple[str, ...] | None = None
    description: str | None = None
    metadata: Mapping[str, str] | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one merchant wants to hear of events."""

    merchant_id: int
    id: str
    url: str
    enabled_events: tuple[str, ...]
    status: EndpointStatus
    description: str | None
    api_version: str | None
    metadata: Mapping[str, str]
    created_at: datetime
    failures: int
    paused_until: datetime | None
    sealed_secret: bytes = field(repr=False)
    sealed_previous: bytes | None = field(repr=False)
    previous_until: datetime | None

    def listens_to(self, event_type: str) -> bool:
        """Whether events of this type are owed to it."""
        return "*" in self.enabled_events or event_type in self.enabled_events


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event owed to one endpoint."""

    merchant_id: int
    id: str
    endpoint_id: str
    event_id: str
    status: DeliveryStatus
    tries: int
    next_at: datetime | None
    started_at: datetime
    created_at: datetime
    delivered_at: datetime | None
    last_status: int | None
    last_error: str | None
    last_answer: str | None
    last_milliseconds: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request: a status, or why there was none."""

    status: int | None
    milliseconds: int
    error: str | None = None
    excerpt: str | None = None
    retry_after_seconds: float | None = None

    @property
    def is_success(self) -> bool:
        """Only 2xx is; a redirect is not followed and counts as a failure."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Try:
    """One request as the log has it."""

    id: str
    delivery_id: str
    number: int
    status: int | None
    error: str | None
    answer: str | None
    milliseconds: int
    at: datetime
