"""How often one may ask: a bucket for each wallet and for each address, in this process's memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tillgate.kernel.errors import Kind, Refusal

_MOST_BUCKETS = 20_000


class TooOften(Refusal):
    """Too many requests in a short time; please wait a moment."""

    kind = Kind.RATE_LIMITED
    code = "rate_limit"


@dataclass(slots=True)
class _Bucket:
    left: float
    at: datetime


class Limit:
    """At most `burst` at once, and `per_minute` in the long run, for each key."""

    def __init__(self, *, burst: int, per_minute: float) -> None:
        self._burst = float(burst)
        self._per_second = per_minute / 60
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: str, at: datetime) -> None:
        """Count one, or raise `TooOften`."""
        bucket = self._buckets.get(key)
        if bucket is None:
            self._make_room(at)
            self._buckets[key] = _Bucket(self._burst - 1, at)
            return
        bucket.left = self._left(bucket, at)
        bucket.at = at
        if bucket.left < 1:
            raise TooOften
        bucket.left -= 1

    def _left(self, bucket: _Bucket, at: datetime) -> float:
        passed = max((at - bucket.at).total_seconds(), 0)
        return min(self._burst, bucket.left + passed * self._per_second)

    def _make_room(self, at: datetime) -> None:
        """Full buckets say nothing; drop them once there are many."""
        if len(self._buckets) < _MOST_BUCKETS:
            return
        kept = {k: b for k, b in self._buckets.items() if self._left(b, at) < self._burst}
        self._buckets = kept if len(kept) < _MOST_BUCKETS else {}
