"""API v3 errors: an HTTP status, a code, a message; never signed."""

import secrets

import msgspec

from simulators.common.http import Response


class Failed(Exception):
    """The call ends with this error. `number` is the sub-code in Request-ID, a hint for logs."""

    def __init__(self, status: int, code: str, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.number = number
        self.detail: dict[str, str] = {}

    def response(self) -> Response:
        """The error on the wire."""
        body: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail:
            body["detail"] = self.detail
        return Response(
            self.status,
            msgspec.json.encode(body),
            {
                "Content-Type": "application/json; charset=utf-8",
                "Request-ID": f"{secrets.token_hex(16).upper()}-{self.number}",
            },
        )


def wrong_field(field: str, issue: str, value: object = None) -> Failed:
    """A field of the body that is missing or not as it must be."""
    failed = Failed(400, "PARAM_ERROR", f"输入源“/body{field}”{issue}", 268435461)
    failed.detail = {"location": "body", "field": field, "issue": issue}
    if value is not None:
        failed.detail["value"] = str(value)
    return failed


def sign_error(message: str, number: int = 268443699) -> Failed:
    """The request is not signed as it must be."""
    return Failed(401, "SIGN_ERROR", message, number)


def system_error() -> Failed:
    """The result is unknown; ask, then try again with the same parameters."""
    return Failed(500, "SYSTEM_ERROR", "系统异常，请稍后重试")
