"""Pages of lists: by id, newest first, with an optional range of moments.

Ids sort by the time they were drawn, so a range of moments narrows the range of ids, and a deep
page costs what the first one does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from tillgate.kernel.ids import floor_id, with_prefix

Row = TypeVar("Row")

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)
#: Sorts after every id in every collation.
LAST_ID: Final = "zzzz"


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted. `after` and `before` are ids; at most one is given."""

    limit: int = 10
    after: str | None = None
    before: str | None = None
    created_from: datetime = _FIRST
    created_to: datetime = _LAST  # exclusive

    def bounds(self, prefix: str) -> tuple[str, str]:
        """Return ids between which (exclusive) all rows of this page lie, of ids with `prefix`."""
        low, high = self.before or "", self.after or LAST_ID
        # A day's margin: a row is written a little after its id is drawn.
        if self.created_from > _FIRST:
            low = max(low, floor_id(prefix, self.created_from - timedelta(days=1)))
        if self.created_to < _LAST:
            high = min(high, floor_id(prefix, self.created_to + timedelta(days=1)))
        return low, high

    def under(self, prefix: str) -> Page:
        """Return the same page with its cursors under another prefix."""
        after = None if self.after is None else with_prefix(prefix, self.after)
        before = None if self.before is None else with_prefix(prefix, self.before)
        return replace(self, after=after, before=before)


@dataclass(frozen=True, slots=True)
class Rows(Generic[Row]):
    """A page of rows, newest first, and whether there are more in the direction asked."""

    data: list[Row]
    has_more: bool
