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
