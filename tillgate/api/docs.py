"""The documents of the API as they are sent: `/openapi.json` and the page `/docs`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from tillgate.api import words

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HERE = Path(__file__).parent
_POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
    b" connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Document:
    """Something that does not change while we run."""

    content_type: bytes
    body: bytes


def documents(openapi: dict[str, Any]) -> dict[str, Document]:
    """Return the documents by their path."""
    page = render(openapi).encode()
    return {
        "/openapi.json": Document(
            b"application/json", msgspec.json.format(msgspec.json.encode(openapi), indent=1)
        ),
        "/docs": Document(b"text/html; charset=utf-8", page),
        "/docs/docs.css": Document(b"text/css", (_HERE / "docs.css").read_bytes()),
        "/docs/docs.js": Document(b"text/javascript", (_HERE / "docs.js").read_bytes()),
    }


async def send_document(document: Document, scope: MutableMapping[str, Any], send: Send) -> None:
    """Answer with a document."""
    headers = [
        (b"content-type", document.content_type),
        (b"content-length", b"%d" % len(document.body)),
        (b"content-security-policy", _POLICY),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else document.body
    await send({"type": "http.response.body", "body": body})


def render(openapi: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("docs.html").render(
        title=openapi["info"]["title"],
        version=openapi["info"]["version"],
        server=openapi["servers"][0]["url"],
        groups=groups(openapi),
        errors=list(words.meanings().items()),
    )


def groups(openapi: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations by resource, as a page wants them."""
    schemas = openapi["components"]["schemas"]
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in openapi["tags"]}
    server = openapi["servers"][0]["url"]
    for path, methods in openapi["paths"].items():
        for method, row in methods.items():
            groups[row["tags"][0]].append(_entry(path, method.upper(), row, schemas, server))
    return [
        {"name": tag, "title": tag.replace("_", " ").capitalize(), "entries": entries}
        for tag, entries in groups.items()
    ]


def _entry(
    path: str, method: str, row: dict[str, Any], schemas: dict[str, Any], server: str
) -> dict[str, Any]:
    answer = row["responses"]["200"]["content"]["application/json"]["schema"]
    content = row.get("requestBody", {}).get("content", {}).get("application/json", {})
    fields = _fields(content.get("schema", {}), schemas) if content else _parameters(row, schemas)
    return {
        "id": row["operationId"],
        "method": method,
        "path": path,
        "summary": row["summary"],
        "description": row.get("description", ""),
        "fields": fields,
        "answer": _fields(answer.get("anyOf", [answer])[0], schemas),
        "errors": _own_errors(row),
        "curl": _curl(path, method, content.get("example", {}), server),
    }


def _own_errors(row: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the codes by status that not every request can be answered with."""
    everywhere = words.codes_of_all()
    found = (
        (status, [code for code in answer.get("x-codes", []) if code not in everywhere])
        for status, answer in row["responses"].items()
    )
    return [(status, codes) for status, codes in found if codes]


def _parameters(row: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            **_field(one["name"], one["schema"], schemas, is_required=one.get("required", False)),
            "about": one["description"],
        }
        for one in row.get("parameters", [])
        if one["in"] == "query"
    ]


def _fields(
    schema: dict[str, Any], schemas: dict[str, Any], within: str = "", levels: int = 2
) -> list[dict[str, Any]]:
    """Return a schema's fields, those of its objects under names such as `limits[daily]`."""
    found = _resolved(schema, schemas)
    required = set(found.get("required", []))
    fields: list[dict[str, Any]] = []
    for name, shape in found.get("properties", {}).items():
        full = f"{within}[{name}]" if within else name
        fields.append(_field(full, shape, schemas, is_required=name in required and not within))
        nested = next((one for one in [shape, *shape.get("anyOf", [])] if "$ref" in one), None)
        if nested is not None and levels:
            fields += _fields(nested, schemas, full, levels - 1)
    return fields


def _field(
    name: str, shape: dict[str, Any], schemas: dict[str, Any], *, is_required: bool
) -> dict[str, Any]:
    about = _resolved(shape, schemas).get("description", "") if "$ref" in shape else ""
    return {
        "name": name,
        "type": _type(shape),
        "required": is_required,
        "about": shape.get("description", about),
    }


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    return schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _type(shape: dict[str, Any]) -> str:
    if "$ref" in shape:
        return "object"
    if "anyOf" in shape:
        names = dict.fromkeys(_type(one) for one in shape["anyOf"])
        return " or ".join(name for name in names if name != "null") or "null"
    if "enum" in shape:
        return " | ".join(str(one) for one in shape["enum"])
    if "const" in shape:
        return f"“{shape['const']}”"
    if shape.get("type") == "array":
        return f"list of {_type(shape.get('items', {}))}"
    return str(shape.get("type", "any"))


def _curl(path: str, method: str, example: dict[str, Any], server: str) -> str:
    lines = [f"curl {server}{path}", "  -u sk_test_YOUR_KEY:"]
    if method == "DELETE":
        lines.append("  -X DELETE")
    if method == "POST":
        lines.append('  -H "Idempotency-Key: $(uuidgen)"')
        lines += [f'  -d "{name}={value}"' for name, value in flat(example)]
        if not example:
            lines.append("  -X POST")
    return " \\\n".join(lines)


def flat(tree: Any, name: str = "") -> list[tuple[str, str]]:
    """Return a tree as pairs of a form: `a[b][0]` and its value."""
    if isinstance(tree, dict):
        return [
            pair
            for key, value in tree.items()  # pyright: ignore[reportUnknownVariableType]
            for pair in flat(value, f"{name}[{key}]" if name else str(key))  # pyright: ignore[reportUnknownArgumentType]
        ]
    if isinstance(tree, list):
        return [
            pair
            for index, value in enumerate(tree)  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
            for pair in flat(value, f"{name}[{index}]")
        ]
    text = str(tree).lower() if isinstance(tree, bool) else str(tree)
    return [(name, text)]
