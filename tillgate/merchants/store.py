"""SQL of the schema `merchants`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from tillgate.merchants.model import (
    ApiKey,
    KeyHolder,
    KeyKind,
    KeyUse,
    Merchant,
    ProviderAccount,
)
from tillgate.runtime.db import Tx


async def next_number(tx: Tx) -> int:
    """Return a fresh even number: the live tenant's; the test tenant's is one more."""
    return int(await tx.value("SELECT nextval('merchants.numbers')"))


async def insert_merchant(tx: Tx, merchant: Merchant) -> None:
    """Write one tenant."""
    await tx.run(
        "INSERT INTO merchants.merchants"
        " (merchant_id, account, livemode, name, default_currency, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        merchant.merchant_id,
        merchant.account,
        merchant.livemode,
        merchant.name,
        merchant.default_currency,
        merchant.created_at,
    )


async def select_merchant(tx: Tx, merchant_id: int) -> Merchant | None:
    """Read one tenant."""
    row = await tx.maybe("SELECT * FROM merchants.merchants WHERE merchant_id = $1", merchant_id)
    return None if row is None else _merchant(row)


async def select_merchants(tx: Tx) -> list[Merchant]:
    """Read all tenants, oldest merchant first."""
    rows = await tx.all("SELECT * FROM merchants.merchants ORDER BY account, livemode")
    return sorted(
        map(_merchant, rows), key=lambda merchant: (merchant.created_at, merchant.account)
    )


async def insert_key(tx: Tx, key: ApiKey, digest: bytes) -> None:
    """Write a key's digest."""
    await tx.run(
        "INSERT INTO merchants.api_keys (merchant_id, id, kind, digest, hint, name, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        key.merchant_id,
        key.id,
        key.kind,
        digest,
        key.hint,
        key.name,
        key.created_at,
    )


async def select_holder(tx: Tx, digest: bytes) -> tuple[bytes, KeyHolder] | None:
    """Read whose key has this digest, unless it is revoked; with the digest as it is stored."""
    row = await tx.maybe(
        "SELECT k.digest, k.merchant_id, m.account, m.livemode, k.id, k.kind"
        " FROM merchants.api_keys k JOIN merchants.merchants m ON m.merchant_id = k.merchant_id"
        " WHERE k.digest = $1 AND k.revoked_at IS NULL",
        digest,
    )
    if row is None:
        return None
    kind: KeyKind = row["kind"]
    holder = KeyHolder(row["merchant_id"], row["account"], row["livemode"], row["id"], kind)
    return row["digest"], holder


async def select_keys(tx: Tx, account: str | None) -> list[ApiKey]:
    """Read all keys, of one merchant or of all."""
    rows = await tx.all(
        "SELECT k.*, m.account, m.livemode FROM merchants.api_keys k"
        " JOIN merchants.merchants m ON m.merchant_id = k.merchant_id"
        " WHERE $1::text IS NULL OR m.account = $1 ORDER BY k.id",
        account,
    )
    return [_key(row) for row in rows]


async def lock_key(tx: Tx, merchant_id: int, key_id: str) -> ApiKey:
    """Read one key and hold its row."""
    row = await tx.one(
        "SELECT k.*, m.account, m.livemode FROM merchants.api_keys k"
        " JOIN merchants.merchants m ON m.merchant_id = k.merchant_id"
        " WHERE k.merchant_id = $1 AND k.id = $2 FOR UPDATE OF k",
        merchant_id,
        key_id,
    )
    return _key(row)


async def update_key_revoked(tx: Tx, merchant_id: int, key_id: str, at: datetime) -> None:
    """Note when a key ceased to work."""
    await tx.run(
        "UPDATE merchants.api_keys SET revoked_at = $3 WHERE merchant_id = $1 AND id = $2",
        merchant_id,
        key_id,
        at,
    )


async def update_keys_used(tx: Tx, uses: Sequence[KeyUse]) -> None:
    """Note when keys were last used, where that is news."""
    await tx.many(
        "UPDATE merchants.api_keys SET last_used_at = $3 WHERE merchant_id = $1 AND id = $2"
        " AND (last_used_at IS NULL OR last_used_at < $3)",
        [(use.merchant_id, use.key_id, use.at) for use in uses],
    )


async def upsert_provider_account(tx: Tx, account: ProviderAccount, sealed: bytes) -> None:
    """Write a provider account, or its new configuration."""
    await tx.run(
        """
        INSERT INTO merchants.provider_accounts
            (merchant_id, id, provider, sealed, enabled, created_at, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (merchant_id, id) DO UPDATE
            SET sealed = excluded.sealed, enabled = excluded.enabled,
                version = provider_accounts.version + 1
        """,
        account.merchant_id,
        account.id,
        account.provider,
        sealed,
        account.enabled,
        account.created_at,
        account.version,
    )


async def select_provider_accounts(tx: Tx, merchant_id: int) -> list[tuple[ProviderAccount, bytes]]:
    """Read a tenant's provider accounts with their sealed configurations, oldest first."""
    rows = await tx.all(
        "SELECT * FROM merchants.provider_accounts WHERE merchant_id = $1 ORDER BY id", merchant_id
    )
    return [
        (
            ProviderAccount(
                row["merchant_id"],
                row["id"],
                row["provider"],
                row["enabled"],
                row["version"],
                row["created_at"],
            ),
            row["sealed"],
        )
        for row in rows
    ]


def _merchant(row: asyncpg.Record) -> Merchant:
    return Merchant(
        merchant_id=row["merchant_id"],
        account=row["account"],
        livemode=row["livemode"],
        name=row["name"],
        default_currency=row["default_currency"],
        created_at=row["created_at"],
    )


def _key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(
        merchant_id=row["merchant_id"],
        id=row["id"],
        kind=row["kind"],
        hint=row["hint"],
        name=row["name"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
        account=row["account"],
        livemode=row["livemode"],
    )
