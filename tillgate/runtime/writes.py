"""Writes that can wait: noted one by one, sent together in one statement and one round trip.

A batch writes to half a dozen tables. Sent one after the other, each write costs a round trip, in
which the batch's locks are held and nothing else is done; joined as the parts of one statement
(data-modifying WITH), they cost one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final, LiteralString, NamedTuple, cast


class Write(NamedTuple):
    """A statement that was put off; how many rows it has to touch, and what to say if it does not."""

    sql: LiteralString
    args: tuple[object, ...]
    rows: int | None
    otherwise: str | Exception

    @property
    def failure(self) -> Exception:
        """What to raise where it has touched more or fewer rows than it should."""
        if isinstance(self.otherwise, Exception):
            return self.otherwise
        return AssertionError(self.otherwise)


class Notebook:
    """Writes that were put off, in order. A transaction is one that can send them."""

    __slots__ = ("_writes",)

    def __init__(self) -> None:
        self._writes: list[Write] = []

    def later(
        self,
        sql: LiteralString,
        *args: object,
        rows: int | None = None,
        otherwise: str | Exception = "a row was lost",
    ) -> None:
        """Put off a plain INSERT, UPDATE or DELETE (no WITH, no RETURNING).

        Where `rows` is given it must touch as many; if not, the transaction fails with `otherwise`.
        """
        self._writes.append(Write(sql, args, rows, otherwise))

    def rows_later(self, rows: Sequence[object], *texts: LiteralString) -> None:
        """Put off INSERTs that are given the same rows, and nothing else.

        Where the same ones wait already, these rows go with theirs, in one statement.
        """
        given = list(rows)
        for place, write in enumerate(self._writes):
            if write.sql == texts[0]:
                given[:0] = cast("list[object]", write.args[0])
                del self._writes[place : place + len(texts)]
                break
        self._writes += [Write(sql, (given,), None, "") for sql in texts]

    @property
    def is_one_statement(self) -> bool:
        """Whether all of it can be sent at once, and so needs no transaction around it."""
        return not first_of_each_table(self._writes)[1]

    def take_over(self, notebook: Notebook) -> None:
        """Put off all that was put off there."""
        self._writes += notebook._writes


#: Raised by `runtime.expect`, with the place of the write as its message.
NOT_AS_WANTED: Final = "TG001"

_WRITES = re.compile(r"\s*(?:insert\s+into|update|delete\s+from)\s+([a-z_.]+)", re.IGNORECASE)
_PARAMETER = re.compile(r"\$(\d+)")


def first_of_each_table(writes: list[Write]) -> tuple[list[Write], list[Write]]:
    """Split off the writes that can go together: up to the first second write to a table.

    The parts of one statement do not see what the others do.
    """
    tables: set[str] = set()
    for index, write in enumerate(writes):
        table = _table(write.sql)
        if table in tables:
            return writes[:index], writes[index:]
        tables.add(table)
    return writes, []


def together(writes: list[Write]) -> tuple[LiteralString, list[object]]:
    """Return one statement that makes all these writes and fails where a count is not as wanted,
    and its arguments. Rows that several writes are given are sent once."""
    args: list[object] = []
    places: dict[int, int] = {}
    parts: list[tuple[str, tuple[int, ...]]] = []
    for write in writes:
        numbers: list[int] = []
        for arg in write.args:
            # Only what is given as the same object: equal numbers may be of different types.
            key = id(arg)
            place = places.get(key)
            if place is None or not isinstance(arg, list):
                args.append(arg)
                place = places[key] = len(args)
            numbers.append(place)
        parts.append((write.sql, tuple(numbers)))
    args.append([write.rows for write in writes])
    return _joined(len(args), *parts), args


@cache
def _joined(last: int, *parts: tuple[str, tuple[int, ...]]) -> LiteralString:
    """Put the parts together: statements, and which parameters of the whole theirs are.

    The last parameter is the rows each has to touch. The counts are asked for in order, and with
    them the writes are made in order; nothing but the order of locks depends on it.
    """
    writes: list[str] = []
    for index, (sql, numbers) in enumerate(parts):
        numbered = _PARAMETER.sub(lambda found, to=numbers: f"${to[int(found[1]) - 1]}", sql)
        writes.append(f"w{index} AS ({numbered.strip()} RETURNING 1)")
        writes.append(f"n{index} AS (SELECT count(*) FROM w{index})")  # noqa: S608
    counts = ", ".join(f"(TABLE n{index})" for index in range(len(parts)))
    # Put together from literals only: each part came in as a LiteralString.
    text = f"WITH {', '.join(writes)} SELECT runtime.expect(ARRAY[{counts}], ${last})"
    return cast("LiteralString", text)


@cache
def _table(sql: str) -> str:
    found = _WRITES.match(sql)
    assert found is not None, f"only a plain write can be put off: {sql}"
    return found[1]
