"""OpenAPI 3.1 from the same rows and Structs that route, parse and render; its words from `words`."""

from __future__ import annotations

from collections.abc import Iterable
from types import UnionType
from typing import Any, Final, get_args

import msgspec

from tillgate.api import words
from tillgate.web.application import API_VERSION
from tillgate.web.expansion import object_name
from tillgate.web.operation import Operation
from tillgate.web.refusals import Envelope

_ERRORS: Final = {
    "400": "The request is wrong; `param` names the parameter.",
    "401": "The API key is missing or unknown.",
    "402": "The parameters were fine, but the provider declined.",
    "403": "The key may not do this.",
    "404": "There is no such object.",
    "409": "Another request with the same Idempotency-Key is under way; try again.",
    "429": "Too many requests; slow down.",
    "500": "Something went wrong on our side.",
    "503": "The database cannot be reached; try again.",
}
#: Statuses whose errors say everything by their type.
_WITHOUT_CODE: Final = frozenset({"401", "500"})
_DESCRIPTION: Final = """\
A payment gateway with wallets, in Stripe's dialect: form or JSON bodies, one error envelope,
prefixed ids, `expand`, cursor lists, metadata, idempotent POSTs. Amounts are whole numbers of the
currency's smallest unit; moments are seconds since the Unix epoch.

**Keys.** `Authorization: Bearer sk_test_…` or Basic with the key as user. Test and live mode share
nothing. **Repeating.** Send `Idempotency-Key` with every POST; the same key with the same
parameters is answered with the same bytes, and does nothing twice.
"""


def document(operations: Iterable[Operation], base_url: str) -> dict[str, Any]:
    """Return the document."""
    rows = list(operations)
    schemas, components = _schemas(rows)
    paths: dict[str, Any] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillgate API",
            "version": API_VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_url}],
        "security": [{"bearer": []}, {"basic": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(row.tag for row in rows)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _schemas(rows: list[Operation]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return the schema of every Struct, and the named components they refer to."""
    shapes = list(
        dict.fromkeys(
            [
                *(row.request for row in rows),
                *(shape for row in rows for shape in _alternatives(row.answer)),
                Envelope,
            ]
        )
    )
    found, components = msgspec.json.schema_components(
        shapes, ref_template="#/components/schemas/{name}"
    )
    schemas = dict(zip(shapes, found, strict=True))
    words.describe(components, words.kinds_of(rows, schemas, components))
    return schemas, _tidied(components)


def _alternatives(shape: Any) -> tuple[Any, ...]:
    return get_args(shape) if isinstance(shape, UnionType) else (shape,)


def _tidied(components: dict[str, Any]) -> dict[str, Any]:
    """Say of shown objects that every property is there, and what `object` is."""
    for schema in components.values():
        named = schema.get("properties", {}).get("object")
        if isinstance(named, dict) and "default" in named:
            named["const"] = named.pop("default")
            always = [name for name in ("id", "object") if name in schema["properties"]]
            schema["required"] = list(dict.fromkeys([*schema.get("required", []), *always]))
    return components


def _operation(
    row: Operation, schemas: dict[Any, Any], components: dict[str, Any]
) -> dict[str, Any]:
    parameters = [_path_parameter(*one) for one in words.path_words(row.path).items()]
    shown: dict[str, Any] = {
        "operationId": row.name,
        "summary": row.summary,
        "tags": [row.tag],
        "responses": _responses(row, schemas),
    }
    if row.description:
        shown["description"] = row.description
    if row.method == "POST":
        parameters.append(_KEY)
        shown["requestBody"] = _body(row, schemas)
    else:
        parameters += _query(row, schemas, components)
    if parameters:
        shown["parameters"] = parameters
    return shown


_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Repeat the request with the same key as often as you like: it is done once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def _path_parameter(name: str, about: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "description": about,
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 100},
    }


def _query(row: Operation, schemas: dict[Any, Any], components: dict[str, Any]) -> list[Any]:
    """Return the request's fields as parameters of the query; objects as `name[key]`."""
    name = schemas[row.request]["$ref"].rpartition("/")[2]
    schema = components[name]
    required = set(schema.get("required", []))
    parameters: list[dict[str, Any]] = [
        {
            "name": field,
            "in": "query",
            "required": field in required,
            "description": shape.get("description", ""),
            "schema": shape,
            **({"style": "deepObject", "explode": True} if field == "created" else {}),
        }
        for field, shape in schema.get("properties", {}).items()
    ]
    return [*parameters, _EXPAND]


_EXPAND: Final = {
    "name": "expand",
    "in": "query",
    "description": "Properties to be shown as objects instead of ids (`expand[]=customer`).",
    "schema": {"type": "array", "items": {"type": "string"}, "maxItems": 20},
}


def _body(row: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schemas[row.request]}
    if row.example:
        content["example"] = row.example
    return {
        "required": False,
        "content": {
            "application/x-www-form-urlencoded": {
                **content,
                "encoding": {},
            },
            "application/json": content,
        },
    }


def _responses(row: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    shapes = [schemas[shape] for shape in _alternatives(row.answer)]
    answer = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    error = {"application/json": {"schema": schemas[Envelope]}}
    codes = words.codes_of(row)
    return {
        "200": {
            "description": object_name(row.answer) or "the answer",
            "content": {"application/json": {"schema": answer}},
        },
        **{
            status: _error(text, codes.get(status, []), error)
            for status, text in _ERRORS.items()
            if status in codes or status in _WITHOUT_CODE
        },
    }


def _error(text: str, codes: list[str], content: dict[str, Any]) -> dict[str, Any]:
    """An error and the codes it may come with, in words and for programs."""
    known = words.meanings()
    lines = [f"- `{code}`: {known[code]}" for code in codes]
    shown: dict[str, Any] = {"description": "\n".join([text, "", *lines]).strip()}
    if codes:
        shown["x-codes"] = codes
    return {**shown, "content": content}
