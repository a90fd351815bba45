"""Lists on the wire: cursors in, `{object: "list", url, has_more, data}` out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from tillgate.kernel.clock import from_unix
from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.paging import Page, Rows
from tillgate.web.operation import Call
from tillgate.web.reading import MAX_UNIX, Id, Request, Unix

Value = TypeVar("Value")
Shown = TypeVar("Shown")
#: Asks whether a cursor is the id of one of the objects whose list it is.
IsThere = Callable[[str], Awaitable[bool]]


class Range(Request, frozen=True, kw_only=True):
    """A range of moments."""

    gt: Unix | None = None
    gte: Unix | None = None
    lt: Unix | None = None
    lte: Unix | None = None


class CursorRequest(Request, frozen=True, kw_only=True):
    """What every list takes: a cursor is the id of an object of the list."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: Id | None = None
    ending_before: Id | None = None


class ListRequest(CursorRequest, frozen=True, kw_only=True):
    """A list that can be narrowed to a range of moments."""

    created: Range | Unix | None = None


class ListOf(msgspec.Struct, Generic[Shown], frozen=True):
    """A page of a list, newest first."""

    object: str
    url: str
    has_more: bool
    data: list[Shown]


def filters_of(request: type[msgspec.Struct]) -> list[str]:
    """Return by what a list can be narrowed; nothing of what is no list."""
    if not issubclass(request, CursorRequest):
        return []
    names = {field.name for field in msgspec.structs.fields(request)}
    return sorted(names.difference(CursorRequest.__struct_fields__))


async def read_page(request: CursorRequest, prefix: str, name: str, is_there: IsThere) -> Page:
    """Return the page a list request asks for; its objects' ids have `prefix`, and `name` is theirs.

    A page that began where no object is would be another one than was meant, so `is_there` is asked,
    in the transaction that reads the page and only where there is a cursor.
    """
    if request.starting_after is not None and request.ending_before is not None:
        raise FieldRefused(
            "ending_before", "starting_after and ending_before cannot be given together."
        )
    for param in ("starting_after", "ending_before"):
        cursor = getattr(request, param)
        if cursor is None:
            continue
        is_readable = cursor.startswith(f"{prefix}_") and cursor.isascii()
        if not (is_readable and await is_there(cursor)):
            raise FieldRefused(param, f"No such {name}: '{cursor}'", code="resource_missing")
    created = request.created if isinstance(request, ListRequest) else None
    if isinstance(created, int):
        created = Range(gte=created, lte=created)
    first, last = _moments(created) if created else (None, None)
    plain = Page()
    return Page(
        request.limit,
        request.starting_after,
        request.ending_before,
        first or plain.created_from,
        last or plain.created_to,
    )


def _moments(created: Range) -> tuple[datetime | None, datetime | None]:
    """Return the range as (from, inclusive) and (to, exclusive)."""
    lows = [from_unix(created.gte)] if created.gte is not None else []
    if created.gt is not None:
        lows.append(_next(created.gt))
    highs = [from_unix(created.lt)] if created.lt is not None else []
    if created.lte is not None:
        highs.append(_next(created.lte))
    return max(lows, default=None), min(highs, default=None)


def _next(seconds: int) -> datetime:
    if seconds >= MAX_UNIX - 86_400:
        return datetime(9999, 12, 31, tzinfo=UTC)
    return from_unix(seconds) + timedelta(seconds=1)


def cut(found: Sequence[Value], page: Page) -> Rows[Value]:
    """Return what was found, one more than the page's limit being asked for, as a page."""
    has_more = len(found) > page.limit
    if page.before is not None:
        return Rows(list(found[-page.limit :]), has_more)
    return Rows(list(found[: page.limit]), has_more)


def show_list(call: Call, rows: Rows[Value], show: Callable[[Value], Shown]) -> ListOf[Shown]:
    """Show a page."""
    return ListOf("list", call.path, rows.has_more, [show(value) for value in rows.data])
