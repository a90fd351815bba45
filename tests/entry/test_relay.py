"""The relay: every fact heard once, in order, and one that fails is put aside alone."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

import pytest
import pytest_asyncio

from tillgate.entry.relay import Table, relay
from tillgate.kernel.clock import FixedClock, SystemClock
from tillgate.kernel.facts import Fact
from tillgate.kernel.ids import new_id
from tillgate.runtime import outbox
from tillgate.runtime.db import Database, Tx

TEAHOUSE, BAKERY = 3, 5


@pytest_asyncio.fixture
async def db(app_db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(app_db_url, size=4)
    yield database
    await database.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(SystemClock().now())


class Ear:
    """Keeps what it hears, in the transaction, as API keys' names (a table that is at hand)."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.fails_on: set[str] = set()

    async def __call__(self, tx: Tx, facts: Sequence[Fact], at: datetime) -> None:
        await tx.run("SELECT 1")
        assert at
        for fact in facts:
            if fact.id in self.fails_on:
                raise ValueError(f"cannot bear {fact.id}")
        self.heard += [fact.id for fact in facts]


async def publish(
    db: Database, clock: FixedClock, count: int, merchant_id: int = TEAHOUSE
) -> list[str]:
    facts = [
        Fact(merchant_id, new_id("evt"), "cup.filled", "cup_1", number, b"{}", clock.now())
        for number in range(count)
    ]
    async with db.transaction() as tx:
        outbox.publish(tx, facts)
    return sorted(fact.id for fact in facts)


async def parked(db: Database) -> list[tuple[str, int]]:
    async with db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT fact_id, tries FROM runtime.parked_facts")
    return [(row["fact_id"], row["tries"]) for row in rows]


async def test_every_fact_is_heard_once_and_in_order(db: Database, clock: FixedClock) -> None:
    ear, other = Ear(), Ear()
    table: Table = {"cup.filled": (ear, other)}
    ids = await publish(db, clock, 600)
    bakery = await publish(db, clock, 3, BAKERY)

    assert await relay(db, clock, table) == 603
    assert await relay(db, clock, table) == 0

    assert ear.heard == other.heard == ids + bakery


async def test_a_fact_that_nobody_listens_to_is_done_with(db: Database, clock: FixedClock) -> None:
    await publish(db, clock, 2)

    assert await relay(db, clock, {}) == 2
    assert await relay(db, clock, {}) == 0


async def test_one_fact_that_fails_is_parked_and_the_others_go_on(
    db: Database, clock: FixedClock
) -> None:
    ear = Ear()
    ids = await publish(db, clock, 100)
    poison = ids[41]
    ear.fails_on = {poison}
    bakery = await publish(db, clock, 1, BAKERY)

    assert await relay(db, clock, {"cup.filled": (ear,)}) == 100

    assert sorted(set(ear.heard)) == sorted({*ids, *bakery} - {poison})
    assert await parked(db) == [(poison, 1)]


async def test_a_parked_fact_is_tried_again_with_back_off_and_heard_in_the_end(
    db: Database, clock: FixedClock
) -> None:
    ear = Ear()
    table: Table = {"cup.filled": (ear,)}
    (poison,) = await publish(db, clock, 1)
    ear.fails_on = {poison}
    await relay(db, clock, table)

    clock.advance(seconds=4)
    assert await relay(db, clock, table) == 0
    assert await parked(db) == [(poison, 1)]
    clock.advance(seconds=1)
    await relay(db, clock, table)
    assert await parked(db) == [(poison, 2)]
    clock.advance(seconds=9)
    await relay(db, clock, table)
    assert await parked(db) == [(poison, 2)], "the second wait is longer"
    ear.fails_on = set()
    clock.advance(seconds=1)
    assert await relay(db, clock, table) == 1

    assert ear.heard == [poison]
    assert await parked(db) == []


async def test_two_relays_at_once_share_the_facts(db: Database, clock: FixedClock) -> None:
    ear = Ear()
    ids = await publish(db, clock, 1000)

    heard = await asyncio.gather(*(relay(db, clock, {"cup.filled": (ear,)}) for _ in range(3)))

    while await relay(db, clock, {"cup.filled": (ear,)}):
        pass
    assert sum(heard) <= 1000
    assert sorted(ear.heard) == ids


async def test_what_a_failing_subscriber_wrote_is_rolled_back_with_the_mark(
    db: Database, clock: FixedClock
) -> None:
    async def writes_then_fails(tx: Tx, facts: Sequence[Fact], at: datetime) -> None:
        await tx.run(
            "INSERT INTO runtime.heartbeats VALUES ($1, 'worker', $2, $2)", facts[0].id, at
        )
        raise ValueError("after writing")

    await publish(db, clock, 1)

    await relay(db, clock, {"cup.filled": (writes_then_fails,)})

    async with db.transaction(readonly=True) as tx:
        assert await tx.value("SELECT count(*) FROM runtime.heartbeats") == 0
    assert len(await parked(db)) == 1
