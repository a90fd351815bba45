"""Reading many: cursor pages, newest first, and pages of what a search found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from simulators.card.books import Drawer
from simulators.card.errors import invalid, no_such
from simulators.card.form import Form, mapping, text, whole
from simulators.card.objects import Plain, Resource

_LIMIT: Final = 10
_MOST: Final = 100
_Kept = TypeVar("_Kept", bound=Resource)
PAGING: Final = frozenset({"limit", "starting_after", "ending_before", "created", "expand"})


@dataclass(frozen=True, slots=True)
class Source(Generic[_Kept]):
    """What a list is drawn from: rows oldest first, and where an id stands among them."""

    rows: Sequence[_Kept]
    place: Callable[[str, str], int]


def whole_drawer(drawer: Drawer[_Kept]) -> Source[_Kept]:
    """List everything of one kind."""
    return Source(drawer.rows, drawer.place)


def few(kind: str, rows: Sequence[_Kept]) -> Source[_Kept]:
    """List a handful that an index found."""

    def place(identity: str, param: str) -> int:
        for at, row in enumerate(rows):
            if row.id == identity:
                return at
        raise no_such(kind, identity, param, status=400)

    return Source(rows, place)


def limit_of(form: Form) -> int:
    """Return how many rows a page shall have."""
    limit = whole(form, "limit")
    if limit is None:
        return _LIMIT
    if not 1 <= limit <= _MOST:
        raise invalid(f"This value must be between 1 and {_MOST}.", "limit")
    return limit


def page(
    source: Source[_Kept], url: str, form: Form, fits: Callable[[_Kept], bool] | None = None
) -> Plain:
    """Return one page, newest first, after or before the cursor."""
    limit = limit_of(form)
    after, before = text(form, "starting_after"), text(form, "ending_before")
    if after is not None and before is not None:
        message = "You cannot use both `starting_after` and `ending_before`."
        raise invalid(message, "ending_before")
    low, high = 0, len(source.rows)
    if after is not None:
        high = source.place(after, "starting_after")
    if before is not None:
        low = source.place(before, "ending_before") + 1
    places = range(low, high) if before is not None else range(high - 1, low - 1, -1)
    found = _collect(source.rows, places, _both(_created_within(form), fits), limit)
    has_more = len(found) > limit
    found = found[:limit]
    if before is not None:
        found.reverse()
    return {"object": "list", "data": found, "has_more": has_more, "url": url}


def _collect(
    rows: Sequence[_Kept], places: range, fits: Callable[[_Kept], bool] | None, limit: int
) -> list[_Kept]:
    """Return one row more than the limit, if there is one, to know whether there are more."""
    if fits is None:
        return [rows[at] for at in places[: limit + 1]]
    found: list[_Kept] = []
    for at in places:
        if fits(rows[at]):
            found.append(rows[at])
            if len(found) > limit:
                break
    return found


def _both(
    one: Callable[[_Kept], bool] | None, other: Callable[[_Kept], bool] | None
) -> Callable[[_Kept], bool] | None:
    if one is None or other is None:
        return one or other
    return lambda row: one(row) and other(row)


def _created_within(form: Form) -> Callable[[Resource], bool] | None:
    given = form.get("created")
    if given is None or given == "":
        return None
    if isinstance(given, str):
        exact = whole(form, "created") or 0
        return lambda row: row.created == exact
    bounds = mapping(form, "created")
    unknown = sorted(bounds.keys() - {"gt", "gte", "lt", "lte"})
    if unknown:
        raise invalid(f"Received unknown parameter: created[{unknown[0]}]", "created")
    least = max(whole(bounds, "gte") or 0, (whole(bounds, "gt") or -1) + 1)
    most = min(
        _or_for_ever(whole(bounds, "lte")), _or_for_ever(whole(bounds, "lt"), exclusive=True)
    )
    return lambda row: least <= row.created <= most


def _or_for_ever(bound: int | None, *, exclusive: bool = False) -> int:
    if bound is None:
        return 1 << 62
    return bound - 1 if exclusive else bound
