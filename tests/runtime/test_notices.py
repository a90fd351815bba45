"""The inbox keeps what is still to be dealt with, and lets go of what is long done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

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


def _raw(name: str, *, days: int = 0) -> RawNotice:
    return RawNotice(
        merchant_id=3,
        id=name,
        provider_account_id="pa_alipay",
        headers={},
        body=b"raw",
        received_at=NOW - timedelta(days=days),
    )


async def _store(db: Database, *raws: RawNotice) -> None:
    async with db.transaction() as tx:
        notices.insert(tx, raws, apply_by=timedelta(seconds=10))


async def _apply(db: Database, *raws: RawNotice, note: str | None = None) -> None:
    async with db.transaction() as tx:
        notices.insert_applied(tx, raws, at=NOW, note=note)


async def _put_off(db: Database, name: str, *, until: datetime | None) -> None:
    async with db.transaction() as tx:
        await notices.put_off(tx, 3, name, until=until, note="about nothing of ours")


async def _left(db: Database) -> list[str]:
    async with db.transaction(readonly=True) as tx:
        return [row["id"] for row in await tx.all("SELECT id FROM runtime.notices ORDER BY id")]


async def test_the_worker_forgets_old_notices_that_are_dealt_with_and_no_others(
    app_db_url: str, db: Database, tmp_path
) -> None:
    await _store(db, _raw("failed", days=31), _raw("waiting", days=31))
    await _apply(db, _raw("applied", days=31), _raw("fresh", days=29))
    await _put_off(db, "failed", until=None)
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
    await _apply(db, *(_raw(f"old{number}", days=9) for number in range(5)))

    done = []
    for _ in range(3):
        async with db.transaction() as tx:
            done.append(await notices.prune(tx, NOW, 2))

    assert done == [2, 2, 1]
    assert await _left(db) == []


async def _row(db: Database) -> dict[str, Any]:
    async with db.transaction(readonly=True) as tx:
        return dict(await tx.one("SELECT status, next_at, applied_at, note FROM runtime.notices"))


DONE = {"status": "applied", "next_at": None, "applied_at": NOW, "note": None}


async def test_notice_that_is_stored_and_applied_in_either_order_is_one_that_was_applied(
    db: Database,
) -> None:
    for name, deeds in {"early": (_store, _apply), "late": (_apply, _store)}.items():
        for deed in deeds:
            await deed(db, _raw(name))

        assert await _row(db) == DONE
        async with db.transaction() as tx:
            await tx.run("DELETE FROM runtime.notices")


async def test_notice_that_a_batch_has_twice_is_written_once(db: Database) -> None:
    await _apply(db, _raw("twice"), _raw("twice"))

    assert await _row(db) == DONE


async def test_notice_that_was_applied_is_not_put_off(db: Database) -> None:
    await _apply(db, _raw("done"))
    for until in (NOW, None):
        await _put_off(db, "done", until=until)

    assert await _row(db) == DONE


async def test_failed_notice_that_is_applied_after_all_is_one_that_was_applied(
    db: Database,
) -> None:
    await _store(db, _raw("given up"))
    await _put_off(db, "given up", until=None)
    assert (await _row(db))["status"] == "failed"

    await _apply(db, _raw("given up"), note="refund.updated")

    assert await _row(db) == {**DONE, "note": "refund.updated"}
