"""Refusals on the wire: one table from kind to HTTP status and Stripe's type."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tillgate.kernel.errors import FieldRefused, Kind, Refusal

STATUS: Final[dict[Kind, tuple[int, str]]] = {
    Kind.INVALID: (400, "invalid_request_error"),
    Kind.NOT_FOUND: (404, "invalid_request_error"),
    Kind.UNAUTHENTICATED: (401, "invalid_request_error"),
    Kind.FORBIDDEN: (403, "invalid_request_error"),
    Kind.CONFLICT: (409, "invalid_request_error"),
    Kind.DECLINED: (402, "card_error"),
    Kind.IDEMPOTENCY: (400, "idempotency_error"),
    Kind.RATE_LIMITED: (429, "invalid_request_error"),
    Kind.UNAVAILABLE: (503, "api_error"),
}


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. `param` names the parameter to blame, `code` is for programs."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None
    decline_code: str | None = None
    charge: str | None = None
    doc_url: str | None = None
    request_id: str | None = None
    payment_intent: dict[str, Any] | None = None
    payment_method: dict[str, Any] | None = None


class Envelope(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: ErrorBody


class UnknownPath(Refusal):
    """Unrecognized request URL ({method}: {path}). Please see the API documentation at /docs."""

    kind = Kind.NOT_FOUND

    def __init__(self, method: str, path: str) -> None:
        super().__init__(method=method, path=path[:200].replace("\x00", ""))


class UnknownMethod(Refusal):
    """Unrecognized request URL ({method}: {path}). Possible there: {allowed}."""

    kind = Kind.NOT_FOUND

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(method=method, path=path[:200], allowed=allowed)


class BodyCutOff(Refusal):
    """The connection ended before the request body did; nothing was done."""

    code = "request_unreadable"


class SearchNotOffered(Refusal):
    """Unrecognized request URL ({method}: {path}). Searching is not offered; GET {listed} can be narrowed by {filters}."""  # noqa: E501  a message is one line

    kind = Kind.NOT_FOUND

    def __init__(self, method: str, path: str, listed: str, filters: str) -> None:
        super().__init__(method=method, path=path[:200], listed=listed[:200], filters=filters)


class BodyTooLarge(Refusal):
    """The request body is larger than {limit} bytes."""

    code = "request_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)


_encode = msgspec.json.Encoder().encode


def error_of(refusal: Refusal, request_id: str) -> tuple[int, ErrorBody]:
    """Return the HTTP status and the error of a refusal."""
    status, kind = STATUS[refusal.kind]
    code = refusal.field_code if isinstance(refusal, FieldRefused) else refusal.code
    return status, ErrorBody(
        type=kind,
        message=refusal.message,
        code=code,
        # A parameter may be called "" and be unknown; otherwise "" means that none is to blame.
        param=refusal.param if code == "parameter_unknown" else refusal.param or None,
        doc_url=f"/docs#error-{code}" if code else None,
        request_id=request_id,
    )


def render_refusal(refusal: Refusal, request_id: str) -> tuple[int, bytes]:
    """Return status and body of a refusal."""
    status, error = error_of(refusal, request_id)
    return status, _encode(Envelope(error))


def render_failure(request_id: str) -> tuple[int, bytes]:
    """Return status and body where we are to blame; what happened stands in the log only."""
    error = ErrorBody(
        type="api_error",
        message="Something went wrong on our side. If you ask about it, please mention the request"
        f" {request_id}.",
        request_id=request_id,
    )
    return 500, _encode(Envelope(error))
