"""Sends notices to a merchant's notify_url, and again on the provider's schedule until it is acked.

The schedule is the provider's documented one divided by the speed factor. What counts as an ack is
the provider's rule, exactly. Unfinished notices survive a restart.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from simulators.common.books import Shelf
from simulators.common.client import Answer, Client
from simulators.common.clock import Clock
from simulators.common.faults import NOTHING, Drawn, FaultKind

#: Notices of one provider that are under way at a time.
CONCURRENCY: Final = 512
_HELD_SECONDS: Final = 60.0


class Notice(msgspec.Struct, kw_only=True):
    """One message to a merchant. `payload` is the provider's own, fixed when the thing happened."""

    id: str
    kind: str
    order_id: str
    url: str
    payload: dict[str, str]
    created_at: float
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class NoticeRules:
    """What a provider documents: how a notice looks, what an ack is, when it is sent again.

    `render(notice, spoiled)` gives headers and body; `spoiled` asks for a wrong signature.
    """

    render: Callable[[Notice, bool], tuple[Mapping[str, str], bytes]]
    is_ack: Callable[[int, bytes], bool]
    schedule: Sequence[float]
    timeout_seconds: float = 5.0


class _Delivery:
    """One sending of a notice, from the moment it is due until it was answered or not."""

    __slots__ = ("notice", "over", "spoiled")

    def __init__(self, notice: Notice, *, spoiled: bool) -> None:
        self.notice = notice
        self.spoiled = spoiled
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Sender:
    """Delivers the notices of one provider, some at a time and in the order they became due."""

    def __init__(self, rules: NoticeRules, shelf: Shelf, clock: Clock, speed: float = 1.0) -> None:
        self._rules = rules
        self._shelf = shelf
        self._clock = clock
        self._speed = speed
        self._client = Client()
        self._due: deque[_Delivery] = deque()
        self._under_way: set[_Delivery] = set()
        self._free = CONCURRENCY
        self._timers: set[asyncio.TimerHandle] = set()
        self._held: list[Notice] = []
        self.unfinished: dict[str, Notice] = {}
        self.sent = 0
        self.acked = 0
        self.lost = 0
        self.given_up = 0

    async def start(self) -> None:
        """Go on with what was unfinished."""
        for notice in self._shelf.load("notice", Notice).values():
            self.unfinished[notice.id] = notice
            self._deliver(notice)

    async def stop(self) -> None:
        """Stop sending; what is unfinished stays on the shelf."""
        for timer in self._timers:
            timer.cancel()
        self._due.clear()
        self._client.close()
        for delivery in self._under_way:
            delivery.over.cancel()
        self._under_way.clear()

    def post(self, notice: Notice, drawn: Drawn = NOTHING) -> None:
        """Send a notice as its fate was drawn. A notice without an address is not sent."""
        if not notice.url:
            return
        if drawn.kind is FaultKind.LOST_NOTICE:
            self.lost += 1
            return
        self.unfinished[notice.id] = notice
        self._shelf.put("notice", notice.id, notice)
        delay = drawn.delay
        if drawn.kind is FaultKind.LATE_NOTICE:
            delay += drawn.seconds
        if drawn.kind is FaultKind.OUT_OF_ORDER_NOTICE:
            self._held.append(notice)
            self._later(_HELD_SECONDS / self._speed, self._release_held)
            return
        spoiled = drawn.kind is FaultKind.BAD_SIGNATURE
        if delay > 0:
            self._later(delay / self._speed, lambda: self._deliver(notice, spoiled=spoiled))
        else:
            self._deliver(notice, spoiled=spoiled)
        if drawn.kind is FaultKind.DUPLICATE_NOTICE:
            self._deliver(notice)

    def clear(self) -> None:
        """Forget every unfinished notice."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._held.clear()
        self.unfinished.clear()

    async def settle(self, timeout_seconds: float = 5.0) -> None:
        """Wait until the deliveries under way have been answered."""
        if self._under_way:
            over = [delivery.over for delivery in self._under_way]
            await asyncio.wait(over, timeout=timeout_seconds)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)

    def _deliver(self, notice: Notice, *, spoiled: bool = False) -> None:
        """Send it at the loop's next turn: what it tells of is answered first."""
        delivery = _Delivery(notice, spoiled=spoiled)
        self._under_way.add(delivery)
        self._due.append(delivery)
        asyncio.get_running_loop().call_soon(self._send_next)

    def _send_next(self) -> None:
        if not self._due or not self._free:
            return
        delivery = self._due.popleft()
        notice = delivery.notice
        headers, body = self._rules.render(notice, delivery.spoiled)
        self._free -= 1
        answer = self._client.post(notice.url, headers, body, self._rules.timeout_seconds)
        answer.add_done_callback(lambda answer: self._hear(delivery, answer))

    def _hear(self, delivery: _Delivery, answer: asyncio.Future[Answer]) -> None:
        if answer.cancelled():
            return
        self._free += 1
        self._under_way.discard(delivery)
        notice = delivery.notice
        self.sent += 1
        notice.attempts += 1
        # Status 0 stands for no answer at all.
        status, body = (0, b"") if answer.exception() else answer.result()
        if self._rules.is_ack(status, body):
            self.acked += 1
            self._finish(notice)
        else:
            self._retry(notice)
        if self._held:
            self._release_held(but=notice)
        delivery.over.set_result(None)
        self._send_next()

    def _finish(self, notice: Notice) -> None:
        if self.unfinished.pop(notice.id, None) is not None:
            self._shelf.drop("notice", notice.id)

    def _retry(self, notice: Notice) -> None:
        if notice.id not in self.unfinished:
            return
        if notice.attempts > len(self._rules.schedule):
            self.given_up += 1
            self._finish(notice)
            return
        self._shelf.put("notice", notice.id, notice)
        wait = self._rules.schedule[notice.attempts - 1] / self._speed
        self._later(wait, lambda: self._deliver(notice))

    def _release_held(self, but: Notice | None = None) -> None:
        held = [notice for notice in self._held if notice is not but]
        self._held = [notice for notice in self._held if notice is but]
        for notice in held:
            self._deliver(notice)
