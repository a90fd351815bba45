"""Structs as rows of a composite type: what a batch's statement is given, one array for each table.

    rows = RowsOf(TopUp)(top_ups)      # for INSERT ... SELECT * FROM unnest($1::..._row[])

The Struct's fields are the type's attributes, in order (proved by a test); what is no scalar goes
as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    """Turns Structs of one kind into rows."""

    def __init__(self, kind: type[Kind]) -> None:
        fields = msgspec.structs.fields(kind)
        self._json = [index for index, field in enumerate(fields) if _is_json(field.type)]

    def __call__(self, items: Iterable[Kind]) -> list[Row]:
        """Return the rows."""
        return [self._row(item) for item in items]

    def _row(self, item: Kind) -> Row:
        values = list(msgspec.structs.astuple(item))
        for index in self._json:
            if values[index] is not None:
                values[index] = _encode(values[index]).decode()
        return tuple(values)


def _is_json(annotation: Any) -> bool:
    info = type_info(annotation)
    kinds = info.types if isinstance(info, UnionType) else (info,)
    return any(isinstance(kind, _AS_JSON) for kind in kinds)
