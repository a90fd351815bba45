"""The outbox: what a transaction said is a few rows, and each fact is taken by one relay."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from tillgate.kernel.facts import Fact
from tillgate.kernel.ids import new_id
from tillgate.runtime import fact_log, outbox
from tillgate.runtime.db import BY_INDEX, Database

TEAHOUSE, BAKERY = 2, 4
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
async def db(app_db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(app_db_url, size=3, settings=BY_INDEX)
    yield database
    await database.close()


def happened(count: int, merchant_id: int = TEAHOUSE) -> list[Fact]:
    return [
        Fact(merchant_id, new_id("evt"), f"cup.did_{number % 3}", "cup_1", number, b"{}", NOON)
        for number in range(count)
    ]


async def publish(db: Database, facts: list[Fact]) -> list[str]:
    async with db.transaction() as tx:
        outbox.publish(tx, facts)
    return [fact.id for fact in facts]


async def rows(db: Database, merchant_id: int = TEAHOUSE) -> list[list[str]]:
    async with db.transaction(readonly=True) as tx:
        found = await tx.all(
            "SELECT id, ids, at FROM runtime.unrelayed WHERE merchant_id = $1 ORDER BY id",
            merchant_id,
        )
    assert [row["id"] for row in found] == [row["ids"][0] for row in found]
    assert {row["at"] for row in found} <= {NOON}
    return [row["ids"] for row in found]


async def test_facts_of_a_transaction_share_rows(db: Database) -> None:
    facts, others = happened(50), happened(3, BAKERY)

    async with db.transaction() as tx:
        outbox.publish(tx, [*facts, *others])

    ids = [fact.id for fact in facts]
    assert await rows(db) == [ids[:24], ids[24:48], ids[48:]]
    assert await rows(db, BAKERY) == [[fact.id for fact in others]]


async def test_what_is_said_at_two_places_of_a_transaction_is_written_at_once(
    db: Database,
) -> None:
    first, second = happened(3), happened(2)

    async with db.transaction() as tx:
        outbox.publish(tx, first)
        outbox.publish(tx, second)
        assert tx.is_one_statement

    assert await rows(db) == [[fact.id for fact in (*first, *second)]]
    async with db.transaction(readonly=True) as tx:
        kept = await fact_log.select_facts(tx, TEAHOUSE, [fact.id for fact in (*first, *second)])
    assert sorted(kept.values()) == sorted([*first, *second])


async def test_facts_are_claimed_oldest_first_in_whole_rows(db: Database) -> None:
    ids = await publish(db, happened(100))
    await publish(db, happened(5, BAKERY))

    async with db.transaction() as tx:
        first = await outbox.claim(tx, TEAHOUSE, 25)
        again = await outbox.claim(tx, TEAHOUSE, 1)
        rest = await outbox.claim(tx, TEAHOUSE, 1000)
        assert await outbox.claim(tx, TEAHOUSE, 1000) == []

    assert [one.id for one in first] == ids[:48], "the second row was begun"
    assert [one.id for one in again] == ids[48:72]
    assert [one.id for one in rest] == ids[72:]
    assert [one.name for one in rest[:3]] == ["cup.did_0", "cup.did_1", "cup.did_2"]


async def test_many_small_transactions_are_claimed_together(db: Database) -> None:
    ids = [one for _ in range(40) for one in await publish(db, happened(1))]

    async with db.transaction() as tx:
        claimed = await outbox.claim(tx, TEAHOUSE, 30)

    assert [one.id for one in claimed] == ids[:30]
    assert len(await rows(db)) == 10


async def test_a_claim_locks_what_it_takes_and_no_more(db: Database) -> None:
    ids = await publish(db, happened(100))

    async with db.transaction() as one, db.transaction() as other, db.transaction() as third:
        mine = await outbox.claim(one, TEAHOUSE, 24)
        theirs = await outbox.claim(other, TEAHOUSE, 30)
        last = await outbox.claim(third, TEAHOUSE, 1000)

    assert [[fact.id for fact in some] for some in (mine, theirs, last)] == [
        ids[:24], ids[24:72], ids[72:]
    ]  # fmt: skip


async def test_a_claim_that_is_given_up_leaves_the_facts_to_others(db: Database) -> None:
    ids = await publish(db, happened(30))

    with pytest.raises(ZeroDivisionError):
        await _claim_and_fail(db)

    assert await rows(db) == [ids[:24], ids[24:]]


async def _claim_and_fail(db: Database) -> None:
    async with db.transaction() as tx:
        assert await outbox.claim(tx, TEAHOUSE, 100)
        raise ZeroDivisionError


async def test_facts_that_were_taken_apart_are_claimed_and_dropped_one_by_one(
    db: Database,
) -> None:
    ids = await publish(db, happened(60))

    async with db.transaction() as tx:
        apart = await outbox.take_apart(tx, TEAHOUSE, 30)
    assert apart == ids[:48]
    assert await rows(db) == [*([one] for one in apart), ids[48:]]

    async with db.transaction() as tx:
        await outbox.drop(tx, TEAHOUSE, ids[7])
        claimed = await outbox.claim_these(tx, TEAHOUSE, ids[5:10])

    assert [one.id for one in claimed] == [*ids[5:7], *ids[8:10]]
    assert await rows(db) == [*([one] for one in ids[:5] + ids[10:48]), ids[48:]]


async def test_one_fact_is_never_taken_for_all_of_its_row(db: Database) -> None:
    ids = await publish(db, happened(5))

    async with db.transaction() as tx:
        await outbox.drop(tx, TEAHOUSE, ids[0])
        assert await outbox.claim_these(tx, TEAHOUSE, ids[:1]) == []

    assert await rows(db) == [ids]


async def test_merchants_that_wait(db: Database) -> None:
    await publish(db, [*happened(30), *happened(2, BAKERY)])

    async with db.transaction() as tx:
        assert await outbox.merchants_waiting(tx) == [TEAHOUSE, BAKERY]
        await outbox.claim(tx, TEAHOUSE, 100)
        assert await outbox.merchants_waiting(tx) == [BAKERY]
