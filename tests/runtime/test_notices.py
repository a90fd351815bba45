"""The inbox keeps what is still to be dealt with, and lets go of what is long done."""

from __future__ import annotations

from datetime import timedelta

from tillgate.entry.build import open_core
from tillgate.entry.subscriptions import CATALOGUE
from tillgate.entry.worker import chores
from tillgate.kernel.clock import SystemClock
from tillgate.runtime import notices
from tillgate.runtime.db import Database
from tillgate.runtime.notices import RawNotice
from tillgate.runtime.settings import load
from tillgate.webhooks.dispatcher import Dispatcher

NOW = SystemClock().now()


async def _store(db: Database, name: str, *, days: int) -> None:
    raw = RawNotice(
        merchant_id=3,
        id=name,
        provider_account_id="pa_alipay",
        headers={},
        body=b"raw",
        received_at=NOW - timedelta(days=days),
    )
    async with db.transaction() as tx:
        notices.insert(tx, [raw], apply_by=timedelta(seconds=10))


async def _left(db: Database) -> list[str]:
    async with db.transaction(readonly=True) as tx:
        return [row["id"] for row in await tx.all("SELECT id FROM runtime.notices ORDER BY id")]


async def test_the_worker_forgets_old_notices_that_are_dealt_with_and_no_others(
    app_db_url: str, db: Database, tmp_path
) -> None:
    for name, days in (("applied", 31), ("failed", 31), ("fresh", 29), ("waiting", 31)):
        await _store(db, name, days=days)
    async with db.transaction() as tx:
        notices.mark_applied(tx, [(3, "applied"), (3, "fresh")], at=NOW)
        await notices.put_off(tx, 3, "failed", until=None, note="about nothing of ours")
    settings = load(
        {
            "TILLGATE_DATABASE__URL": app_db_url,
            "TILLGATE_DATA_DIR": str(tmp_path),
            "TILLGATE_PAYMENTS__NOTICES_KEPT_DAYS": "30",
        }
    )

    async with open_core(settings) as core:
        dispatcher = Dispatcher(core.db, core.clock, core.vault, CATALOGUE, settings.webhooks)
        by_name = {chore.name: chore for chore in chores(core, dispatcher)}

        assert await by_name["old notices"].do() == 2
        assert await by_name["old notices"].do() == 0

    assert await _left(db) == ["fresh", "waiting"]


async def test_a_batch_of_old_notices_is_forgotten_at_a_time(db: Database) -> None:
    for number in range(5):
        await _store(db, f"old{number}", days=9)
    async with db.transaction() as tx:
        notices.mark_applied(tx, [(3, f"old{number}") for number in range(5)], at=NOW)

    done = []
    for _ in range(3):
        async with db.transaction() as tx:
            done.append(await notices.prune(tx, NOW, 2))

    assert done == [2, 2, 1]
    assert await _left(db) == []
