"""Faults, drawn from a seed: the same seed and the same calls give the same faults.

A fault is chosen by a rule (control API: "the next N calls of X", "each call of X with probability
p") or by a MAGIC AMOUNT, so that a person can meet it from an ordinary page. Amounts are in minor
units (fen, cents); anything not in the table behaves. Each magic amount strikes once per order and
stage, so that a correct retry or look-up succeeds.

| amount | what happens | stage |
|---|---|---|
| 4001 | the payer's bank refuses: pressing Pay declines (cards: declined at once) | pay |
| 4002 | created, then no answer at all (timeout after acting) | create |
| 4003 | not created, no answer at all (timeout before acting) | create |
| 4004 | created, then the connection is reset | create |
| 4005 | created, then 500 with an HTML page | create |
| 4006 | not created, 500 with an HTML page | create |
| 4007 | not created, 429 | create |
| 4008 | created, yet answers 429 | create |
| 4009 | created, the answer is cut-off JSON | create |
| 4010 | created, the answer is wrongly signed (cards: 500) | create |
| 4011 | the provider says another amount was paid, in notice and query | pay |
| 4012 | the payment notice comes twice at once | notice |
| 4013 | the payment notice comes 30 s late (scaled by speed) | notice |
| 4014 | the payment notice never comes | notice |
| 4015 | the payment notice comes after the next notice (out of order) | notice |
| 4016 | paid at once, and the notice comes before the answer to the create call | create |
| 4017 | a refund is accepted and fails later | refund |
| 4018 | a refund is made, then no answer (timeout after acting) | refund |
| 4019 | the create call takes 3 s | create |
| 4020 | the create call is refused for good (a definitive decline) | create |
| 4021 | paid at once without anybody touching the phone | create |
| 4022 | the payment notice is wrongly signed the first time | notice |
| 4023 | a refund stays in processing for ever | refund |
| 4024 | the first query after payment still says "not paid" | query |
| 4025 | the money is collected on behalf of another account, say notice and query (cards) | pay |
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

import msgspec

from simulators.common.http import HANG, RESET, Response

_Z99: Final = 2.3263478740408408


class Stage(StrEnum):
    """What kind of call it is; rules may name a stage instead of an operation."""

    CREATE = "create"
    QUERY = "query"
    CLOSE = "close"
    REFUND = "refund"
    REFUND_QUERY = "refund_query"
    BILL = "bill"
    PAY = "pay"
    NOTICE = "notice"
    OTHER = "other"


class FaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    HTTP_500_BEFORE = "http_500_before"
    HTTP_500_AFTER = "http_500_after"
    HTTP_429_BEFORE = "http_429_before"
    HTTP_429_AFTER = "http_429_after"
    MALFORMED = "malformed"
    # The rest are played by the provider itself, inside its own protocol.
    BAD_SIGNATURE = "bad_signature"
    NO_SIGNATURE = "no_signature"
    UNKNOWN_SERIAL = "unknown_serial"
    STALE_TIMESTAMP = "stale_timestamp"
    WRONG_AMOUNT = "wrong_amount"
    # At `pay`: the money is another account's. At `notice`: the notice is told for another account.
    WRONG_ACCOUNT = "wrong_account"
    DECLINE = "decline"
    REFUSE = "refuse"
    SYSTEM_ERROR_BEFORE = "system_error_before"
    SYSTEM_ERROR_AFTER = "system_error_after"
    PAID_AT_ONCE = "paid_at_once"
    NOTICE_FIRST = "notice_first"
    NOT_PAID_YET = "not_paid_yet"
    REFUND_FAILS_LATER = "refund_fails_later"
    REFUND_STUCK = "refund_stuck"
    DUPLICATE_NOTICE = "duplicate_notice"
    LATE_NOTICE = "late_notice"
    LOST_NOTICE = "lost_notice"
    OUT_OF_ORDER_NOTICE = "out_of_order_notice"


class Fault(msgspec.Struct, frozen=True):
    """A fault as a rule states it. Latency is fixed `seconds`, or lognormal by `p50` and `p99`."""

    kind: FaultKind
    seconds: float = 0.0
    p50: float = 0.0
    p99: float = 0.0

    def sample(self, rng: random.Random) -> float:
        """How long, in seconds."""
        if self.p50 <= 0:
            return self.seconds
        sigma = math.log(max(self.p99, self.p50) / self.p50) / _Z99
        return rng.lognormvariate(math.log(self.p50), sigma)


class Rule(msgspec.Struct):
    """When a fault strikes: the `next` calls, or each call with `probability`.

    `operation` is an operation's name, a stage's name, or a pattern such as `alipay.trade.*`.
    `subject` narrows it to one order (its out_trade_no).
    """

    operation: str
    fault: Fault
    next: int | None = None
    probability: float | None = None
    subject: str | None = None

    def matches(self, stage: Stage, operation: str, subject: str) -> bool:
        """Whether the rule speaks of this call."""
        if self.subject is not None and self.subject != subject:
            return False
        return _is_named(self.operation, stage, operation)


@lru_cache(maxsize=1024)
def _is_named(pattern: str, stage: str, operation: str) -> bool:
    """There are few of each, and every call asks every rule."""
    return fnmatchcase(operation, pattern) or fnmatchcase(stage, pattern)


class Drawn(msgspec.Struct, frozen=True):
    """What this one call suffers: a delay, a fault, both or neither."""

    kind: FaultKind | None = None
    seconds: float = 0.0
    delay: float = 0.0


NOTHING: Final = Drawn()

MAGIC: Final[dict[int, tuple[Stage, Fault]]] = {
    4001: (Stage.PAY, Fault(FaultKind.DECLINE)),
    4002: (Stage.CREATE, Fault(FaultKind.TIMEOUT_AFTER)),
    4003: (Stage.CREATE, Fault(FaultKind.TIMEOUT_BEFORE)),
    4004: (Stage.CREATE, Fault(FaultKind.RESET_AFTER)),
    4005: (Stage.CREATE, Fault(FaultKind.HTTP_500_AFTER)),
    4006: (Stage.CREATE, Fault(FaultKind.HTTP_500_BEFORE)),
    4007: (Stage.CREATE, Fault(FaultKind.HTTP_429_BEFORE)),
    4008: (Stage.CREATE, Fault(FaultKind.HTTP_429_AFTER)),
    4009: (Stage.CREATE, Fault(FaultKind.MALFORMED)),
    4010: (Stage.CREATE, Fault(FaultKind.BAD_SIGNATURE)),
    4011: (Stage.PAY, Fault(FaultKind.WRONG_AMOUNT)),
    4012: (Stage.NOTICE, Fault(FaultKind.DUPLICATE_NOTICE)),
    4013: (Stage.NOTICE, Fault(FaultKind.LATE_NOTICE, seconds=30)),
    4014: (Stage.NOTICE, Fault(FaultKind.LOST_NOTICE)),
    4015: (Stage.NOTICE, Fault(FaultKind.OUT_OF_ORDER_NOTICE)),
    4016: (Stage.CREATE, Fault(FaultKind.NOTICE_FIRST)),
    4017: (Stage.REFUND, Fault(FaultKind.REFUND_FAILS_LATER)),
    4018: (Stage.REFUND, Fault(FaultKind.TIMEOUT_AFTER)),
    4019: (Stage.CREATE, Fault(FaultKind.LATENCY, seconds=3)),
    4020: (Stage.CREATE, Fault(FaultKind.REFUSE)),
    4021: (Stage.CREATE, Fault(FaultKind.PAID_AT_ONCE)),
    4022: (Stage.NOTICE, Fault(FaultKind.BAD_SIGNATURE)),
    4023: (Stage.REFUND, Fault(FaultKind.REFUND_STUCK)),
    4024: (Stage.QUERY, Fault(FaultKind.NOT_PAID_YET)),
    4025: (Stage.PAY, Fault(FaultKind.WRONG_ACCOUNT)),
}
# These belong to the order itself, not to one call: they strike every time.
_LASTING: Final = frozenset(
    {FaultKind.DECLINE, FaultKind.WRONG_AMOUNT, FaultKind.WRONG_ACCOUNT, FaultKind.REFUSE}
)


class FaultPlan:
    """Decides what each call suffers. Call `draw` exactly once per call."""

    def __init__(self, seed: int = 1) -> None:
        self._struck: set[tuple[Stage, str]] = set()
        self._rules: list[tuple[Rule, random.Random]] = []
        self.seed = seed

    @property
    def rules(self) -> list[Rule]:
        """The rules in force, oldest first."""
        return [rule for rule, _ in self._rules]

    def reseed(self, seed: int) -> None:
        """Start the random sequences again from another seed."""
        self.seed = seed
        self._struck.clear()
        self._rules = [
            (rule, self._rng(index, rule)) for index, (rule, _) in enumerate(self._rules)
        ]

    def add(self, rule: Rule) -> None:
        """Put a rule in force. Rules are asked in order; the first fault wins, delays add up."""
        self._rules.append((rule, self._rng(len(self._rules), rule)))

    def clear(self) -> None:
        """Take every rule out of force."""
        self._rules.clear()

    def draw(
        self, stage: Stage, operation: str, amount: int | None = None, subject: str = ""
    ) -> Drawn:
        """What this call suffers. `subject` is the order it is about."""
        if not self._rules and amount not in MAGIC:
            return NOTHING
        kind, seconds, delay = self._draw_rules(stage, operation, subject)
        if kind is None and amount in MAGIC:
            fault = self._draw_magic(stage, amount, subject)
            if fault is not None and fault.kind is FaultKind.LATENCY:
                delay += fault.seconds
            elif fault is not None:
                kind, seconds = fault.kind, fault.seconds
        return Drawn(kind, seconds, delay) if kind or delay else NOTHING

    def _draw_rules(
        self, stage: Stage, operation: str, subject: str
    ) -> tuple[FaultKind | None, float, float]:
        kind, seconds, delay = None, 0.0, 0.0
        is_used_up = False
        for rule, rng in self._rules:
            is_latency = rule.fault.kind is FaultKind.LATENCY
            # A fault that another one forestalls waits for its turn.
            if kind is not None and not is_latency:
                continue
            if not rule.matches(stage, operation, subject) or not _strikes(rule, rng):
                continue
            is_used_up |= rule.next == 0
            if is_latency:
                delay += rule.fault.sample(rng)
            else:
                kind, seconds = rule.fault.kind, rule.fault.sample(rng)
        if is_used_up:
            self._rules = [pair for pair in self._rules if pair[0].next != 0]
        return kind, seconds, delay

    def _draw_magic(self, stage: Stage, amount: int, subject: str) -> Fault | None:
        magic_stage, fault = MAGIC[amount]
        if magic_stage is not stage:
            return None
        if fault.kind in _LASTING:
            return fault
        if (stage, subject) in self._struck:
            return None
        self._struck.add((stage, subject))
        return fault

    def _rng(self, index: int, rule: Rule) -> random.Random:
        return random.Random(f"{self.seed}:{index}:{rule.operation}:{rule.fault.kind}")


def _strikes(rule: Rule, rng: random.Random) -> bool:
    if rule.next == 0:
        return False
    if rule.probability is not None and rng.random() >= rule.probability:
        return False
    if rule.next is not None:
        rule.next -= 1
    return True


def deliver(
    drawn: Drawn,
    act: Callable[[Drawn], Response],
    busy: Response,
    before_answer: Callable[[], Awaitable[None]] | None = None,
) -> Response | Awaitable[Response]:
    """Run one call as its fate was drawn.

    `act` does the work and answers; it plays the provider's own faults itself. `busy` is what the
    provider says when it is asked too often. `before_answer` waits for a notice that must come
    before the answer.
    """
    if drawn is NOTHING:
        return act(drawn)
    if drawn.delay > 0 or drawn.kind is FaultKind.NOTICE_FIRST:
        return _deliver_later(drawn, act, busy, before_answer)
    return _deliver_now(drawn, act, busy)


async def _deliver_later(
    drawn: Drawn,
    act: Callable[[Drawn], Response],
    busy: Response,
    before_answer: Callable[[], Awaitable[None]] | None,
) -> Response:
    if drawn.delay > 0:
        await asyncio.sleep(drawn.delay)
    response = _deliver_now(drawn, act, busy)
    if drawn.kind is FaultKind.NOTICE_FIRST and before_answer is not None:
        await before_answer()
    return response


def _deliver_now(drawn: Drawn, act: Callable[[Drawn], Response], busy: Response) -> Response:
    if drawn.kind is FaultKind.HTTP_429_BEFORE:
        return busy
    if drawn.kind is not None and drawn.kind in _BEFORE:
        return _BEFORE[drawn.kind]
    response = act(drawn)
    match drawn.kind:
        case FaultKind.TIMEOUT_AFTER:
            return HANG
        case FaultKind.RESET_AFTER:
            return RESET
        case FaultKind.HTTP_500_AFTER:
            return HTML_500
        case FaultKind.HTTP_429_AFTER:
            return busy
        case FaultKind.MALFORMED:
            return Response(
                response.status, response.body[: len(response.body) // 2], response.headers
            )
        case _:
            return response


HTML_500: Final = Response(
    500,
    b"<html><head><title>500 Internal Server Error</title></head>"
    b"<body><center><h1>500 Internal Server Error</h1></center><hr></body></html>",
    {"Content-Type": "text/html; charset=utf-8"},
)
_BEFORE: Final = {
    FaultKind.TIMEOUT_BEFORE: HANG,
    FaultKind.RESET_BEFORE: RESET,
    FaultKind.HTTP_500_BEFORE: HTML_500,
}
