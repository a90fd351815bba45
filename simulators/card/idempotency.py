"""What was answered to a key before: the same bytes again, or a refusal.

A key remembers the first answer of a request that began, whatever it was, for a day. A request
that was refused before it began leaves its key free. While the first is running, the second
is told so.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from simulators.card.errors import invalid, key_in_use, key_reused
from simulators.common.books import Shelf

KEEP_SECONDS: Final = 86_400
MAX_KEY: Final = 255
MAX_KEYS: Final = 300_000


class Remembered(msgspec.Struct):
    """The first answer to a key; `status` is 0 while it is being made."""

    method: str
    path: str
    digest: bytes
    created: int
    status: int = 0
    body: bytes = b""
    request_id: str = ""


class Keys:
    """The keys of one account."""

    def __init__(self, account: str, shelf: Shelf, most: int = MAX_KEYS) -> None:
        self._most = most
        self._label = f"{account}/key"
        self._shelf = shelf
        self._keys = OrderedDict(shelf.load(self._label, Remembered))

    def look(self, key: str, asked: Remembered) -> Remembered | None:
        """Return the first answer to this very request, or refuse; None when the key is new."""
        if len(key) > MAX_KEY:
            raise invalid("Idempotency keys may be up to 255 characters.", "Idempotency-Key")
        kept = self._keys.get(key)
        if kept is None or kept.created <= asked.created - KEEP_SECONDS:
            return None
        if (kept.method, kept.path) != (asked.method, asked.path):
            reason = (
                f"for the same endpoint they were first used for ('{kept.path}' vs '{asked.path}')"
            )
            raise key_reused(key, reason)
        if kept.digest != asked.digest:
            raise key_reused(key, "with the same parameters they were first used with")
        if kept.status == 0:
            raise key_in_use(key)
        return kept

    def start(self, key: str, asked: Remembered) -> None:
        """The first request with this key is now running."""
        self._keys.pop(key, None)
        self._keys[key] = asked
        while len(self._keys) > self._most:
            oldest, _ = self._keys.popitem(last=False)
            self._shelf.drop(self._label, oldest)

    def finish(self, key: str, status: int, body: bytes, request_id: str) -> None:
        """Remember the answer."""
        kept = self._keys[key]
        kept.status, kept.body, kept.request_id = status, body, request_id
        self._shelf.put(self._label, key, kept)

    def release(self, key: str) -> None:
        """Free a key whose request never began; a finished one stays."""
        kept = self._keys.get(key)
        if kept is not None and kept.status == 0:
            del self._keys[key]

    def clear(self) -> None:
        """Forget every key."""
        self._keys.clear()

    def is_running(self, key: str) -> bool:
        """Tell whether the first request with this key has not been answered yet."""
        kept = self._keys.get(key)
        return kept is not None and kept.status == 0
