"""A fact drawn as the wire's event: pure."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from tillgate.kernel.clock import unix
from tillgate.kernel.facts import Fact
from tillgate.webhooks.model import API_VERSION, EventKind


def draw(
    fact: Fact, kind: EventKind, *, pending: int, api_version: str | None = None
) -> dict[str, Any]:
    """Return the event; `data.sequence` rises with each event of the same object."""
    livemode = is_live(fact.merchant_id)
    shown = kind.show(fact.data, livemode)
    data: dict[str, Any] = {"object": shown, "sequence": fact.sequence}
    if fact.previous is not None:
        data["previous_attributes"] = _previous(fact, kind, shown)
    return {
        "id": fact.id,
        "object": "event",
        "api_version": api_version or API_VERSION,
        "context": None,
        "created": unix(fact.at),
        "data": data,
        "livemode": livemode,
        "pending_webhooks": pending,
        "request": {"id": fact.request_id, "idempotency_key": fact.idempotency_key},
        "type": kind.type,
    }


def is_live(merchant_id: int) -> bool:
    """A merchant's live mode has an even number, its test mode an odd one."""
    return merchant_id % 2 == 0


def _previous(fact: Fact, kind: EventKind, shown: dict[str, Any]) -> dict[str, Any]:
    """Draw the object as it was, and keep what differs."""
    assert fact.previous is not None, "there is something to compare with"
    now = cast("dict[str, Any]", msgspec.json.decode(fact.data))
    before = now | cast("dict[str, Any]", msgspec.json.decode(fact.previous))
    was = kind.show(msgspec.json.encode(before), is_live(fact.merchant_id))
    return {name: value for name, value in was.items() if shown.get(name) != value}
