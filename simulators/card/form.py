"""Read Stripe's form dialect: `a[b][c]=v`, `a[0]=v`, `a[]=v`, into plain nested dictionaries.

Lists stay dictionaries with numbers for keys until `listed` is asked: the sender's two spellings
of a list then have one canonical form, which is what an idempotency key is compared by.
"""

import hashlib
from functools import lru_cache
from typing import TypeAlias

import msgspec

from simulators.card.errors import invalid, invalid_integer, missing, unknown_parameter
from simulators.common.forms import unquoted

Value: TypeAlias = "str | dict[str, Value]"
Form: TypeAlias = dict[str, Value]

MAX_METADATA_KEYS = 50
MAX_METADATA_KEY = 40
MAX_METADATA_VALUE = 500

_ENCODER = msgspec.json.Encoder(order="deterministic")


def parse(text: str) -> Form:
    """Return the nested form; a later value of the same name wins, as at Stripe."""
    form: Form = {}
    for pair in text.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        step, *rest = _steps(name)
        if rest:
            _put(form, step, rest, unquoted(value))
        else:
            form[step] = unquoted(value)
    return form


@lru_cache(maxsize=512)
def _steps(name: str) -> tuple[str, ...]:
    """Take `a[b][c]` apart; there are few names, and they come again with every form."""
    name = unquoted(name)
    return tuple(name.replace("]", "").split("[")) if "[" in name else (name,)


def _put(form: Form, step: str, rest: list[str], value: str) -> None:
    level = form
    for following in rest:
        below = level.get(step)
        if not isinstance(below, dict):
            below = {}
            level[step] = below
        level = below
        step = following or str(len(level))
    level[step] = value


def digest(method: str, path: str, form: Form) -> bytes:
    """Return what two requests must share to be the same request, whatever the field order."""
    canonical = _ENCODER.encode([method, path, form])
    return hashlib.blake2b(canonical, digest_size=16).digest()


def only(form: Form, allowed: frozenset[str]) -> None:
    """Refuse a parameter nobody knows, as Stripe does."""
    if not form.keys() <= allowed:
        raise unknown_parameter(min(form.keys() - allowed))


def text(form: Form, name: str) -> str | None:
    """Return the value, or None when it is absent or was cleared with an empty string."""
    value = form.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        raise invalid(f"Invalid string: {name}", name)
    return value


def required(form: Form, name: str) -> str:
    """Return the value or refuse the request with `parameter_missing`."""
    value = text(form, name)
    if value is None:
        raise missing(name)
    return value


def whole(form: Form, name: str) -> int | None:
    """Return a whole number; anything else is `parameter_invalid_integer`."""
    value = text(form, name)
    if value is None:
        return None
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise invalid_integer(name, value)
    return int(value)


def flag(form: Form, name: str) -> bool:
    """Return a boolean spelled `true` or `false`; absent is false."""
    value = text(form, name)
    if value in (None, "false"):
        return False
    if value == "true":
        return True
    raise invalid(f"Invalid boolean: {value}", name)


def choice(form: Form, name: str, allowed: tuple[str, ...]) -> str | None:
    """Return one of the allowed words."""
    value = text(form, name)
    if value is not None and value not in allowed:
        raise invalid(f"Invalid {name}: must be one of {', '.join(allowed)}", name)
    return value


def mapping(form: Form, name: str) -> Form:
    """Return the form nested under the name, empty when there is none."""
    value = form.get(name)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise invalid(f"Invalid object: {name}", name)
    return value


def listed(form: Form, name: str) -> list[str]:
    """Return a list of strings in the order of its indices."""
    value = form.get(name)
    if value is None or value == "":
        return []
    if not isinstance(value, dict) or not all(map(str.isdigit, value)):
        raise invalid(f"Invalid array: {name}", name)
    ordered = [value[key] for key in sorted(value, key=int)]
    return [item for item in ordered if isinstance(item, str)]


def metadata(form: Form, before: dict[str, str] | None = None) -> dict[str, str]:
    """Return metadata as it stands after this request; an empty value deletes its key."""
    if form.get("metadata") == "":
        return {}
    after = dict(before) if before else {}
    for key, value in mapping(form, "metadata").items():
        if not isinstance(value, str):
            raise invalid("Metadata values must be strings.", f"metadata[{key}]")
        if len(key) > MAX_METADATA_KEY or len(value) > MAX_METADATA_VALUE:
            raise invalid("Metadata keys and values are limited in length.", f"metadata[{key}]")
        if value == "":
            after.pop(key, None)
        else:
            after[key] = value
    if len(after) > MAX_METADATA_KEYS:
        raise invalid("Metadata can have up to 50 keys.", "metadata")
    return after
