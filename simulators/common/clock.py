"""The simulator's own clock: real time plus an offset that the control API can move."""

import time
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

BEIJING = timezone(timedelta(hours=8))


class Clock:
    """Tells the provider's time. An offset makes it run ahead of or behind the merchant's."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = offset_seconds

    def seconds(self) -> float:
        """Seconds since the epoch, as this provider believes."""
        return time.time_ns() / 1e9 + self.offset_seconds

    def beijing(self) -> datetime:
        """The provider's wall clock in Beijing."""
        return datetime.fromtimestamp(self.seconds(), BEIJING)


def in_beijing(seconds: float) -> datetime:
    """Show an instant on a Beijing wall clock."""
    return datetime.fromtimestamp(seconds, BEIJING)


def wall_time(seconds: float) -> str:
    """An instant as Alipay and the bills write it: Beijing time to the second."""
    return _wall_time(int(seconds))


@lru_cache(maxsize=512)
def _wall_time(seconds: int) -> str:
    """Written once a second rather than ten times an order: strftime is slow."""
    return in_beijing(seconds).strftime("%Y-%m-%d %H:%M:%S")


def day(seconds: float) -> str:
    """The day in Beijing as the providers' numbers begin: eight digits."""
    return _day(int(seconds))


@lru_cache(maxsize=512)
def _day(seconds: int) -> str:
    return _wall_time(seconds)[:10].replace("-", "")


def in_utc(seconds: float) -> datetime:
    """Show an instant in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
