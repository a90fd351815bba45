"""Bounded memory: the newest orders of a provider are kept, and older ones until they are over.

An order is over when it is settled, its notices have been answered or given up, nothing of it is
under way, and it has rested: whoever lost an answer has had the time to ask.
"""

from typing import Final

#: The newest orders of one provider that are always kept.
KEEP_ORDERS: Final = 10_000
#: How long nothing has happened to an order that may be forgotten.
RESTING_SECONDS: Final = 60.0


class Forgetting:
    """Says when to look for orders to forget: at each tenth more, never at each new order."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self.looked(0)

    def surplus(self, count: int) -> int:
        """Return how many of so many orders there are too many; none where all are kept."""
        return count - self._keep if self._keep and count >= self._look_at else 0

    def looked(self, count: int) -> None:
        """So many are left, some of which could not be forgotten."""
        kept = max(count, self._keep)
        self._look_at = kept + kept // 10 + 1
