"""Structs as rows of a composite type: what a batch's statement is given, one array for each table.

    rows = RowsOf(TopUp)(top_ups)      # for INSERT ... SELECT * FROM unnest($1::..._row[])
    moves = RowsOf(Attempt, MOVES)(attempts)     # some of the fields, where few of them change

The Struct's fields, or those that are named, are the type's attributes, in order (proved by a
test); what is no scalar goes as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.inspect import (
    DictType,
    ListType,
    StructType,
    TupleType,
    UnionType,
    VarTupleType,
    type_info,
)

Kind = TypeVar("Kind", bound=msgspec.Struct)
#: A row as asyncpg takes it: a tuple is a composite value, a list would be an array.
Row = tuple[Any, ...]

_AS_JSON = (DictType, ListType, StructType, TupleType, VarTupleType)
_encode = msgspec.json.Encoder().encode


class RowsOf(Generic[Kind]):
    """Turns Structs of one kind into rows, of all their fields or of some."""

    def __init__(self, kind: type[Kind], names: Sequence[str] = ()) -> None:
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        self._values: Callable[[Kind], tuple[Any, ...]] = (
            attrgetter(*names) if names else msgspec.structs.astuple
        )
        self._json = [
            index for index, name in enumerate(names or fields) if _is_json(fields[name].type)
        ]

    def __call__(self, items: Iterable[Kind]) -> list[Row]:
        """Return the rows."""
        return [self._row(item) for item in items]

    def _row(self, item: Kind) -> Row:
        values = list(self._values(item))
        for index in self._json:
            if values[index] is not None:
                values[index] = _encode(values[index]).decode()
        return tuple(values)


def _is_json(annotation: Any) -> bool:
    info = type_info(annotation)
    kinds = info.types if isinstance(info, UnionType) else (info,)
    return any(isinstance(kind, _AS_JSON) for kind in kinds)
