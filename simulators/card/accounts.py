"""One merchant's account: its keys, its books, the answers it was given."""

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable
from typing import Final

from simulators.card.books import Books
from simulators.card.charging import Terms
from simulators.card.errors import ApiError, bad_key
from simulators.card.form import Form
from simulators.card.idempotency import MAX_KEYS, Keys
from simulators.card.objects import PaymentIntent, Plain, Refund, WebhookEndpoint
from simulators.card.webhooks import create as create_endpoint
from simulators.common.books import Shelf
from simulators.common.clock import Clock
from simulators.common.forgetting import Forgetting
from simulators.keys import CardAccount

# Metadata that names the merchant's own order, so that a fault strikes once an order.
_NAMES: Final = ("attempt", "attempt_id", "payment_attempt", "order", "order_id", "reference")
#: Another merchant's account, for faults that mix the two up.
FOREIGN: Final = "acct_somebody_else"
_REFUND_NAMES: Final = ("refund", "refund_id")


class Account:
    """What this provider keeps for one merchant."""

    def __init__(
        self, keys: CardAccount, clock: Clock, shelf: Shelf, terms: Terms, keep_orders: int
    ) -> None:
        self.keys = keys
        self.terms = terms
        self.books = Books(keys.account, clock, shelf)
        self.forgetting = Forgetting(keep_orders)
        # An answer is as large as everything else of its order.
        self.answers = Keys(keys.account, shelf, keep_orders // 2 + 1 if keep_orders else MAX_KEYS)
        self.bill: Plain = {}

    def add_endpoint(self, form: Form) -> WebhookEndpoint:
        """Make an endpoint; the first one gets the secret that the merchant already holds."""
        known = self.keys.webhook_secret
        taken = any(endpoint.secret == known for endpoint in self.books.endpoints)
        return create_endpoint(self.books, form, None if taken else known)

    def shown(self) -> Plain:
        """GET /v1/account: whose key it is."""
        return {
            "id": self.keys.account,
            "object": "account",
            "business_type": "company",
            "charges_enabled": True,
            "country": "US",
            "default_currency": "usd",
            "details_submitted": True,
            "email": None,
            "metadata": {},
            "payouts_enabled": True,
            "type": "standard",
        }

    def clear(self) -> None:
        """Forget payments and answers."""
        self.books.clear()
        self.answers.clear()
        self.bill = {}


def number_in(metadata: dict[str, str]) -> str | None:
    """Return the merchant's own number of an order, from its metadata."""
    for name in _NAMES:
        if name in metadata:
            return metadata[name]
    return next(iter(metadata.values()), None)


def number_of(intent: PaymentIntent) -> str:
    """Return what the merchant calls this payment, or its id."""
    return number_in(intent.metadata) or intent.id


def refund_number_of(refund: Refund) -> str:
    """Return what the merchant calls this refund, or its id."""
    named = (refund.metadata[name] for name in _REFUND_NAMES if name in refund.metadata)
    return next(named, refund.id)


class Doorman:
    """Tells which account a caller speaks for."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._accounts = {account.keys.secret_key: account for account in accounts}

    def admit(self, authorization: str | None) -> Account:
        """Return the account of a secret key, given as Bearer or as the user of Basic."""
        key = _key_in(authorization or "")
        account = self._accounts.get(key)
        if account is not None and hmac.compare_digest(account.keys.secret_key, key):
            return account
        raise _refusal(key)


def _refusal(key: str) -> ApiError:
    if not key:
        return bad_key(
            "You did not provide an API key. You need to provide your API key in the "
            "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
            "YOUR_SECRET_KEY')."
        )
    hidden = key[:8] + "*" * max(0, min(len(key), 32) - 12) + key[-4:] if len(key) > 12 else "****"
    return bad_key(f"Invalid API Key provided: {hidden}")


def _key_in(authorization: str) -> str:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(given.strip(), validate=True).decode("latin-1").partition(":")[0]
        except NotBase64:
            return ""
    return ""
