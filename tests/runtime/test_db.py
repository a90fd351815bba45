"""Transactions: what is not committed is never reported as if it were."""

import contextlib

import asyncpg
import pytest

from tillgate.runtime.db import Database


async def test_commit_that_rolled_back_is_not_a_commit(app_db_url: str) -> None:
    """PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, and with no error."""
    db = await Database.open(app_db_url)
    try:
        with pytest.raises(AssertionError, match="rolled back"):
            await _fail_unheard(db)
        async with db.transaction(readonly=True) as tx:
            assert await tx.value("SELECT 1") == 1
    finally:
        await db.close()


async def _fail_unheard(db: Database) -> None:
    async with db.transaction() as tx:
        with contextlib.suppress(asyncpg.PostgresError):
            await tx.value("SELECT 1 / 0")


async def test_a_snapshot_is_one_moment_and_leaves_nothing_open(db_url: str) -> None:
    db = await Database.open(db_url, role=None)
    try:
        async with db.transaction() as tx:
            await tx.run("CREATE TABLE public.cups (n int)")
        async with db.snapshot() as before:
            assert await before.value("SELECT count(*) FROM public.cups") == 0
            async with db.transaction() as tx:
                await tx.run("INSERT INTO public.cups VALUES (1)")
            assert await before.value("SELECT count(*) FROM public.cups") == 0
        with pytest.raises(asyncpg.DivisionByZeroError):
            await _fail_in_snapshot(db)
        async with db.transaction(readonly=True) as tx:
            assert await tx.value("SELECT count(*) FROM public.cups") == 1
            assert await tx.value(_STILL_OPEN) == 0
    finally:
        await db.close()


_STILL_OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""


async def _fail_in_snapshot(db: Database) -> None:
    async with db.snapshot() as tx:
        await tx.value("SELECT 1 / 0")
