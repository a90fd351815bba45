"""What many ask for at the same time is done once, and they share what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Shared(Generic[Key, Value]):
    """Calls `do` for a key, unless a call for that key is under way; then that one is waited for.

    Nothing is remembered once it is done. A failure is everybody's who waited.
    """

    def __init__(self, do: Callable[[Key], Awaitable[Value]]) -> None:
        self._do = do
        self._under_way: dict[Key, asyncio.Future[Value]] = {}

    async def __call__(self, key: Key) -> Value:
        """Return what `do` returns; one who gives up waiting does not end it for the others."""
        doing = self._under_way.get(key)
        if doing is None:
            doing = self._under_way[key] = asyncio.ensure_future(self._do(key))
            doing.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(doing)

    def _forget(self, key: Key, done: asyncio.Future[Value]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # perhaps nobody waits any more, which is no reason to complain
