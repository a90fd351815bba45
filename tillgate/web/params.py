"""Parameters as they come over the wire, to one plain tree: forms with brackets, JSON, queries.

In the tree a value is text, a number, a truth, None (cleared: `""` in a form, `null` in JSON), a
list or a dict. Depth, number and length are limited here, before anything else looks at them.
"""

from __future__ import annotations

from typing import Any, Final, cast
from urllib.parse import unquote_plus

import msgspec

from tillgate.kernel.errors import FieldRefused
from tillgate.runtime.redaction import holds_card_number

MAX_PARAMETERS: Final = 1000
MAX_DEPTH: Final = 6
MAX_TEXT: Final = 22_000

_decode_json = msgspec.json.Decoder().decode


def read_form(text: str) -> dict[str, Any]:
    """Read `a=1&b[c]=2&d[0]=x&d[]=y` into a tree.

    >>> read_form("amount=100&metadata[order]=A%20b&expand[]=customer")
    {'amount': '100', 'metadata': {'order': 'A b'}, 'expand': ['customer']}
    """
    if not text:
        return {}
    pairs = text.split("&")
    if len(pairs) > MAX_PARAMETERS:
        raise _unreadable(f"Too many parameters: at most {MAX_PARAMETERS} are read.")
    tree: dict[str, Any] = {}
    for pair in pairs:
        if pair:
            name, _, value = pair.partition("=")
            _place(tree, *_plain(name, value))
    return {name: _cleaned(value, name, name, 1) for name, value in tree.items()}


def read_json(body: bytes) -> dict[str, Any]:
    """Read a JSON object into a tree."""
    try:
        tree = _decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _unreadable("The request body is not valid JSON.") from None
    except RecursionError:
        raise _unreadable("The request body is nested too deeply.") from None
    if not isinstance(tree, dict):
        raise _unreadable("The request body must be a JSON object.")
    count = [0]
    fields = cast("dict[str, Any]", tree)
    return {name: _cleaned(value, name, name, 1, count) for name, value in fields.items()}


def read_body(body: bytes, content_type: bytes) -> dict[str, Any]:
    """Read a body by its content type; a body without one is a form."""
    if not body:
        return {}
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == b"application/json":
        return read_json(body)
    if kind not in {b"", b"application/x-www-form-urlencoded"}:
        raise _unreadable("Send application/x-www-form-urlencoded or application/json, please.")
    try:
        return read_form(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise _unreadable("The request body is not valid UTF-8.") from None


def _plain(name: str, value: str) -> tuple[str, str]:
    """Unquote both; where that cannot be done the parameter is named as far as it can be read."""
    try:
        return _unquoted(name), _unquoted(value)
    except UnicodeDecodeError:
        readable = _short(unquote_plus(name, errors="replace"))
        raise FieldRefused(readable, f"Invalid string: {readable} is not valid UTF-8.") from None


def _unquoted(text: str) -> str:
    return text if "%" not in text and "+" not in text else unquote_plus(text, errors="strict")


def _place(tree: dict[str, Any], name: str, value: str) -> None:
    head, bracket, rest = name.partition("[")
    if not bracket:
        tree[name] = value
        return
    if not rest.endswith("]") or not head:
        raise FieldRefused(_short(name), f"Invalid parameter name: {_short(name)}")
    segments = [head, *rest[:-1].split("][")]
    if len(segments) > MAX_DEPTH:
        raise FieldRefused(_short(head), f"Parameters nest at most {MAX_DEPTH} levels.")
    node = tree
    for segment in segments[:-1]:
        child: Any = node.setdefault(segment or str(len(node)), {})
        if not isinstance(child, dict):
            raise FieldRefused(_short(head), f"Invalid object: {_short(head)} has two shapes.")
        node = cast("dict[str, Any]", child)
    node[segments[-1] or str(len(node))] = value


def _short(name: str) -> str:
    return name[:80].replace("\x00", "")


def _cleaned(value: Any, name: str, path: str, depth: int, count: list[int] | None = None) -> Any:
    """Check a value of the tree and everything in it; lists of forms become lists, "" None."""
    if isinstance(value, str):
        return _text(value, name, path)
    if count is not None:
        count[0] += 1
        if count[0] > MAX_PARAMETERS:
            raise FieldRefused(_short(path), "Too many parameters.")
    if depth > MAX_DEPTH and isinstance(value, dict | list):
        raise FieldRefused(_short(path), f"Parameters nest at most {MAX_DEPTH} levels.")
    if isinstance(value, dict):
        return _object(cast("dict[str, Any]", value), name, path, depth, count)
    if isinstance(value, list):
        return [
            _cleaned(item, name, f"{path}[{index}]", depth + 1, count)
            for index, item in enumerate(cast("list[Any]", value))
        ]
    return value


def _object(
    value: dict[str, Any], name: str, path: str, depth: int, count: list[int] | None
) -> Any:
    if name != "metadata" and count is None and value and all(map(str.isdecimal, value)):
        items = sorted(value.items(), key=lambda item: (len(item[0]), item[0]))
        return [_cleaned(item, name, f"{path}[{key}]", depth + 1) for key, item in items]
    cleaned: dict[str, Any] = {}
    for key, item in value.items():
        if name == "metadata" and holds_card_number(key):
            raise card_number_refused(path)
        under = f"{path}[{key}]"
        # Below `metadata` a key has no meaning of its own.
        cleaned[key] = _cleaned(
            item, "metadata" if name == "metadata" else _role(name, key), under, depth + 1, count
        )
    return cleaned


def _role(parent: str, key: str) -> str:
    return "card number" if parent == "card" and key == "number" else key


def _text(value: str, name: str, path: str) -> str | None:
    if value == "":
        return None
    if "\x00" in value:
        raise FieldRefused(_short(path), f"Invalid string: {_short(path)} holds a NUL character.")
    if len(value) > MAX_TEXT:
        raise FieldRefused(_short(path), f"Invalid string: {_short(path)} is too long.")
    if len(value) > 12 and name != "card number" and holds_card_number(value):
        raise card_number_refused(path)
    return value


def card_number_refused(path: str) -> FieldRefused:
    """Say that a card number stands where it must not."""
    return FieldRefused(
        _short(path),
        f"{_short(path)} looks like a card number. Card numbers are never stored here: send the"
        " provider's token instead.",
        code="card_number_refused",
    )


def _unreadable(message: str) -> FieldRefused:
    """The request as a whole cannot be read, so no parameter is to blame."""
    return FieldRefused("", message, code="request_unreadable")
