"""What the shop was told: the last two hundred deliveries, and what was odd about each."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, cast

import msgspec

from simulators.common.phone import money
from simulators.shop.signatures import Verdict

KEPT: Final = 200
_REMEMBERED: Final = 10_000
#: Objects whose `amount` is what a person wants to see, and where it stands.
_AMOUNTS: Final = ("amount", "amount_received", "net")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as it came. `again` and `late` are what a merchant must be ready for."""

    number: int
    received: datetime
    stripe: Verdict
    standard: Verdict
    id: str = ""
    type: str = ""
    object_id: str = ""
    sequence: int | None = None
    amount: str = ""
    is_live: bool = False
    again: bool = False
    late: bool = False
    raw: str = field(default="", repr=False)

    @property
    def is_trusted(self) -> bool:
        """Only what both signatures vouch for is believed."""
        return self.stripe == self.standard == "good"


class Deliveries:
    """The last deliveries, newest first, and what was seen before."""

    def __init__(self) -> None:
        self._kept: deque[Delivery] = deque(maxlen=KEPT)
        self._events: OrderedDict[str, None] = OrderedDict()
        self._newest: OrderedDict[str, int] = OrderedDict()
        self.count = 0
        self.refused = 0

    def add(self, body: bytes, received: datetime, verdicts: tuple[Verdict, Verdict]) -> Delivery:
        """Remember one delivery; one that is not trusted teaches us nothing."""
        self.count += 1
        event = _read(body)
        told = _object(event)
        delivery = Delivery(
            number=self.count,
            received=received,
            stripe=verdicts[0],
            standard=verdicts[1],
            id=_text(event.get("id")),
            type=_text(event.get("type")),
            object_id=_text(told.get("id")),
            sequence=_sequence(event),
            amount=_amount(told),
            is_live=event.get("livemode") is True,
            raw=_pretty(body),
        )
        if delivery.is_trusted:
            delivery = self._compared(delivery)
        else:
            self.refused += 1
        self._kept.appendleft(delivery)
        return delivery

    def newer_than(self, number: int) -> list[Delivery]:
        """The kept deliveries that came after this one, newest first."""
        return [delivery for delivery in self._kept if delivery.number > number]

    def _compared(self, delivery: Delivery) -> Delivery:
        again = delivery.id in self._events
        late = False
        if not again and delivery.sequence is not None:
            newest = self._newest.get(delivery.object_id, 0)
            late = delivery.sequence < newest
            _put(self._newest, delivery.object_id, max(newest, delivery.sequence))
        _put(self._events, delivery.id, None)
        return replace(delivery, again=again, late=late)


def _put(memory: "OrderedDict[str, Any]", name: str, value: object) -> None:
    memory[name] = value
    memory.move_to_end(name)
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _read(body: bytes) -> dict[str, Any]:
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}


def _object(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("data")
    told = cast("dict[str, Any]", data).get("object") if isinstance(data, dict) else None
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}


def _sequence(event: dict[str, Any]) -> int | None:
    data = event.get("data")
    number = cast("dict[str, Any]", data).get("sequence") if isinstance(data, dict) else None
    return number if isinstance(number, int) else None


def _amount(told: dict[str, Any]) -> str:
    # A wallet's event carries the movement that it is about beside the wallet.
    moved = told.get("transaction")
    if isinstance(moved, dict):
        told = cast("dict[str, Any]", moved)
    currency = told.get("currency")
    amounts = [told.get(name) for name in _AMOUNTS]
    found = next((amount for amount in amounts if isinstance(amount, int)), None)
    if found is None or not isinstance(currency, str):
        return ""
    shown = money(abs(found), currency.upper())
    return f"−{shown}" if found < 0 else shown


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _pretty(body: bytes) -> str:
    try:
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")
