"""`tillgate keys`: list, make and revoke a merchant's API keys; and when they were last used."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from tillgate.entry.build import open_database
from tillgate.kernel.clock import Clock, SystemClock
from tillgate.merchants import commands, queries
from tillgate.merchants.model import ApiKey, KeyUse
from tillgate.runtime.db import Database
from tillgate.runtime.settings import Settings
from tillgate.web.auth import KeyRing


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


class LastUses:
    """Writes down now and then which keys were used: never while a request waits."""

    def __init__(self, db: Database, clock: Clock, ring: KeyRing) -> None:
        self._db = db
        self._clock = clock
        self._ring = ring
        self._written = time.monotonic()

    async def write(self) -> int:
        """Write the uses since the last time."""
        moment, now = time.monotonic(), self._clock.now()
        uses = [
            KeyUse(merchant_id, key_id, now - timedelta(seconds=moment - at))
            for merchant_id, key_id, at in self._ring.used_since(self._written)
        ]
        if uses:
            async with self._db.transaction() as tx:
                await commands.note_uses(tx, uses)
        self._written = moment
        return len(uses)


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "account": key.account,
        "mode": "live" if key.livemode else "test",
        "kind": key.kind,
        "hint": key.hint,
        "name": key.name,
        "created_at": _time(key.created_at),
        "last_used_at": _time(key.last_used_at),
        "revoked_at": _time(key.revoked_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
