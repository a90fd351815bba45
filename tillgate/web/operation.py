"""An API operation as a row of a table, a request under way, and its answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, Final, Literal, TypeVar

import msgspec

from tillgate.kernel.errors import Kind, Refusal
from tillgate.runtime.idempotency import Asked, Stored
from tillgate.runtime.once import OnceItem, OnceLane
from tillgate.web.auth import Caller
from tillgate.web.refusals import render_failure, render_refusal

Body = TypeVar("Body", bound=msgspec.Struct)
Payload = TypeVar("Payload")
Result = TypeVar("Result")
Shown = TypeVar("Shown")

Method = Literal["GET", "POST", "DELETE"]

_log = logging.getLogger("tillgate.api")
_encode = msgspec.json.Encoder().encode
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


class Answer:
    """Status, body and what else the caller should be told."""

    __slots__ = ("body", "original_request", "should_retry", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        *,
        original_request: str | None = None,
        should_retry: bool | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.original_request = original_request
        self.should_retry = should_retry


class NoSuchObject(Refusal):
    """No such object: '{name}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"

    def __init__(self, name: str, *, param: str = "id") -> None:
        super().__init__(name=name[:100].replace("\x00", ""), param=param)


class Call:
    """One request: who calls, what is asked, under which key."""

    __slots__ = (
        "caller",
        "client_ip",
        "expand",
        "idempotency_key",
        "is_held",
        "kept_key",
        "operation",
        "origin",
        "path",
        "request_hash",
        "request_id",
        "values",
    )

    def __init__(self, operation: Operation, values: Sequence[str], request_id: str) -> None:
        self.operation = operation
        self.values = values
        self.request_id = request_id
        self.path = ""
        self.origin = ""
        self.client_ip: str | None = None
        self.caller: Caller = _NOBODY
        self.idempotency_key: str | None = None
        #: Under what the key is kept, where that is not the key itself.
        self.kept_key: str | None = None
        self.request_hash = b""
        self.expand: list[str] = []
        #: The key has been claimed; else the first thing that is committed takes it.
        self.is_held = False

    @property
    def merchant_id(self) -> int:
        """The tenant the key belongs to."""
        return self.caller.merchant_id

    @property
    def livemode(self) -> bool:
        """Whether it is the merchant's live mode."""
        return self.caller.livemode

    @property
    def id(self) -> str:
        """The (last) id in the path."""
        value = self.values[-1]
        if not _ID.fullmatch(value):
            raise NoSuchObject(value)
        return value

    @property
    def ids(self) -> list[str]:
        """All ids in the path, in order."""
        for value in self.values:
            if not _ID.fullmatch(value):
                raise NoSuchObject(value)
        return list(self.values)

    @property
    def asked(self) -> Asked:
        """The request as idempotency sees it."""
        return Asked(
            self.caller.merchant_id,
            self.kept_key or self.idempotency_key,
            self.request_hash,
            self.request_id,
            self.operation.name,
            self.expand,
            self.idempotency_key,
        )

    def render(
        self, result: Shown | Exception, show: Callable[[Shown], object]
    ) -> tuple[int, bytes]:
        """Return status and body of a result, a refusal or a bug."""
        if isinstance(result, Refusal):
            return render_refusal(result, self.request_id)
        if isinstance(result, Exception):
            _log.error(
                "request %s failed: %s", self.request_id, self.operation.name, exc_info=result
            )
            return render_failure(self.request_id)
        return 200, _encode(show(result))

    async def once(
        self,
        lane: OnceLane[Payload, Result],
        payload: Payload,
        show: Callable[[Result], object],
    ) -> Answer:
        """Do it in the lane: one effect and one stored answer per idempotency key."""
        stored = await lane.submit(
            OnceItem(self.asked, payload, lambda result: self.render(result, show))
        )
        return answer_of(stored)


def answer_of(stored: Stored) -> Answer:
    """Return a stored answer as the answer to this request."""
    return Answer(
        stored.status,
        stored.body,
        original_request=stored.original_request,
        # What is stored is what a repetition would meet again.
        should_retry=False if stored.status >= 500 else None,
    )


#: What a handler returns: an object to be rendered, or an answer already rendered.
Handled = msgspec.Struct | Answer
Handler = Callable[[Call, Any], Awaitable[Handled]]
#: Show the present state of the object an abandoned request had made.
Resume = Callable[[Call, str], Awaitable[Handled]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table."""

    method: Method
    path: str
    request: type[msgspec.Struct]
    answer: Any
    handler: Handler
    summary: str
    description: str = ""
    #: Callable with a publishable key (and the object's client_secret).
    publishable: bool = False
    #: Set for operations of several transactions: they claim their idempotency key.
    resume: Resume | None = None
    #: Whether the first of them takes the key with what it makes (a `KeyedLane`), so that it is not
    #: claimed before. Whatever is answered then tells of what was made; what is refused is raised.
    takes_key: bool = False
    example: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """A unique name, such as `post_customers_customer`."""
        return _name_of(self.method, self.path)

    @property
    def tag(self) -> str:
        """The resource: the first segment after /v1."""
        return self.path.split("/")[2]


@cache
def _name_of(method: str, path: str) -> str:
    words = re.findall(r"[a-z_]+", path.removeprefix("/v1"))
    return "_".join([method.lower(), *words])


def operation(  # noqa: PLR0913  a row has columns
    method: Method,
    path: str,
    request: type[Body],
    answer: Any,
    handler: Callable[[Call, Body], Awaitable[Handled]],
    summary: str,
    *,
    description: str = "",
    publishable: bool = False,
    resume: Resume | None = None,
    takes_key: bool = False,
    example: dict[str, Any] | None = None,
) -> Operation:
    """Make a row; the handler's body must be the row's request."""
    return Operation(
        method=method,
        path=path,
        request=request,
        answer=answer,
        handler=handler,
        summary=summary,
        description=description,
        publishable=publishable,
        resume=resume,
        takes_key=takes_key,
        example=example or {},
    )


#: Stripe's segment for searching, where an id may stand: it is none.
SEARCH: Final = "search"
_NOBODY: Final = Caller(0, "", livemode=False, key_id="", kind="publishable")


class Table:
    """Operations by method and path: a tree of segments."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = list(operations)
        self.by_name = {row.name: row for row in operations}
        self._root = _Node()
        for row in operations:
            self._root.add(row.path.strip("/").split("/"), row)
        self._root.keep_apart(SEARCH)

    def find(self, method: str, path: str) -> tuple[Operation, list[str]] | set[str]:
        """Return the operation and the path's values, or the methods that would be possible."""
        values: list[str] = []
        node: _Node | None = self._root
        for segment in path.strip("/").split("/"):
            child = node.fixed.get(segment)
            if child is None:
                child = node.any
                values.append(segment)
            if child is None or not segment:
                return set()
            node = child
        found = node.rows.get(method)
        return (found, values) if found is not None else set(node.rows)


class _Node:
    __slots__ = ("any", "fixed", "rows")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.rows: dict[str, Operation] = {}

    def add(self, segments: list[str], row: Operation) -> None:
        """Hang a row at its path."""
        if not segments:
            assert row.method not in self.rows, f"{row.method} {row.path} stands twice"
            self.rows[row.method] = row
            return
        head, *rest = segments
        if head.startswith("{"):
            self.any = self.any or _Node()
            self.any.add(rest, row)
        else:
            self.fixed.setdefault(head, _Node()).add(rest, row)

    def keep_apart(self, word: str) -> None:
        """Let no id be this word."""
        below = [*self.fixed.values()]
        if self.any is not None:
            below.append(self.any)
            self.fixed.setdefault(word, _Node())
        for node in below:
            node.keep_apart(word)
