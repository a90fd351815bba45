"""Integers of a request are written as integers: `10.00` is no ten, and `1e3` no thousand.

Who reads a form takes a number for an integer where it is a whole one, so that a client that sends
major units would be off by a hundred. What was read is compared with what was written, once it fits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import msgspec
from msgspec import inspect

from tillgate.kernel.errors import FieldRefused

#: Refuse what was written at a place, which has this name.
Check = Callable[[Any, str], None]


def require_integers(tree: dict[str, Any], shape: type[msgspec.Struct]) -> None:
    """Refuse a number that is no integer where `shape`, which the tree has been read as, has one."""
    for name, check in _checks(shape):
        value = tree.get(name)
        if value is not None:
            check(value, name)


@cache
def _checks(shape: type[msgspec.Struct]) -> tuple[tuple[str, Check], ...]:
    described = inspect.type_info(shape)
    assert isinstance(described, inspect.StructType), "requests are Structs"
    return _checks_of_fields(described)


def _checks_of_fields(shape: inspect.StructType) -> tuple[tuple[str, Check], ...]:
    found = [(field.encode_name, _check_of(field.type)) for field in shape.fields]
    return tuple((name, check) for name, check in found if check is not None)


def _check_of(kind: inspect.Type) -> Check | None:
    """Return the check of a place, if an integer may stand there or below it."""
    match kind:
        case inspect.IntType():
            return _check_integer
        case inspect.Metadata():
            return _check_of(kind.type)
        case inspect.StructType():
            fields = _checks_of_fields(kind)
            return partial(_check_fields, fields) if fields else None
        case inspect.ListType() | inspect.VarTupleType():
            check = _check_of(kind.item_type)
            return partial(_check_items, check) if check else None
        case inspect.UnionType():
            if any(isinstance(one, inspect.StrType | inspect.FloatType) for one in kind.types):
                return None
            checks = [check for one in kind.types if (check := _check_of(one)) is not None]
            return partial(_check_all, checks) if len(checks) > 1 else next(iter(checks), None)
        case _:
            return None


def _check_integer(value: Any, name: str) -> None:
    if isinstance(value, float) or (isinstance(value, str) and not value.lstrip("-").isdecimal()):
        raise FieldRefused(
            name, f"Invalid integer: {str(value)[:60]}", code="parameter_invalid_integer"
        )


def _check_fields(fields: tuple[tuple[str, Check], ...], value: Any, name: str) -> None:
    if isinstance(value, dict):
        below = cast("dict[str, Any]", value)
        for field, check in fields:
            if below.get(field) is not None:
                check(below[field], f"{name}[{field}]")


def _check_items(check: Check, value: Any, name: str) -> None:
    if isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            check(item, f"{name}[{index}]")


def _check_all(checks: list[Check], value: Any, name: str) -> None:
    for check in checks:
        check(value, name)
