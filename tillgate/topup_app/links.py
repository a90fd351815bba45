"""Links that open one wallet's pages, for whoever holds them, until they expire.

A token is sealed with the installation's key: it names a merchant and a wallet, cannot be made or
changed by anybody else, and says nothing to its holder. It stands in addresses, so the pages send
no referrer to other sites and no cookie is needed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillgate.kernel.clock import from_unix, unix
from tillgate.kernel.errors import Kind, Refusal
from tillgate.runtime.secrets import SecretUnreadable, Vault

PREFIX: Final = "/pay"
LIFETIME: Final = timedelta(days=30)
_PLACE: Final = "topup_app.link"
_MOST_CHARACTERS: Final = 400


class LinkUnknown(Refusal):
    """This link does not work."""

    kind = Kind.NOT_FOUND
    code = "link_unknown"


class LinkExpired(Refusal):
    """This link has expired."""

    kind = Kind.NOT_FOUND
    code = "link_expired"


@dataclass(frozen=True, slots=True)
class Link:
    """What a token opens."""

    token: str
    merchant_id: int
    wallet_id: str
    expires_at: datetime

    @property
    def path(self) -> str:
        """Where the wallet's pages are."""
        return f"{PREFIX}/{self.token}"

    @property
    def home(self) -> str:
        """Where a customer goes on from a refusal."""
        return self.path

    @property
    def holder(self) -> str:
        """The same for every token of a wallet."""
        return f"{self.merchant_id}:{self.wallet_id}"


def link_for(
    vault: Vault,
    base_url: str,
    merchant_id: int,
    wallet_id: str,
    *,
    at: datetime,
    lifetime: timedelta = LIFETIME,
) -> str:
    """Return the address of a wallet's pages, good for `lifetime`."""
    return f"{base_url}{PREFIX}/{make_token(vault, merchant_id, wallet_id, at + lifetime)}"


def make_token(vault: Vault, merchant_id: int, wallet_id: str, expires_at: datetime) -> str:
    """Seal who may see what, and until when."""
    plain = msgspec.json.encode((merchant_id, wallet_id, unix(expires_at)))
    return base64.urlsafe_b64encode(vault.seal(plain, _PLACE)).decode().rstrip("=")


def read_token(vault: Vault, token: str, *, at: datetime) -> Link:
    """Open a token, or raise `LinkUnknown` or `LinkExpired`."""
    if not token.isascii() or len(token) > _MOST_CHARACTERS:
        raise LinkUnknown
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        plain = vault.open(sealed, _PLACE)
    except (binascii.Error, ValueError, SecretUnreadable):
        raise LinkUnknown from None
    merchant_id, wallet_id, seconds = msgspec.json.decode(plain, type=tuple[int, str, int])
    if from_unix(seconds) <= at:
        raise LinkExpired
    return Link(token, merchant_id, wallet_id, from_unix(seconds))
