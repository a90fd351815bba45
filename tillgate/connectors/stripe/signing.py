"""Stripe's signature of a webhook: HMAC-SHA256 over the time and the raw body."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from tillgate.connectors.port import BadNotice
from tillgate.kernel.clock import unix

TOLERANCE_SECONDS: Final = 300


def read_event(
    headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...], now: datetime
) -> dict[str, Any]:
    """Return the event of a genuine notice."""
    if not is_genuine(headers.get("stripe-signature", ""), body, secrets, now):
        raise BadNotice("the event is not signed by Stripe, or too old")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadNotice("the event is not JSON") from None


def is_genuine(header: str, body: bytes, secrets: tuple[str, ...], now: datetime) -> bool:
    """Tell whether one of the header's `v1` is made with one of the secrets, lately."""
    pairs = [part.strip().partition("=") for part in header.split(",")[:20]]
    stamp = next((value for name, _, value in pairs if name == "t"), "")
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
        return False
    if abs(unix(now) - int(stamp)) > TOLERANCE_SECONDS:
        return False
    wanted = [_signature(secret, stamp, body) for secret in secrets]
    given = [value.encode() for name, _, value in pairs if name == "v1"]
    return any(hmac.compare_digest(ours, theirs) for ours in wanted for theirs in given)


def _signature(secret: str, stamp: str, body: bytes) -> bytes:
    signed = stamp.encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
