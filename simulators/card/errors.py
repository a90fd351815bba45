"""Stripe's error envelope, one constructor for each refusal this simulator can give.

`begun` tells the idempotency record whether the endpoint had started: what was refused before
that is not remembered, and its key may be used again.
"""

from collections.abc import Mapping

DOCS = "https://stripe.com/docs/error-codes/"


class ApiError(Exception):
    """An answer that is an error: its status, its body, and whether it counts as executed."""

    def __init__(self, status: int, error: Mapping[str, object], *, begun: bool = True) -> None:
        super().__init__(str(error.get("message")))
        self.status = status
        self.error = dict(error)
        self.begun = begun


def _refusal(
    status: int, message: str, *, code: str | None = None, param: str | None = None, begun: bool
) -> ApiError:
    error: dict[str, object] = {"type": "invalid_request_error", "message": message}
    if code is not None:
        error["code"] = code
        error["doc_url"] = DOCS + code.replace("_", "-")
    if param is not None:
        error["param"] = param
    return ApiError(status, error, begun=begun)


def missing(param: str) -> ApiError:
    """Refuse a request without a parameter it needs."""
    message = f"Missing required param: {param}."
    return _refusal(400, message, code="parameter_missing", param=param, begun=False)


def unknown_parameter(param: str) -> ApiError:
    """Refuse a parameter this endpoint does not have."""
    message = f"Received unknown parameter: {param}"
    return _refusal(400, message, code="parameter_unknown", param=param, begun=False)


def invalid_integer(param: str, value: str) -> ApiError:
    """Refuse what is not a whole number."""
    message = f"Invalid integer: {value}"
    return _refusal(400, message, code="parameter_invalid_integer", param=param, begun=False)


def invalid(message: str, param: str, code: str | None = None) -> ApiError:
    """Refuse a parameter whose value cannot be."""
    return _refusal(400, message, code=code, param=param, begun=False)


def refused(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    """Refuse a well-formed request that the state of the books does not allow."""
    return _refusal(400, message, code=code, param=param, begun=True)


def no_such(kind: str, identity: str, param: str = "id", *, status: int = 404) -> ApiError:
    """Refuse a request about something that is not there (400 when it is only referred to)."""
    message = f"No such {kind}: '{identity}'"
    return _refusal(status, message, code="resource_missing", param=param, begun=True)


def no_such_address(method: str, path: str) -> ApiError:
    """Refuse an address this API does not have."""
    message = f"Unrecognized request URL ({method}: {path})."
    return _refusal(404, message, begun=False)


def unexpected_state(message: str, intent: object) -> ApiError:
    """Refuse a move the payment intent cannot make; the error carries the intent."""
    error = refused(message, code="payment_intent_unexpected_state")
    error.error["payment_intent"] = intent
    return error


def bad_key(message: str) -> ApiError:
    """Refuse a caller we do not know."""
    return ApiError(401, {"type": "invalid_request_error", "message": message}, begun=False)


def rate_limited() -> ApiError:
    """Ask the caller to come back more slowly."""
    error = {
        "type": "invalid_request_error",
        "code": "rate_limit",
        "doc_url": DOCS + "rate-limit",
        "message": "Request rate limit exceeded. You can learn more about rate limits here "
        "https://stripe.com/docs/rate-limits.",
    }
    return ApiError(429, error, begun=False)


def key_reused(key: str, reason: str) -> ApiError:
    """Refuse a key that came back with another request."""
    message = (
        f"Keys for idempotent requests can only be used {reason}. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return ApiError(400, {"type": "idempotency_error", "message": message}, begun=False)


def key_in_use(key: str) -> ApiError:
    """Refuse a key whose first request is still running."""
    error = {
        "type": "idempotency_error",
        "code": "idempotency_key_in_use",
        "doc_url": DOCS + "idempotency-key-in-use",
        "message": "There is currently another in-progress request using this Idempotent Key "
        f"(that probably means you submitted twice, and the other request is still going "
        f"through): {key}. Please try again later.",
    }
    return ApiError(409, error, begun=False)


def api_error(status: int = 500) -> ApiError:
    """Say that something broke on the provider's side: the outcome is unknown to the caller."""
    message = "An unknown error occurred while processing the request."
    return ApiError(status, {"type": "api_error", "message": message})
