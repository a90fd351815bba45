"""`tillgate keys`: list, make and revoke a merchant's API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tillgate.entry.build import open_database
from tillgate.kernel.clock import SystemClock
from tillgate.merchants import commands, queries
from tillgate.merchants.model import ApiKey
from tillgate.runtime.settings import Settings


async def list_keys(settings: Settings, *, merchant: str | None = None) -> list[dict[str, Any]]:
    """Return keys without their secrets; `merchant` is an `acct_…`."""
    async with open_database(settings) as db, db.transaction(readonly=True) as tx:
        return [_shown(key) for key in await queries.keys(tx, merchant)]


async def create_key(
    settings: Settings, *, merchant: str | None = None, mode: str = "test"
) -> dict[str, Any]:
    """Make a secret key; its text is in the answer and nowhere else."""
    at = SystemClock().now()
    async with open_database(settings) as db, db.transaction() as tx:
        tenant = await queries.tenant(tx, merchant, livemode=mode == "live")
        made = await commands.create_key(tx, tenant.merchant_id, "secret", name="cli", at=at)
    return {**_shown(made.key), "secret": made.text}


async def revoke_key(settings: Settings, key_id: str) -> dict[str, Any]:
    """Make a key useless; servers stop taking it within seconds."""
    async with open_database(settings) as db, db.transaction() as tx:
        return _shown(await commands.revoke_key(tx, key_id, at=SystemClock().now()))


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "account": key.account,
        "mode": "live" if key.livemode else "test",
        "kind": key.kind,
        "hint": key.hint,
        "name": key.name,
        "created_at": _time(key.created_at),
        "revoked_at": _time(key.revoked_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
