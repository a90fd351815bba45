"""Addresses of the pages that show one payment to whoever is to pay it. Pure.

An address carries the payment's id and a signature made with the payment's own client secret: it
cannot be guessed from the id, is the same each time it is shown, and does not give away the secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from tillgate.payments.model import Payment

PREFIX: Final = "/pay/for"
_PURPOSE: Final = b"hosted page"
_MOST_CHARACTERS: Final = 120


def page_url(base_url: str, payment: Payment) -> str:
    """Return where a payment's page is."""
    return f"{base_url}{PREFIX}/{payment.merchant_id}.{payment.id}.{_signature(payment)}"


def named_in(token: str) -> tuple[int, str] | None:
    """Return the merchant and the payment that a token names; it proves nothing yet."""
    merchant, _, rest = token.partition(".")
    payment_id = rest.partition(".")[0]
    is_number = merchant.isascii() and merchant.isdigit() and len(merchant) < 19
    if not is_number or not payment_id.isascii() or len(token) > _MOST_CHARACTERS:
        return None
    return int(merchant), payment_id


def opens(token: str, payment: Payment) -> bool:
    """Whether the token was made for this payment."""
    given = token.rpartition(".")[2].encode("utf-8", "replace")
    return hmac.compare_digest(given, _signature(payment).encode())


def _signature(payment: Payment) -> str:
    secret = payment.client_secret.encode()
    digest = hmac.digest(secret, _PURPOSE, hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:18]).decode()
