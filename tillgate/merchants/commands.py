"""Making merchants, keys and provider accounts, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import msgspec

from tillgate.connectors import registry
from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.ids import new_id
from tillgate.ledger import commands as ledger
from tillgate.merchants import store
from tillgate.merchants.errors import KeyNotFound, MerchantNotFound, ModesMixed
from tillgate.merchants.model import (
    ApiKey,
    KeyKind,
    KeyUse,
    Merchant,
    NewKey,
    ProviderAccount,
    place_of,
)
from tillgate.runtime.db import Tx
from tillgate.runtime.secrets import Vault, digest_of_key, random_text

_KEY_LENGTH = 42


async def create_merchant(
    tx: Tx, name: str, *, default_currency: str, at: datetime
) -> tuple[Merchant, Merchant]:
    """Make a merchant; return its test tenant and its live tenant, each with open books."""
    number = await store.next_number(tx)
    account = new_id("acct")
    test, live = (
        Merchant(merchant_id, account, livemode, name, default_currency, at)
        for merchant_id, livemode in ((number + 1, False), (number, True))
    )
    for merchant in (live, test):
        await store.insert_merchant(tx, merchant)
        await ledger.open_books(tx, merchant.merchant_id)
    return test, live


async def create_key(
    tx: Tx, merchant_id: int, kind: KeyKind, *, name: str = "", at: datetime
) -> NewKey:
    """Make a key of a tenant. Its text is in the answer and nowhere else."""
    merchant = await store.select_merchant(tx, merchant_id)
    if merchant is None:
        raise MerchantNotFound(merchant_id)
    mode = "live" if merchant.livemode else "test"
    text = f"{'sk' if kind == 'secret' else 'pk'}_{mode}_{random_text(_KEY_LENGTH)}"
    key = ApiKey(
        merchant_id=merchant_id,
        id=new_id("key"),
        kind=kind,
        hint=f"{text[:8]}…{text[-4:]}",
        name=name,
        created_at=at,
        last_used_at=None,
        revoked_at=None,
        account=merchant.account,
        livemode=merchant.livemode,
    )
    await store.insert_key(tx, key, digest_of_key(text))
    return NewKey(key, text)


async def revoke_key(tx: Tx, key_id: str, *, at: datetime) -> ApiKey:
    """Make a key useless; once more changes nothing."""
    known = {key.id: key for key in await store.select_keys(tx, None)}
    if key_id not in known:
        raise KeyNotFound(key_id)
    key = await store.lock_key(tx, known[key_id].merchant_id, key_id)
    if key.revoked_at is not None:
        return key
    await store.update_key_revoked(tx, key.merchant_id, key.id, at)
    return replace(key, revoked_at=at)


async def note_uses(tx: Tx, uses: Iterable[KeyUse]) -> None:
    """Write when keys were last used; another server may know of a later use."""
    # In one order for all: servers write at the same time.
    ordered = sorted(uses, key=lambda use: (use.merchant_id, use.key_id))
    await store.update_keys_used(tx, ordered)


async def put_provider_account(
    tx: Tx, vault: Vault, account: ProviderAccount, config: bytes
) -> None:
    """Keep a provider account, sealed; a test tenant never gets live settings, nor the reverse."""
    merchant = await store.select_merchant(tx, account.merchant_id)
    if merchant is None:
        raise MerchantNotFound(account.merchant_id)
    if account.provider not in registry.NAMES:
        raise FieldRefused("provider", f"There is no provider {account.provider[:40]!r}.")
    livemode = bool(msgspec.json.decode(config, type=dict[str, object]).get("livemode"))
    if livemode != merchant.livemode:
        raise ModesMixed(theirs=livemode, ours=merchant.livemode)
    place = place_of(account.merchant_id, account.id)
    await store.upsert_provider_account(tx, account, vault.seal(config, place))
