"""A merchant's check of a webhook: Stripe's scheme and Standard Webhooks, written from their specs.

The secret is `whsec_…`. Stripe's scheme takes the whole text as the key, Standard Webhooks the
bytes that the part after `whsec_` encodes. Either may carry several signatures while a secret is
being rotated; one that fits is enough. What is older or newer than five minutes is refused, so
that nobody can send a recorded one again.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, Literal

TOLERANCE_SECONDS: Final = 300
Verdict = Literal["good", "wrong", "stale", "missing"]


def stripe(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> Verdict:
    """Judge `Stripe-Signature: t=…,v1=…`."""
    pairs = [part.split("=", 1) for part in headers.get("stripe-signature", "").split(",")]
    fields = [(pair[0].strip(), pair[1]) for pair in pairs if len(pair) == 2]
    moment = next((value for name, value in fields if name == "t"), "")
    given = [value for name, value in fields if name == "v1"]
    if not given or not moment:
        return "missing"
    key, signed = secret.encode(), moment.encode() + b"." + body
    expected = hmac.new(key, signed, hashlib.sha256).hexdigest()
    return _judge(expected, given, moment, now)


def standard(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> Verdict:
    """Judge `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,… v1,…`."""
    identity, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    parts = [part.partition(",") for part in headers.get("webhook-signature", "").split()]
    given = [value for version, _, value in parts if version == "v1"]
    if not given or not identity or not moment:
        return "missing"
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return "wrong"
    signed = f"{identity}.{moment}.".encode() + body
    made = hmac.new(key, signed, hashlib.sha256).digest()
    return _judge(base64.b64encode(made).decode(), given, moment, now)


def _judge(expected: str, given: list[str], moment: str, now: float) -> Verdict:
    fits = [hmac.compare_digest(expected.encode(), value.encode()) for value in given]
    if not any(fits) or not moment.isdecimal():
        return "wrong"
    return "good" if abs(now - int(moment)) <= TOLERANCE_SECONDS else "stale"
