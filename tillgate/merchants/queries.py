"""Read-only questions about merchants."""

from __future__ import annotations

import hmac

from tillgate.merchants import store
from tillgate.merchants.errors import MerchantNotFound, MerchantNotNamed, NoMerchant
from tillgate.merchants.model import (
    ApiKey,
    KeyHolder,
    Merchant,
    OpenedAccount,
    ProviderAccount,
    place_of,
)
from tillgate.runtime.db import Tx
from tillgate.runtime.secrets import Vault


async def key_holder(tx: Tx, digest: bytes) -> KeyHolder | None:
    """Return whose key has this digest; None where nobody's, or where it is revoked."""
    found = await store.select_holder(tx, digest)
    if found is None or not hmac.compare_digest(found[0], digest):
        return None
    return found[1]


async def keys(tx: Tx, account: str | None = None) -> list[ApiKey]:
    """Return keys, without what only their holders know."""
    return await store.select_keys(tx, account)


async def merchant(tx: Tx, merchant_id: int) -> Merchant:
    """Return one tenant."""
    found = await store.select_merchant(tx, merchant_id)
    if found is None:
        raise MerchantNotFound(merchant_id)
    return found


async def merchants(tx: Tx) -> list[Merchant]:
    """Return all tenants."""
    return await store.select_merchants(tx)


async def tenant(tx: Tx, account: str | None, *, livemode: bool) -> Merchant:
    """Return a merchant's tenant by its account; without one, of the only merchant there is."""
    found = [
        merchant
        for merchant in await store.select_merchants(tx)
        if merchant.livemode == livemode and account in {None, merchant.account}
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise MerchantNotNamed(len(found))
    if account is None:
        raise NoMerchant
    raise MerchantNotFound(account)


async def provider_accounts(tx: Tx, merchant_id: int) -> list[ProviderAccount]:
    """Return a tenant's provider accounts without their secrets."""
    return [account for account, _ in await store.select_provider_accounts(tx, merchant_id)]


async def opened_accounts(tx: Tx, vault: Vault, merchant_id: int) -> list[OpenedAccount]:
    """Return a tenant's provider accounts with their configurations opened."""
    return [
        OpenedAccount(account, vault.open(sealed, place_of(merchant_id, account.id)))
        for account, sealed in await store.select_provider_accounts(tx, merchant_id)
    ]
