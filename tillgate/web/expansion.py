"""`expand`: ids in an answer replaced by their objects, at most four levels deep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import UnionType
from typing import Any, Final, cast, get_args, get_origin

import msgspec

from tillgate.kernel.errors import FieldRefused, Kind, Refusal
from tillgate.web.listing import ListOf
from tillgate.web.operation import Call

#: Show one object of the caller by its id.
Loader = Callable[[Call, str], Awaitable[msgspec.Struct]]
MAX_LEVELS: Final = 4

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Expander:
    """Knows which property of which object may be expanded into what.

    `properties`: (object, property) to the object it names; `loaders`: object to its loader.
    """

    def __init__(
        self, properties: Mapping[tuple[str, str], str], loaders: Mapping[str, Loader]
    ) -> None:
        self._properties = properties
        self._loaders = loaders

    def check(self, answer: Any, paths: list[str]) -> None:
        """Refuse a path that leads nowhere, before anything is done."""
        for path in paths:
            steps = path.split(".")
            kind = object_name(answer)
            if get_origin(answer) is ListOf:
                kind = object_name(get_args(answer)[0])
                if steps.pop(0) != "data":
                    raise _unknown(path)
            if not 1 <= len(steps) <= MAX_LEVELS:
                raise FieldRefused(
                    "expand", f"expand goes 1 to {MAX_LEVELS} levels deep ({path[:100]})."
                )
            for step in steps:
                target = self._properties.get((kind, step))
                if target is None:
                    raise _unknown(path)
                kind = target

    async def __call__(self, call: Call, body: bytes) -> bytes:
        """Return the answer with everything expanded that the call asks for.

        What is expanded already stays as it is.
        """
        tree = _decode(body)
        cache: dict[tuple[str, str], Any] = {}
        for path in call.expand:
            await self._walk(call, tree, path.split("."), cache)
        return _encode(tree)

    async def _walk(
        self, call: Call, node: Any, steps: list[str], cache: dict[tuple[str, str], Any]
    ) -> None:
        if isinstance(node, list):
            for item in cast("list[Any]", node):
                await self._walk(call, item, steps, cache)
            return
        if not isinstance(node, dict) or not steps:
            return
        fields = cast("dict[str, Any]", node)
        head, *rest = steps
        target = self._properties.get((str(fields.get("object")), head))
        if target is not None and isinstance(fields[head], str):
            fields[head] = await self._load(call, target, fields[head], cache)
        await self._walk(call, fields.get(head), rest, cache)

    async def _load(
        self, call: Call, target: str, identifier: str, cache: dict[tuple[str, str], Any]
    ) -> Any:
        found = cache.get((target, identifier))
        if found is None:
            try:
                found = _decode(_encode(await self._loaders[target](call, identifier)))
            except Refusal as refusal:
                if refusal.kind is not Kind.NOT_FOUND:
                    raise  # nothing is known of the object, so there is no answer yet
                # What is named does not exist any more, or never did: the id says all there is.
                found = identifier
            cache[target, identifier] = found
        return found


def object_name(shape: Any) -> str:
    """Return what the `object` property of this Struct (the first of a union) says."""
    if isinstance(shape, UnionType):
        shape = get_args(shape)[0]
    return next(
        (
            str(field.default)
            for field in msgspec.structs.fields(get_origin(shape) or shape)
            if field.name == "object"
        ),
        "",
    )


def _unknown(path: str) -> FieldRefused:
    return FieldRefused("expand", f"This property cannot be expanded ({path[:100]}).")
