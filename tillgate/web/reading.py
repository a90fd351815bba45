"""From the tree of parameters to a room's Struct, with errors in Stripe's words."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeVar, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tillgate.kernel import metadata
from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.money import MAX_MINOR
from tillgate.runtime.redaction import holds_card_number
from tillgate.web.integers import require_integers

Body = TypeVar("Body", bound=msgspec.Struct)
Value = TypeVar("Value")

#: The latest moment the wire may name: the end of the year 9999.
MAX_UNIX = 253_402_300_799


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operation reads. A field that may be cleared is `X | None | UnsetType = UNSET`.

    What fields mean is said in `api/words.toml`, for the OpenAPI and whoever reads it.
    """


class Nothing(Request, frozen=True, kw_only=True):
    """The operation takes no parameters."""


Amount = Annotated[
    int,
    Meta(ge=1, le=MAX_MINOR, description="A positive number of the currency's smallest unit."),
]
CurrencyCode = Annotated[
    str, Meta(min_length=3, max_length=3, description="Three letters, lower case.")
]
Text = Annotated[str, Meta(max_length=5000)]
ShortText = Annotated[str, Meta(max_length=500)]
Id = Annotated[str, Meta(min_length=1, max_length=100)]
Url = Annotated[str, Meta(max_length=2048, pattern="^[Hh][Tt][Tt][Pp][Ss]?://[^\\s/]+")]
Unix = Annotated[
    int, Meta(ge=0, le=MAX_UNIX, description="A moment in seconds since the Unix epoch.")
]
#: "" as a value deletes the key; "" (or null) as the whole deletes all keys.
MetadataChange = Annotated[
    dict[str, str | int | float | bool | None] | None,
    Meta(
        description="Up to 50 keys of 40 characters with values of 500; an empty value deletes the key."
    ),
]

_AT = re.compile(r"^(.*?)(?: - at (?:`(\$[^`]*)`|(key) in `(\$[^`]*)`))?$", re.DOTALL)
_FIELD = re.compile(r"field `([^`]*)`")
_EXPECTED = re.compile(r"Expected `([^`]*)`")
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+|\.\.\.)\]")


def read(tree: dict[str, Any], shape: type[Body]) -> Body:
    """Return the tree as `shape`, or refuse it naming the parameter."""
    try:
        body = msgspec.convert(tree, shape, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), tree) from None
    require_integers(tree, shape)
    return body


def given(value: Value | UnsetType) -> Value | None:
    """Return what was given, or None where nothing was. Of a field that may be left out and means a
    lot then (all that is left, say): it is `X | UnsetType = UNSET`, so that an empty one, which a client
    sends whose variable is empty, is refused and not taken for one that was left out."""
    return None if value is UNSET else value


def read_metadata(change: dict[str, Any] | UnsetType | None) -> dict[str, str]:
    """Check metadata for a new object."""
    return dict(metadata.merge({}, read_metadata_change(change)))


def read_metadata_change(
    change: dict[str, Any] | UnsetType | None,
) -> dict[str, str | None] | UnsetType | None:
    """Check a change of metadata, to be merged under the object's lock; None deletes."""
    if change is None or change is UNSET:
        return change
    return {
        key: None if value is None or value == "" else _metadata_value(key, value)
        for key, value in change.items()
    }


def _metadata_value(key: str, value: str | float | bool) -> str:  # noqa: FBT001  a value of the tree
    name = f"metadata[{key[:60]}]"
    if not key or len(key) > 40 or "[" in key or "]" in key or "\x00" in key:
        raise FieldRefused(name, "Metadata keys have 1 to 40 characters and no square brackets.")
    text = (
        value
        if isinstance(value, str)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
    if len(text) > 500:
        raise FieldRefused(name, "Metadata values have at most 500 characters.")
    if not isinstance(value, str) and holds_card_number(text):
        raise FieldRefused(name, f"{name} looks like a card number.", code="card_number_refused")
    return text


def _refusal(message: str, tree: dict[str, Any]) -> FieldRefused:
    """Say in Stripe's words what msgspec found."""
    match = _AT.match(message)
    assert match is not None, "every message matches"
    text, path = match.group(1), match.group(2) or match.group(4) or "$"
    field = _FIELD.search(text)
    if text.startswith("Object missing required field") and field:
        param = _param(path, field.group(1))
        return FieldRefused(param, f"Missing required param: {param}.", code="parameter_missing")
    if text.startswith("Object contains unknown field") and field:
        param = _param(path, field.group(1))
        return FieldRefused(param, f"Received unknown parameter: {param}", code="parameter_unknown")
    param = _param(path, None)
    return _wrong_value(text, param, _value_at(tree, path))


#: What msgspec says, what we say and which code it has; the first that fits.
_COMPLAINTS: Final = (
    ("enum value", "Invalid {param}: {shown}", "parameter_invalid_enum"),
    ("Expected `bool`", "Invalid boolean: {shown}", "parameter_invalid_boolean"),
    ("Expected `bool | null`", "Invalid boolean: {shown}", "parameter_invalid_boolean"),
    ("length <=", "Invalid string: {param} is too long.", "parameter_too_long"),
    ("regex", "Not a valid value for {param}: {shown}", "url_invalid"),
    ("Expected `object", "Invalid object: {shown}", "parameter_invalid_object"),
    ("Expected `array", "Invalid array: {shown}", "parameter_invalid_array"),
    ("got `object`", "{param} takes no nested values.", "parameter_invalid_object"),
    ("`str`, got", "Invalid string: {shown}", "parameter_invalid_string"),
    ("`str | null`, got", "Invalid string: {shown}", "parameter_invalid_string"),
    ("", "Invalid value for {param}: {shown}", "parameter_invalid_string"),
)


def _wrong_value(text: str, param: str, value: object) -> FieldRefused:
    shown = str(value)[:60] if isinstance(value, str | int | float | bool) else "an object"
    if value is None or "got `null`" in text:
        return FieldRefused(
            param,
            f"You passed an empty value for '{param}'. Empty values unset a parameter, and '{param}'"
            " cannot be unset; leave it out instead.",
            code="parameter_invalid_empty",
        )
    if _is_integer_expected(text) and shown != "an object":
        return _wrong_integer(text, param, shown)
    message, code = next((say, code) for said, say, code in _COMPLAINTS if said in text)
    return FieldRefused(param, message.format(param=param, shown=shown), code=code)


def _is_integer_expected(text: str) -> bool:
    match = _EXPECTED.match(text)
    expected = match.group(1).split(" | ") if match else []
    return "int" in expected and "str" not in expected


def _wrong_integer(text: str, param: str, shown: str) -> FieldRefused:
    if "<=" in text:
        code = "amount_too_large" if param.startswith("amount") else "parameter_invalid_integer"
        return FieldRefused(param, f"{param} is too large: {shown}", code=code)
    what = "positive integer" if ">=" in text else "integer"
    return FieldRefused(param, f"Invalid {what}: {shown}", code="parameter_invalid_integer")


def _steps(path: str) -> list[str]:
    return [match.group(1) or match.group(2) for match in _STEP.finditer(path)]


def _param(path: str, field: str | None) -> str:
    """`$.card.exp[0]` and field `x` to `card[exp][0][x]`."""
    steps = [step for step in (*_steps(path), field) if step and step != "..."]
    return "" if not steps else steps[0] + "".join(f"[{step}]" for step in steps[1:])


def _value_at(tree: Any, path: str) -> object:
    node: object = tree
    for step in _steps(path):
        if isinstance(node, dict):
            fields = cast("dict[str, Any]", node)
            odd = (value for value in fields.values() if not isinstance(value, str))
            node = next(odd, None) if step == "..." else fields.get(step)
        elif isinstance(node, list) and step.isdecimal():
            items = cast("list[Any]", node)
            node = items[int(step)] if int(step) < len(items) else "?"
        else:
            return "?"
    return node
