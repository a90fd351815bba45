"""Pretend providers in the same process: each knows the truth about its own money, and tells it.

Written from the port alone; it shares nothing with the code under test or with the checker. The
network between us is drawn from the seed: requests that never arrive, or arrive late, answers that
are lost, notices that are lost, late, doubled and out of order.

Two kinds of news come when nobody asks any more, and then only a notice brings them:

- A refund that had gone through fails after all: Alipay says that the money could not be put back
  on the payer's card, Stripe sends `refund.failed`. A refund that has succeeded is not looked up.
- A payment of an order that the provider did not know when we closed it: an Alipay QR code makes its
  order when it is scanned, so until then a query and a close are both told that there is none.

Such a notice is told again as the provider's own protocol does until it is answered: Alipay 8 times
within 25 hours, Stripe for 3 days. The bad weather lasts for twelve minutes, so by their schedules
it is always heard in the end; it is not told more often than they would, and what is left untold
when they give up the checker counts as lost. Everything else is told less often than in life: half
of what is lost is never told again, so that asking has to find it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from tillgate.connectors import port
from tillgate.kernel.money import CNY, CURRENCIES, Money
from tillgate.runtime.db import assert_outside_transaction

Act = Callable[[], Any]

_MINUTE, _HOUR = 60, 3_600
#: Seconds from one telling to the next, where the merchant does not answer.
_SCHEDULES = {
    "alipay": (
        4 * _MINUTE, 10 * _MINUTE, 10 * _MINUTE, _HOUR, 2 * _HOUR, 6 * _HOUR, 15 * _HOUR,
    ),
    "card": (
        _MINUTE, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR,
        *(12 * _HOUR for _ in range(4)),
    ),
}  # fmt: skip


@dataclass
class Weather:
    """How bad it is, drawn for each seed; all zero once the faults have stopped."""

    unsent: float = 0.0
    lost_request: float = 0.0
    lost_answer: float = 0.0
    late_request: float = 0.0
    lost_notice: float = 0.0
    double_notice: float = 0.0
    late_notice: float = 0.0
    crash: float = 0.0
    cut: float = 0.0
    slow: float = 1.0

    @staticmethod
    def draw(rng: random.Random) -> Weather:
        """Swarm: each seed has its own mixture, and some faults are off altogether."""

        def rate(most: float) -> float:
            return rng.choice([0.0, rng.uniform(0, most), most])

        return Weather(
            unsent=rate(0.15),
            lost_request=rate(0.25),
            lost_answer=rate(0.35),
            late_request=rate(0.15),
            lost_notice=rate(0.6),
            double_notice=rate(0.5),
            late_notice=rate(0.4),
            crash=rate(0.02),
            slow=rng.choice([0.2, 1.0, 6.0]),
            cut=rate(0.01),
        )


@dataclass
class Order:
    """An order as the bank has it. `said`: the words about its end that reached us."""

    number: str
    amount: int
    currency: str
    capture: bool
    reference: str
    state: str = "open"  # open, authorised, paid, declined, closed
    seen: bool = False  # the payer has opened it (until then an Alipay-like bank denies it)
    denied: bool = False  # it was denied when it should have been closed: asking is over
    captured: int = 0
    told: int = 0
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    expires_at: datetime | None = None


class Bank:
    """One provider. Its protocol is the port; what is under the port is its own."""

    presentations = frozenset({"qr", "card"})
    currencies = frozenset({"cny"})

    def __init__(self, name: str, rng: random.Random, clock: Any, weather: Weather) -> None:
        self.name = name
        self.account = f"merchant-at-{name}"
        self.orders: dict[str, Order] = {}
        self.said: dict[str, list[str]] = {}
        self._rng = rng
        self._clock = clock
        self.weather = weather
        self.deliver: Callable[[str, bytes], Any] = lambda _name, _body: None
        self.around_call: Callable[[str], Any] | None = None
        self.log: Callable[[str], None] = lambda _text: None
        self.is_over = False
        #: What must be told and has not been heard yet.
        self.untold: set[bytes] = set()
        #: A bank that trusts the merchant's own cap on refunds; others refuse what is too much.
        self.is_trusting = rng.random() < 0.5
        self.is_hidden = name == "alipay"
        self.lies = rng.choice([0.0, 0.0, 0.04])

    # The port ----------------------------------------------------------------------------------

    async def charge(self, charge: port.Charge, *, now: datetime) -> port.Outcome:
        return await self._call("charge", charge.attempt_id, lambda: self._charge(charge))

    async def look_up(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Any:
        return _asked(await self._call("look_up", attempt_id, lambda: self._show(attempt_id)))

    async def close(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Any:
        return _asked(await self._call("close", attempt_id, lambda: self._close(attempt_id)))

    async def refund(self, order: port.RefundOrder, *, now: datetime) -> port.RefundOutcome:
        return await self._call("refund", order.attempt_id, lambda: self._refund(order))

    async def look_up_refund(
        self, order: port.RefundOrder, provider_reference: str | None, *, now: datetime
    ) -> Any:
        return _asked(
            await self._call("look_up_refund", order.attempt_id, lambda: self._show_refund(order))
        )

    def read_notice(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> port.Notice:
        told = json.loads(body)
        order = self.orders[told["order"]]
        if told["kind"] == "refund":
            return port.RefundNotice(told["refund"], _refund_outcome(told["refund"], told["was"]))
        return port.AttemptNotice(order.number, self._outcome_as(order, told["was"]))

    def ack(self, *, accepted: bool) -> port.Ack:
        return port.Ack(200 if accepted else 500, b"", "text/plain")

    # The network -------------------------------------------------------------------------------

    async def _call(self, what: str, number: str, act: Act) -> Any:
        """A request and its answer; either may be lost, and what is late still acts."""
        assert_outside_transaction()
        rng, weather = self._rng, self.weather
        if self.around_call is not None:
            await self.around_call(f"before {what}")
        if rng.random() < weather.unsent:
            self.said.setdefault(number, []).append("unsent")
            return port.NotSent("the door is shut")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        there = rng.uniform(0.01, 0.5) * weather.slow
        lost = rng.random() < weather.lost_request
        silent = rng.random() < weather.lost_answer
        if rng.random() < weather.late_request:
            there, silent = rng.uniform(12, 40), True

        def arrive() -> None:
            outcome = act()
            self.log(f"{self.name} {what} {number} {type(outcome).__name__}")
            if not silent:
                loop.call_later(rng.uniform(0.01, 0.5) * weather.slow, hear, outcome)

        def hear(outcome: Any) -> None:
            if not answer.done():
                answer.set_result(outcome)

        if not lost:
            loop.call_later(there, arrive)
        return await self._hear(what, number, answer)

    async def _hear(self, what: str, number: str, answer: asyncio.Future[Any]) -> Any:
        try:
            outcome = await asyncio.wait_for(answer, 10)
        except TimeoutError:
            return port.Unknown("no answer")
        self._note(number, outcome)
        if self.around_call is not None:
            await self.around_call(f"after {what}")
        return outcome

    def _note(self, number: str, outcome: Any) -> None:
        """Remember which words of ours reached the merchant."""
        self.said.setdefault(number, []).append(type(outcome).__name__)

    def _notify(self, body: dict[str, Any]) -> None:
        """Tell; what nobody could learn by asking is told as long as the protocol has it."""
        rng, weather = self._rng, self.weather
        times = 2 if rng.random() < weather.double_notice else 1
        raw = json.dumps(body).encode()
        if body.get("must"):
            self.untold.add(raw)
        for _ in range(times):
            wait = rng.uniform(0.01, 2) * weather.slow
            if rng.random() < weather.late_notice:
                wait = rng.uniform(5, 900)
            asyncio.get_running_loop().call_later(wait, self._send, raw, 0)

    def _send(self, raw: bytes, tries: int) -> None:
        if self.is_over:
            return
        lost = self._rng.random() < self.weather.lost_notice
        self.log(f"{self.name} notice {raw.decode()} {'lost' if lost else tries}")
        if not lost:
            self.deliver(self.name, raw, lambda: self._again(raw, tries))
        elif raw in self.untold or self._rng.random() < 0.5:
            self._again(raw, tries)

    def _again(self, raw: bytes, tries: int) -> None:
        if self.is_over:
            return
        if raw in self.untold:
            waits: tuple[float, ...] = _SCHEDULES[self.name]
        else:
            waits = (15, 30, 60, 120)
        if tries < len(waits):
            asyncio.get_running_loop().call_later(waits[tries], self._send, raw, tries + 1)

    # The truth ---------------------------------------------------------------------------------

    def _charge(self, charge: port.Charge) -> Any:
        known = self.orders.get(charge.attempt_id)
        if known is not None:
            return self._outcome(known)
        order = Order(
            charge.attempt_id,
            charge.amount.minor,
            charge.amount.currency.code,
            charge.capture,
            f"ref{len(self.orders)}-{self.name}",
            expires_at=charge.expires_at,
        )
        order.told = order.amount + (1 if self._rng.random() < self.lies else 0)
        self.orders[order.number] = order
        if self.name == "card":
            self._charge_card(order)
        else:
            self._wait_for_the_payer(order)
        return self._outcome(order)

    def _charge_card(self, order: Order) -> None:
        draw = self._rng.random()
        if draw < 0.2:
            order.state = "declined"
        elif draw < 0.35:  # a challenge, decided a while later
            asyncio.get_running_loop().call_later(self._rng.uniform(1, 90), self._settle, order)
        else:
            self._settle(order)

    def _settle(self, order: Order) -> None:
        if order.state != "open" or self.is_over:
            return
        if order.capture:
            self._take(order)
        else:
            order.state = "authorised"
            self._notify({"order": order.number, "kind": "payment", "was": "authorised"})

    def _take(self, order: Order, *, late: bool = False) -> None:
        order.state = "paid"
        order.captured = order.captured or order.amount
        self._notify({"order": order.number, "kind": "payment", "was": "paid", "must": late})

    def _wait_for_the_payer(self, order: Order) -> None:
        draw = self._rng.random()
        loop = asyncio.get_running_loop()
        if draw < 0.75:
            loop.call_later(self._rng.uniform(0.05, 120), self._pay, order)
        elif draw < 0.85:  # near the very end of its life
            loop.call_later(self._rng.uniform(500, 640), self._pay, order)
        if self._rng.random() < 0.5:
            loop.call_later(self._rng.uniform(0.05, 60), self._open, order)

    def _open(self, order: Order) -> None:
        order.seen = True

    def _pay(self, order: Order) -> None:
        expired = order.expires_at is not None and self._clock.now() >= order.expires_at
        if self.is_over or order.state != "open" or (expired and self._rng.random() < 0.8):
            return
        order.seen = True
        self._take(order, late=expired or order.denied)

    def _show(self, number: str) -> Any:
        order = self.orders.get(number)
        if order is None or (self.is_hidden and order.state == "open" and not order.seen):
            return port.NotFound()
        return self._outcome(order)

    def _close(self, number: str) -> Any:
        order = self.orders.get(number)
        if order is None:
            return port.NotFound()
        if self.is_hidden and order.state == "open" and not order.seen:
            order.denied = True
            return port.NotFound()
        if order.state in ("open", "authorised"):
            order.state = "closed"
        return self._outcome(order)

    async def capture(
        self, attempt_id: str, reference: str, amount: Money, *, now: datetime
    ) -> port.Outcome:
        return await self._call("capture", attempt_id, lambda: self._capture(attempt_id, amount))

    def _capture(self, number: str, amount: Money) -> Any:
        order = self.orders[number]
        if order.state == "authorised":
            order.captured = amount.minor
            order.told = amount.minor
            self._take(order)
        return self._outcome(order)

    def _refund(self, wanted: port.RefundOrder) -> Any:
        order = self.orders[wanted.attempt_id]
        known = order.refunds.get(wanted.refund_id)
        if known is None:
            given = sum(r["amount"] for r in order.refunds.values() if r["state"] != "failed")
            too_much = given + wanted.amount.minor > order.captured and not self.is_trusting
            known = {"amount": wanted.amount.minor, "state": "failed" if too_much else "pending"}
            order.refunds[wanted.refund_id] = known
            if not too_much:
                self._begin_refund(order, wanted.refund_id, known)
        return _refund_outcome(wanted.refund_id, known["state"], known["amount"])

    def _begin_refund(self, order: Order, refund_id: str, refund: dict[str, Any]) -> None:
        draw = self._rng.random()
        loop = asyncio.get_running_loop()

        def end(state: str) -> None:
            if self.is_over:
                return
            was_made = refund["state"] == "made"
            refund["state"] = state
            self._notify(
                {
                    "order": order.number,
                    "kind": "refund",
                    "refund": refund_id,
                    "was": [state, refund["amount"]],
                    "must": was_made,
                }
            )

        if draw < 0.5:
            refund["state"] = "made"
        elif draw < 0.8:
            loop.call_later(self._rng.uniform(1, 200), end, "made")
        elif draw < 0.9:
            loop.call_later(self._rng.uniform(1, 200), end, "failed")
        else:
            refund["state"] = "made"
            loop.call_later(self._rng.uniform(60, 600), end, "failed")

    def _show_refund(self, wanted: port.RefundOrder) -> Any:
        known = self.orders[wanted.attempt_id].refunds.get(wanted.refund_id)
        if known is None:
            return port.NotFound()
        return _refund_outcome(wanted.refund_id, known["state"], known["amount"])

    # Words -------------------------------------------------------------------------------------

    def _outcome(self, order: Order) -> Any:
        return self._outcome_as(order, order.state)

    def _outcome_as(self, order: Order, state: str) -> Any:
        match state:
            case "open":
                return port.Waiting(port.ShowQr("pay me"), on="customer")
            case "authorised":
                return port.Waiting(
                    reference=order.reference, on="capture", amount=Money(order.amount, CNY)
                )
            case "paid":
                return port.Paid(order.reference, Money(order.told, CNY), account=self.account)
            case "declined":
                return port.Declined("card_declined", "No.")
            case _:
                return port.Closed()

    def truth(self) -> dict[str, Any]:
        """What is true, for the checker."""
        return {
            "orders": {number: asdict(order) for number, order in self.orders.items()},
            "said": self.said,
            "untold": sorted(self.untold),
        }


def _refund_outcome(refund_id: str, was: Any, amount: int = 0) -> Any:
    state, amount = (was, amount) if isinstance(was, str) else was
    match state:
        case "made":
            return port.Refunded(refund_id, Money(amount, CURRENCIES["cny"]))
        case "failed":
            return port.RefundFailed("declined", "It did not go through.")
        case _:
            return port.RefundPending(refund_id)


def _asked(outcome: Any) -> Any:
    """A question that was not sent tells nothing about the order."""
    return port.Unknown(outcome.reason) if isinstance(outcome, port.NotSent) else outcome
