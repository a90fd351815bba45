"""Writes that were put off: sent together, all or none, each where it should."""

from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
import pytest

from tillgate.runtime import heartbeats
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.writes import Notebook

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
_INSERT = """
    INSERT INTO runtime.outbox (merchant_id, id, at)
    SELECT m, i, '2026-11-22' FROM unnest($1::bigint[], $2::text[]) u(m, i)
    """
_UPDATE = "UPDATE runtime.heartbeats SET kind = $2 WHERE process = $1"
_DELETE = "DELETE FROM runtime.outbox WHERE merchant_id = $1"


@pytest.fixture
async def db(db: Database) -> Database:
    async with db.transaction() as tx:
        await tx.run("DELETE FROM runtime.outbox")
        await heartbeats.beat(tx, "p", "worker", at=NOON)
    return db


async def _outbox(db: Database) -> list[tuple[int, str]]:
    async with db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT merchant_id, id FROM runtime.outbox ORDER BY 1, 2")
    return [(row["merchant_id"], row["id"]) for row in rows]


async def _fail(db: Database, note: Callable[[Tx], None]) -> None:
    async with db.transaction() as tx:
        note(tx)


async def _kind(db: Database) -> str:
    async with db.transaction(readonly=True) as tx:
        return await tx.value("SELECT kind FROM runtime.heartbeats WHERE process = 'p'")


async def test_writes_to_several_tables_are_one_statement(db: Database) -> None:
    async with db.transaction() as tx:
        tx.later(_INSERT, [1, 1], ["a", "b"], rows=2)
        tx.later(_UPDATE, "p", "api", rows=1)
        assert tx.is_one_statement
        assert await _outbox(db) == []

    assert await _outbox(db) == [(1, "a"), (1, "b")]
    assert await _kind(db) == "api"


async def test_a_count_that_is_not_as_wanted_undoes_the_others(db: Database) -> None:
    class TakenOver(Exception):
        pass

    def two(tx: Tx) -> None:
        tx.later(_INSERT, [1], ["a"], rows=1)
        tx.later(_UPDATE, "nobody", "api", rows=1, otherwise=TakenOver())

    with pytest.raises(TakenOver):
        await _fail(db, two)
    with pytest.raises(AssertionError, match="it vanished"):
        await _fail(
            db, lambda tx: tx.later(_UPDATE, "nobody", "api", rows=1, otherwise="it vanished")
        )

    assert await _outbox(db) == []


async def test_a_write_that_fails_undoes_the_others(db: Database) -> None:
    def two(tx: Tx) -> None:
        tx.later(_UPDATE, "p", "api")
        tx.later(_INSERT, [1, 1], ["a", "a"])

    with pytest.raises(asyncpg.UniqueViolationError):
        await _fail(db, two)

    assert await _kind(db) == "worker"


async def test_a_second_write_to_a_table_sees_the_first(db: Database) -> None:
    async with db.transaction() as tx:
        tx.later(_INSERT, [1, 2], ["a", "b"])
        tx.later(_DELETE, 1, rows=1)
        tx.later(_INSERT, [1], ["c"])
        assert not tx.is_one_statement

    assert await _outbox(db) == [(1, "c"), (2, "b")]


async def test_what_is_said_at_once_comes_after_what_was_put_off(db: Database) -> None:
    async with db.transaction() as tx:
        tx.later(_INSERT, [1], ["a"])
        assert await tx.value("SELECT count(*) FROM runtime.outbox") == 1

    assert await _outbox(db) == [(1, "a")]


async def test_nothing_is_sent_of_a_transaction_that_was_given_up(db: Database) -> None:
    def give_up(tx: Tx) -> None:
        tx.later(_INSERT, [1], ["a"])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await _fail(db, give_up)

    assert await _outbox(db) == []


async def test_what_was_noted_elsewhere_belongs_to_the_transaction(db: Database) -> None:
    notebook = Notebook()
    notebook.later(_INSERT, [3, 3], ["x", "y"])

    def fail_too(tx: Tx) -> None:
        tx.take_over(notebook)
        tx.later(_UPDATE, "nobody", "api", rows=1)

    with pytest.raises(AssertionError):
        await _fail(db, fail_too)
    assert await _outbox(db) == []

    await _fail(db, lambda tx: tx.take_over(notebook))
    assert await _outbox(db) == [(3, "x"), (3, "y")]


async def test_only_plain_writes_can_be_put_off(db: Database) -> None:
    with pytest.raises(AssertionError, match="plain write"):
        await _fail(db, lambda tx: tx.later("WITH x AS (SELECT 1) DELETE FROM runtime.outbox"))


async def test_a_reading_puts_nothing_off(db: Database) -> None:
    async with db.transaction(readonly=True) as tx:
        with pytest.raises(AssertionError, match="only reads"):
            tx.later(_DELETE, 1)
