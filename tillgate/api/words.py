"""The words of the API: what each field means, and which codes each operation may answer with.

Kept in `words.toml` and `codes.toml`, apart from the shapes, since one sentence serves many of them.
A field's nearest words win: its object's own, its kind's (lists, requests, answers), the common ones.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from tillgate.web.listing import CursorRequest
from tillgate.web.operation import Operation

_HERE: Final = Path(__file__).parent
_COMMON: Final = "common"

#: Components by name, as the OpenAPI has them.
Components = dict[str, Any]
#: Codes by HTTP status.
Codes = dict[str, list[str]]
#: `lists`, `requests` or `answers`, by component.
Kinds = dict[str, str]


@cache
def fields() -> Mapping[str, Mapping[str, str]]:
    """Return what fields mean, by section."""
    return _read("words.toml")


@cache
def _codes() -> Mapping[str, Any]:
    return _read("codes.toml")


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_HERE / name).read_text(encoding="utf-8"))


def sections(component: str, kind: str) -> list[str]:
    """Return where a component's fields are described, the nearest first."""
    if component.startswith("ListOf_"):
        return ["ListOf"]
    shared = ["lists", "requests"] if kind == "lists" else [kind]
    return [component, *shared, _COMMON]


def describe(components: Components, kinds: Mapping[str, str]) -> None:
    """Give every field its words. Own ones replace what its type says; shared ones do not."""
    for name, schema in components.items():
        own, *shared = [fields().get(place, {}) for place in sections(name, kinds[name])]
        for field, shape in schema.get("properties", {}).items():
            if field in own:
                shape["description"] = own[field]
            elif "description" not in shape:
                words = next((place[field] for place in shared if field in place), None)
                if words is not None:
                    shape["description"] = words


def kinds_of(rows: list[Operation], schemas: Mapping[Any, Any], components: Components) -> Kinds:
    """Return of each component whether it is a list's request, another request or an answer."""
    found: dict[str, str] = {}
    for row in rows:
        (name,) = references(schemas[row.request])
        found[name] = "lists" if issubclass(row.request, CursorRequest) else "requests"
        for below in _reached(components[name], components):
            found.setdefault(below, "requests")
    return {name: found.get(name, "answers") for name in components}


def references(schema: Any) -> list[str]:
    """Return the names of the components a schema refers to."""
    if isinstance(schema, list):
        return [name for value in cast("list[Any]", schema) for name in references(value)]
    if not isinstance(schema, dict):
        return []
    named = cast("dict[str, Any]", schema)
    here = [named["$ref"].rpartition("/")[2]] if "$ref" in named else []
    return here + [name for value in named.values() for name in references(value)]


def _reached(schema: Any, components: Components) -> Iterator[str]:
    for name in references(schema):
        yield name
        yield from _reached(components[name], components)


def codes_of(row: Operation) -> Codes:
    """Return the codes an operation may answer with, by status."""
    table = _codes()
    places = [table["all"], table["operations"].get(row.name, {})]
    if row.method == "POST":
        places.append(table["posts"])
    if "{" in row.path:
        places.append(table["named"])
    if issubclass(row.request, CursorRequest):
        places.append(table["lists"])
    statuses = sorted({status for place in places for status in place})
    return {
        status: sorted({code for place in places for code in _expanded(place.get(status, []))})
        for status in statuses
    }


def _expanded(codes: list[str]) -> Iterator[str]:
    for code in codes:
        if code.startswith("@"):
            yield from _codes()["groups"][code[1:]]
        else:
            yield code


def codes_of_all() -> set[str]:
    """Return the codes that any request, or any POST, or any path with an id can be answered with."""
    places = [_codes()[name] for name in ("all", "posts", "named")]
    return {code for place in places for codes in place.values() for code in _expanded(codes)}


def meanings() -> Mapping[str, str]:
    """Return what each code means."""
    return _codes()["meanings"]


def described_operations() -> set[str]:
    """Return the operations that have codes of their own."""
    return set(_codes()["operations"])


def used_codes(rows: list[Operation]) -> set[str]:
    """Return the codes that some operation may answer with."""
    return {code for row in rows for codes in codes_of(row).values() for code in codes}


def path_words(path: str) -> dict[str, str]:
    """Return what the ids in a path are, by name and in order."""
    return {name: fields()["paths"][name] for name in re.findall(r"\{(\w+)\}", path)}
