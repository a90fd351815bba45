"""Merchants, keys and provider accounts as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

KeyKind = Literal["secret", "publishable"]


@dataclass(frozen=True, slots=True)
class Merchant:
    """One mode of a merchant: a tenant."""

    merchant_id: int
    account: str
    livemode: bool
    name: str
    default_currency: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: never the key itself. `hint` is its first and last characters."""

    merchant_id: int
    id: str
    kind: KeyKind
    hint: str
    name: str
    created_at: datetime
    #: True to the minute; what the servers still remember is not in it.
    last_used_at: datetime | None
    revoked_at: datetime | None
    account: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with its text, which nobody can read back."""

    key: ApiKey
    text: str


@dataclass(frozen=True, slots=True)
class KeyUse:
    """When a key was last used."""

    merchant_id: int
    key_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whose key it is."""

    merchant_id: int
    account: str
    livemode: bool
    key_id: str
    kind: KeyKind


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """An account at a provider, without its secrets."""

    merchant_id: int
    id: str
    provider: str
    enabled: bool
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """An account at a provider with its configuration (JSON), secrets and all."""

    account: ProviderAccount
    config: bytes


def place_of(merchant_id: int, account_id: str) -> str:
    """Where a sealed configuration belongs; it does not open anywhere else."""
    return f"merchants.provider_accounts:{merchant_id}:{account_id}"
