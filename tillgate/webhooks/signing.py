"""Signatures of deliveries: Stripe's scheme and Standard Webhooks over the same bytes; pure.

A secret is `whsec_` and 32 random bytes in base64, which both understand: Stripe's key is the
whole text, that of Standard Webhooks the decoded part.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

PREFIX: Final = "whsec_"


def new_secret() -> str:
    """Return a fresh secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def headers(event_id: str, timestamp: int, body: bytes, keys: Sequence[str]) -> dict[str, str]:
    """Return the headers that sign this body now, with each of the secrets."""
    stripes = [f"v1={_stripe(timestamp, body, key)}" for key in keys]
    standards = [f"v1,{_standard(event_id, timestamp, body, key)}" for key in keys]
    return {
        "Stripe-Signature": ",".join([f"t={timestamp}", *stripes]),
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(standards),
    }


def _stripe(timestamp: int, body: bytes, key: str) -> str:
    return hmac.new(key.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256).hexdigest()


def _standard(event_id: str, timestamp: int, body: bytes, key: str) -> str:
    raw = base64.b64decode(key.removeprefix(PREFIX))
    signed = b"%b.%d.%b" % (event_id.encode(), timestamp, body)
    return base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
