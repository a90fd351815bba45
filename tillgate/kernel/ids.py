"""Ids: a prefix and 26 characters that sort by time (48 bits of milliseconds, 80 of chance).

Thirty characters at the most with the prefixes we use, so that an id can be a provider's order
number as it is (WeChat Pay allows 32). A simulation may take over the two sources.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_LOW = (1 << 40) - 1
#: How far an id may lie from the one before it in the same millisecond.
_CHANCE_OF_A_STEP = (1 << 64) - 1


def _machine_milliseconds() -> int:
    return time.time_ns() // 1_000_000


_BITS_BYTES = 10
_chance = b""
_spent = 0


def _machine_bits() -> int:
    """Draw from the kernel some hundred ids' worth at a time; a forked child draws its own."""
    global _chance, _spent  # noqa: PLW0603  what has been drawn and not used
    start = _spent
    _spent = start + _BITS_BYTES
    if _spent > len(_chance):
        _chance, start, _spent = os.urandom(_BITS_BYTES * 400), 0, _BITS_BYTES
    return int.from_bytes(_chance[start:_spent], "big")


def _forget_chance() -> None:
    global _chance, _spent
    _chance, _spent = b"", 0


os.register_at_fork(after_in_child=_forget_chance)


_milliseconds: Callable[[], int] = _machine_milliseconds
_bits: Callable[[], int] = _machine_bits
_last = 0


def use_sources(
    milliseconds: Callable[[], int] | None = None, bits: Callable[[], int] | None = None
) -> None:
    """Draw ids from other sources (a seeded simulation); None goes back to the machine's."""
    global _milliseconds, _bits, _last  # noqa: PLW0603  the one switch, for simulations
    _last = 0
    _milliseconds = milliseconds or _machine_milliseconds
    _bits = bits or _machine_bits


def new_id(prefix: str) -> str:
    """Return a fresh id such as `att_01k9…`: prefix, underscore, 26 sortable characters."""
    global _last  # noqa: PLW0603  ids of one process sort in the order they were drawn
    number = (_milliseconds() << 80) | _bits()
    if number <= _last:
        number = _last + 1 + (number & _CHANCE_OF_A_STEP)
    _last = number
    return _text(prefix, number)


def make_id(prefix: str, milliseconds: int, bits: int) -> str:
    """Return the id of a moment and 80 bits that are not drawn by chance (a digest)."""
    return _text(prefix, (milliseconds << 80) | bits)


def _text(prefix: str, number: int) -> str:
    pairs = _PAIRS
    low, high = number & _LOW, (number >> 40) & _LOW  # small numbers are quicker to take apart
    return (
        f"{prefix}_{_moment(number >> 80)}"
        f"{pairs[high >> 30]}{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}"
        f"{pairs[low >> 30]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}{pairs[low & 1023]}"
    )


@lru_cache(maxsize=64)
def _moment(milliseconds: int) -> str:
    """The first ten characters, which all ids of a millisecond share."""
    return "".join([_PAIRS[(milliseconds >> shift) & 1023] for shift in range(40, -1, -10)])


def floor_id(prefix: str, moment: datetime) -> str:
    """Return what sorts before every id drawn at `moment` or later."""
    return _text(prefix, max(int(moment.timestamp() * 1000), 0) << 80)


def suffix(identifier: str) -> str:
    """Return the part after the prefix."""
    return identifier.rpartition("_")[2]


def with_prefix(prefix: str, identifier: str) -> str:
    """Return the same id under another prefix: `ch_…` of an `att_…`."""
    return f"{prefix}_{suffix(identifier)}"
