"""Metadata: a merchant's own words on an object, changed key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import UNSET, UnsetType

from tillgate.kernel.errors import FieldRefused

MOST_KEYS: Final = 50

#: What is asked for: a key with None is deleted, None itself deletes all of them.
MetadataKeys = Mapping[str, str | None]


def merge(current: Mapping[str, str], change: MetadataKeys | UnsetType | None) -> Mapping[str, str]:
    """Return `current` changed. Called where `current` cannot change meanwhile: under its lock."""
    if change is UNSET:
        return current
    if change is None:
        return {}
    both = {**current, **change}
    merged = {key: value for key, value in both.items() if value is not None}
    if len(merged) > MOST_KEYS:
        raise FieldRefused("metadata", f"Metadata may have up to {MOST_KEYS} keys.")
    return merged
