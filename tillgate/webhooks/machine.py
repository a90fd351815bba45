"""When to try again: pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from tillgate.webhooks.model import Answer, Delivery

#: Seconds between tries. The last one is cut to the end of the three days.
WAITS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
#: An answer may ask for patience, but not for more than this.
MOST_PATIENCE_SECONDS: Final = 86_400.0
#: An endpoint that keeps failing rests between requests, for all its events together.
LONGEST_REST_SECONDS: Final = 60.0
_GONE: Final = 410


def is_gone(answer: Answer) -> bool:
    """Whether the endpoint says that it does not exist any more."""
    return answer.status == _GONE


def next_try(
    delivery: Delivery, answer: Answer, *, at: datetime, give_up_after_seconds: int
) -> datetime | None:
    """Return when to try again, or None where it is given up.

    The last try is made right at the deadline.
    """
    deadline = delivery.started_at + timedelta(seconds=give_up_after_seconds)
    if at >= deadline or is_gone(answer):
        return None
    wait = float(WAITS[min(delivery.tries, len(WAITS)) - 1])
    if answer.retry_after_seconds is not None:
        wait = max(wait, min(answer.retry_after_seconds, MOST_PATIENCE_SECONDS))
    return min(at + timedelta(seconds=wait), deadline)


def rest(failures: int, answer: Answer, *, at: datetime) -> datetime | None:
    """Return until when the endpoint is left alone after `failures` in a row."""
    seconds = 0.0 if failures < 2 else min(2.0 ** min(failures - 1, 10), LONGEST_REST_SECONDS)
    if answer.status in {429, 502, 503, 504}:
        seconds = max(seconds, min(answer.retry_after_seconds or 0.0, MOST_PATIENCE_SECONDS))
    return at + timedelta(seconds=seconds) if seconds else None
