"""The relay: every fact heard once, in order, and one that fails is put aside alone."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tillgate.entry import relay as relaying
from tillgate.entry.relay import BATCH, Shown, Table, Told, move_over, relay
from tillgate.kernel.clock import FixedClock, SystemClock
from tillgate.kernel.facts import Fact, Headline
from tillgate.kernel.ids import new_id
from tillgate.runtime import outbox
from tillgate.runtime.db import CommitUnknown, Contended, Database, Tx

TEAHOUSE, BAKERY = 3, 5
CUP = {"cup.filled"}


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

    async def __call__(self, tx: Tx, facts: Sequence[Fact | Headline], at: datetime) -> None:
        await tx.run("SELECT 1")
        assert at
        for fact in facts:
            if fact.id in self.fails_on:
                raise ValueError(f"cannot bear {fact.id}")
        self.heard += [fact.id for fact in facts]


def cups(clock: FixedClock, count: int, merchant_id: int = TEAHOUSE) -> list[Fact]:
    return [
        Fact(merchant_id, new_id("evt"), "cup.filled", "cup_1", number, b"{}", clock.now())
        for number in range(count)
    ]


async def publish(
    db: Database, clock: FixedClock, count: int, merchant_id: int = TEAHOUSE
) -> list[str]:
    facts = cups(clock, count, merchant_id)
    async with db.transaction() as tx:
        outbox.publish(tx, facts)
    return sorted(fact.id for fact in facts)


async def parked(db: Database) -> list[tuple[str, int]]:
    async with db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT fact_id, tries FROM runtime.parked_facts")
    return [(row["fact_id"], row["tries"]) for row in rows]


async def test_every_fact_is_heard_once_and_in_order(db: Database, clock: FixedClock) -> None:
    ear, other = Ear(), Ear()
    table: Table = (Shown(CUP, ear), Told(CUP, other))
    ids = await publish(db, clock, 600)
    bakery = await publish(db, clock, 3, BAKERY)

    assert await relay(db, clock, table) == 603
    assert await relay(db, clock, table) == 0

    assert ear.heard == other.heard == ids + bakery


async def test_a_fact_that_nobody_listens_to_is_done_with(db: Database, clock: FixedClock) -> None:
    await publish(db, clock, 2)

    assert await relay(db, clock, ()) == 2
    assert await relay(db, clock, ()) == 0


async def test_one_fact_that_fails_is_parked_and_the_others_go_on(
    db: Database, clock: FixedClock
) -> None:
    ear = Ear()
    ids = await publish(db, clock, 100)
    poison = ids[41]
    ear.fails_on = {poison}
    bakery = await publish(db, clock, 1, BAKERY)

    assert await relay(db, clock, (Told(CUP, ear),)) == 100

    assert sorted(set(ear.heard)) == sorted({*ids, *bakery} - {poison})
    assert await parked(db) == [(poison, 1)]


async def test_a_parked_fact_is_tried_again_with_back_off_and_heard_in_the_end(
    db: Database, clock: FixedClock
) -> None:
    ear = Ear()
    table = (Told(CUP, ear),)
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


@pytest.mark.parametrize("after", ["_park", "_put_off"])
async def test_a_fact_that_another_relay_has_heard_meanwhile_is_not_heard_again(
    db: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """It failed here; the other had its turn before this one could put it aside."""
    ear, other = Ear(), Ear()
    (fact,) = await publish(db, clock, 1)
    ear.fails_on = {fact}
    if after == "_put_off":
        await relay(db, clock, (Told(CUP, ear),))
        clock.advance(minutes=1)
    put_aside = getattr(relaying, after)

    async def late(*given: Any) -> None:
        assert await relay(db, clock, (Told(CUP, other),)) == 1
        await put_aside(*given)

    monkeypatch.setattr(relaying, after, late)
    assert await relay(db, clock, (Told(CUP, ear),)) == 0
    clock.advance(hours=2)
    assert await relay(db, clock, (Told(CUP, other),)) == 0

    assert other.heard == [fact]
    assert await parked(db) == []


async def test_two_relays_at_once_share_the_facts(db: Database, clock: FixedClock) -> None:
    ear = Ear()
    ids = await publish(db, clock, 1000)

    heard = await asyncio.gather(*(relay(db, clock, (Told(CUP, ear),)) for _ in range(3)))

    while await relay(db, clock, (Told(CUP, ear),)):
        pass
    assert sum(heard) <= 1000
    assert sorted(ear.heard) == ids


async def test_what_a_failing_subscriber_wrote_is_rolled_back_with_the_mark(
    db: Database, clock: FixedClock
) -> None:
    async def writes_then_fails(tx: Tx, facts: Sequence[Headline], at: datetime) -> None:
        await tx.run(
            "INSERT INTO runtime.heartbeats VALUES ($1, 'worker', $2, $2)", facts[0].id, at
        )
        raise ValueError("after writing")

    await publish(db, clock, 1)

    await relay(db, clock, (Told(CUP, writes_then_fails),))

    async with db.transaction(readonly=True) as tx:
        assert await tx.value("SELECT count(*) FROM runtime.heartbeats") == 0
    assert len(await parked(db)) == 1


async def test_each_hears_what_it_listens_to_and_only_who_reads_is_shown_it(
    db: Database, clock: FixedClock
) -> None:
    told: list[Headline] = []
    shown: list[Fact] = []

    async def hear(tx: Tx, facts: Sequence[Headline], at: datetime) -> None:
        told.extend(facts)

    async def read(tx: Tx, facts: Sequence[Fact], at: datetime) -> None:
        shown.extend(facts)

    at = clock.now()
    facts = [
        Fact(TEAHOUSE, new_id("evt"), name, "cup_1", number, b"%d" % number, at, "req", "key", b"0")
        for number, name in enumerate(["cup.filled", "cup.broken", "cup.washed", "cup.broken"])
    ]
    async with db.transaction() as tx:
        outbox.publish(tx, facts)

    table = (Shown({"cup.broken", "cup.lost"}, read), Told({"cup.filled", "cup.broken"}, hear))
    assert await relay(db, clock, table) == 4

    assert shown == [facts[1], facts[3]]
    assert told == [Headline(TEAHOUSE, facts[each].id, facts[each].name) for each in (0, 1, 3)]


async def test_a_fact_that_nobody_is_shown_is_not_read(db: Database, clock: FixedClock) -> None:
    ear = Ear()
    async with db.transaction() as tx:
        await tx.run(
            "INSERT INTO runtime.unrelayed VALUES (3, 'evt_not_in_the_log', '{evt_not_in_the_log}',"
            " '{cup.filled}', $1)",
            clock.now(),
        )

    assert await relay(db, clock, (Told(CUP, ear), Shown({"cup.broken"}, ear))) == 1

    assert ear.heard == ["evt_not_in_the_log"]


async def test_transactions_that_overlap_are_heard_in_the_order_of_their_facts(
    db: Database, clock: FixedClock
) -> None:
    ear = Ear()
    facts = cups(clock, 120)
    for start in (1, 0):
        async with db.transaction() as tx:
            outbox.publish(tx, facts[start::2])

    assert await relay(db, clock, (Told(CUP, ear),)) == 120

    assert ear.heard == [fact.id for fact in facts]


async def test_facts_that_fail_amid_others_of_their_transaction_are_parked_alone(
    db: Database, clock: FixedClock
) -> None:
    """While two relays at once take them apart."""
    ear = Ear()
    ids = await publish(db, clock, 90)
    poison = {ids[0], ids[41], ids[42], ids[89]}
    ear.fails_on = set(poison)
    table = (Shown(CUP, ear),)

    while sum(await asyncio.gather(*(relay(db, clock, table) for _ in range(2)))):
        pass

    assert sorted(ear.heard) == sorted({*ids} - poison)
    assert sorted(await parked(db)) == sorted((one, 1) for one in poison)
    ear.fails_on = set()
    clock.advance(seconds=5)
    assert await relay(db, clock, table) == 4
    assert sorted(ear.heard) == ids


async def test_a_lock_that_somebody_holds_is_no_fault_of_a_fact(
    db: Database, clock: FixedClock
) -> None:
    ids = await publish(db, clock, 3)
    ear = Ear()

    async def wait_for_books(tx: Tx, facts: Sequence[Fact], at: datetime) -> None:
        await tx.run("SET LOCAL lock_timeout = '50ms'")
        await tx.run("SELECT pg_advisory_xact_lock(7)")
        await ear(tx, facts, at)

    table: Table = (Shown(CUP, wait_for_books),)
    async with db.transaction() as other:
        await other.run("SELECT pg_advisory_xact_lock(7)")
        with pytest.raises(Contended):
            await relay(db, clock, table)

    assert await parked(db) == []
    assert await relay(db, clock, table) == 3
    assert ear.heard == ids


async def test_a_relay_that_dies_after_hearing_leaves_all_as_it_was(
    db: Database, clock: FixedClock
) -> None:
    ear, next_one = Ear(), Ear()
    ids = await publish(db, clock, 60)

    async def die() -> None:
        raise asyncpg.ConnectionDoesNotExistError("the worker was killed")

    db.before_commit = die
    with pytest.raises(CommitUnknown):
        await relay(db, clock, (Told(CUP, ear),))
    db.before_commit = None

    assert await relay(db, clock, (Told(CUP, next_one),)) == 60
    assert next_one.heard == ids
    assert await parked(db) == []


async def test_what_the_code_before_publishes_is_heard_too(db: Database, clock: FixedClock) -> None:
    """It knows nothing of the new table, and may run beside this code for a while."""
    ear = Ear()
    facts = cups(clock, 40)
    other = cups(clock, 1, BAKERY)
    async with db.transaction() as tx:
        outbox.publish(tx, [*facts, *other])
        await tx.run("DELETE FROM runtime.unrelayed")
        await tx.many(
            "INSERT INTO runtime.outbox (merchant_id, id, at) VALUES ($1, $2, $3)",
            [(fact.merchant_id, fact.id, fact.at) for fact in (*facts, *other)],
        )
    new = await publish(db, clock, 3)
    table = (Told(CUP, ear),)

    async with db.transaction() as old_relay:
        await old_relay.run(
            "SELECT FROM runtime.outbox WHERE merchant_id = 3 AND id = $1 FOR UPDATE", facts[7].id
        )
        assert await move_over(db) == 40, "what a relay of before is at is left to it"
    assert await move_over(db) == 1
    assert await move_over(db) == 0

    assert await relay(db, clock, table) == 44
    assert ear.heard == [*(fact.id for fact in facts), *new, other[0].id]


async def test_a_backlog_of_large_transactions_is_taken_in_bounded_steps(
    db: Database, clock: FixedClock
) -> None:
    steps: list[int] = []

    async def hear(tx: Tx, facts: Sequence[Headline], at: datetime) -> None:
        steps.append(len(facts))

    for _ in range(3):
        await publish(db, clock, 700)

    while await relay(db, clock, (Told(CUP, hear),)):
        pass

    assert sum(steps) == 2100
    assert max(steps) < BATCH + 24
