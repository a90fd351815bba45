"""Facts: things that happened, in the past tense, written in the transaction that made them true.

A fact carries the whole state of its object right after it happened, as plain JSON (but for fields
that are as by default), and the object's sequence number: a larger one for each fact of the same
object, never the same twice, so that a receiver can drop old news. The wire's "event" is drawn from it later.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Fact(NamedTuple):
    """One thing that happened to one object of one merchant.

    `name` is `room.past_tense` (`payment.succeeded`); `data` is the object as encoded JSON.
    """

    merchant_id: int
    id: str
    name: str
    object_id: str
    sequence: int
    data: bytes
    at: datetime
    request_id: str | None = None
    idempotency_key: str | None = None
    previous: bytes | None = None


class Headline(NamedTuple):
    """Which fact it is: enough for those that need not know what it says."""

    merchant_id: int
    id: str
    name: str
