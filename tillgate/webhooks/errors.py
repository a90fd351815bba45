"""What webhooks refuse."""

from __future__ import annotations

from tillgate.kernel.errors import Kind, Refusal


class EndpointNotFound(Refusal):
    """No such webhook endpoint: '{endpoint_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "id"

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(endpoint_id=endpoint_id)


class EventNotFound(Refusal):
    """No such event: '{event_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "id"

    def __init__(self, event_id: str, *, param: str | None = None) -> None:
        super().__init__(event_id=event_id, param=param)


class TooManyEndpoints(Refusal):
    """You have reached the maximum of {most} webhook endpoints; delete one first."""

    code = "webhook_endpoint_limit_exceeded"

    def __init__(self, most: int) -> None:
        super().__init__(most=most)


class UrlRefused(Refusal):
    """Invalid URL: {reason}"""

    code = "url_invalid"
    param = "url"

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)


class EventsRefused(Refusal):
    """Unknown or empty list of events: {reason}"""

    param = "enabled_events"

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)


class OverlapRefused(Refusal):
    """The old secret can go on signing for at most {most} seconds."""

    param = "overlap_seconds"

    def __init__(self, most: int) -> None:
        super().__init__(most=most)
