"""Heartbeats: each long-running process says that it is alive, so that readiness can be judged."""

from __future__ import annotations

from datetime import datetime, timedelta

from tillgate.runtime.db import Tx

_FORGET_AFTER = timedelta(days=1)


async def beat(tx: Tx, process: str, kind: str, *, at: datetime) -> None:
    """Say that this process is alive, and forget those that have not been for a day."""
    await tx.run(
        """
        INSERT INTO runtime.heartbeats (process, kind, at, started_at) VALUES ($1, $2, $3, $3)
        ON CONFLICT (process) DO UPDATE SET at = excluded.at
        """,
        process,
        kind,
        at,
    )
    await tx.run("DELETE FROM runtime.heartbeats WHERE at < $1", at - _FORGET_AFTER)


async def last_beat(tx: Tx, kind: str) -> datetime | None:
    """Return when a process of this kind was last alive."""
    return await tx.value("SELECT max(at) FROM runtime.heartbeats WHERE kind = $1", kind)
