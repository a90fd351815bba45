"""A Stripe account: its secret key and the secrets of its webhook endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tillgate.connectors.account import AccountFields, Hosts
from tillgate.kernel.errors import FieldRefused

_LIVE_API: Final = "https://api.stripe.com"
_API_VERSION: Final = "2026-10-28.endive"


@dataclass(frozen=True, slots=True)
class StripeAccount:
    """Who we are to Stripe. Its one host serves both modes, so the key's prefix decides."""

    livemode: bool
    base_url: str
    secret_key: str
    #: Several while a secret is being rolled.
    webhook_secrets: tuple[str, ...]
    api_version: str
    #: Our account (`acct_…`): what is paid into another one is not believed. None: whichever the
    #: key opens.
    account: str | None


def read_account(config: Mapping[str, Any] | str | bytes) -> StripeAccount:
    """Read the account's JSON; refuse what cannot work, naming the field."""
    fields = AccountFields(config)
    key = fields.text("secret_key")
    mode = "live" if fields.livemode else "test"
    if not key.startswith((f"sk_{mode}_", f"rk_{mode}_")) or not key.isascii() or " " in key:
        raise FieldRefused("secret_key", f"secret_key of a {mode} account must be a {mode} key.")
    account = fields.optional_text("account", limit=64)
    if account is not None and not account.startswith("acct_"):
        raise FieldRefused("account", "account is the account's id, acct_….")
    return StripeAccount(
        livemode=fields.livemode,
        base_url=fields.base_url("base_url", default_live=_LIVE_API, hosts=Hosts()),
        secret_key=key,
        webhook_secrets=fields.texts("webhook_secret"),
        api_version=fields.optional_text("api_version", limit=64) or _API_VERSION,
        account=account,
    )
