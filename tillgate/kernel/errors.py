"""Refusals: what the system will not do, as exceptions with a kind, a code and a message.

A refusal is not a bug (that is an `assert`) and not a provider's decline (that is a value).
The docstring of a refusal is its message; its fields fill the braces. One table in `web` maps
`Kind` to HTTP.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """Why it was refused, independent of any wire."""

    INVALID = "invalid"  # the request itself is wrong
    NOT_FOUND = "not_found"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    CONFLICT = "conflict"  # try again later, the same request may succeed
    DECLINED = "declined"  # the parameters were fine, the provider said no
    IDEMPOTENCY = "idempotency"  # the key was used for something else
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"


class Refusal(Exception):
    """The request was refused."""

    kind: ClassVar[Kind] = Kind.INVALID
    code: ClassVar[str | None] = None
    #: The request's parameter that is to blame, where there is one.
    param: str | None = None

    def __init__(self, *, param: str | None = None, **fields: object) -> None:
        self.fields = fields
        if param is not None:
            self.param = param
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The docstring with its braces filled."""
        text = " ".join((type(self).__doc__ or "The request was refused.").split())
        return text.format(**self.fields)


class FieldRefused(Refusal):
    """A parameter has a value that cannot be accepted."""

    def __init__(self, param: str, message: str, *, code: str | None = None) -> None:
        self._message = message
        self._code = code
        super().__init__(param=param)

    @property
    def message(self) -> str:
        return self._message

    @property
    def field_code(self) -> str | None:
        """The wire's code for this very refusal, such as `parameter_missing`."""
        return self._code
