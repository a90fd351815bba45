"""Keys that are taken with the work: one effect each, and nobody else suffers from a repetition."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from tillgate.kernel.clock import SystemClock
from tillgate.kernel.errors import Kind, Refusal
from tillgate.runtime import idempotency
from tillgate.runtime.db import Database, DatabaseUnavailable, Tx
from tillgate.runtime.idempotency import Asked, Claim, Claims, KeyInUse, KeyTaken
from tillgate.runtime.keyed import KeyedLane

CLOCK = SystemClock()


class Bitter(Refusal):
    """Nobody wants that."""

    kind = Kind.INVALID


def order(key: str, request: str = "req_1") -> Claim:
    return Claim(Asked(3, key, b"body", request), is_held=False)


class Shop:
    """Makes one thing for each order, in a lane of its own."""

    def __init__(self, db: Database) -> None:
        self.lane = KeyedLane(db, self._make, lambda claim: claim)
        self.batches: list[int] = []

    async def _make(self, tx: Tx, claims: Sequence[Claim]) -> list[str | Refusal]:
        self.batches.append(len(claims))
        made = [f"{claim.asked.key} {claim.asked.request_id}" for claim in claims]
        at = CLOCK.now()
        refused = ["bitter" in each for each in made]
        wanted = [each for each, no in zip(made, refused, strict=True) if not no]
        tx.later(
            "INSERT INTO runtime.outbox (merchant_id, id, at)"
            " SELECT 3, id, $2 FROM unnest($1::text[]) id",
            wanted,
            at,
        )
        idempotency.attach(
            tx,
            [(c, m) for c, m, no in zip(claims, made, refused, strict=True) if not no],
            at,
        )
        return [Bitter() if no else each for each, no in zip(made, refused, strict=True)]

    async def all(self, claims: Sequence[Claim]) -> list[Any]:
        return await asyncio.gather(
            *(self.lane.submit(claim) for claim in claims), return_exceptions=True
        )


@pytest.fixture
async def shops(app_db_url: str) -> AsyncGenerator[list[Shop]]:
    """As of two processes."""
    databases = [await Database.open(app_db_url, size=2) for _ in range(2)]
    yield [Shop(db) for db in databases]
    for db in databases:
        await db.close()


async def effects(db: Database) -> list[str]:
    async with db.transaction(readonly=True) as tx:
        made = [row["id"] for row in await tx.all("SELECT id FROM runtime.outbox ORDER BY id")]
        keyed = await tx.all("SELECT object_id FROM runtime.idempotency ORDER BY object_id")
    assert [row["object_id"] for row in keyed] == made
    return made


async def test_what_is_new_is_one_transaction_and_no_question(db: Database) -> None:
    shop = Shop(db)

    assert await shop.all([order(f"{n:02}") for n in range(40)]) == [
        f"{n:02} req_1" for n in range(40)
    ]
    assert shop.batches == [40]
    async with db.transaction(readonly=True) as tx:
        count = "SELECT count(DISTINCT xmin::text) FROM "
        assert await tx.value(count + "runtime.idempotency") == 1
        assert await tx.value(
            "SELECT bool_and(o.xmin = i.xmin) FROM runtime.outbox o"
            " JOIN runtime.idempotency i ON i.object_id = o.id"
        )


async def test_one_repetition_in_a_full_batch_fails_alone(db: Database) -> None:
    shop = Shop(db)
    await shop.all([order("07")])
    shop.batches.clear()

    answers = await shop.all([order(f"{n:02}", "req_2") for n in range(40)])

    assert [type(answer) for answer in answers].count(KeyTaken) == 1
    assert isinstance(answers[7], KeyTaken)
    assert len(await effects(db)) == 40
    assert len(shop.batches) <= 4, "one that failed, and its halves"
    shop.batches.clear()
    answers = await shop.all([order(f"{n:02}", "req_3") for n in range(39, 60)])
    assert isinstance(answers[0], KeyTaken)
    assert shop.batches == [20], "for a while keys are looked for before"


async def test_one_key_is_never_twice_in_a_batch(db: Database) -> None:
    shop = Shop(db)

    answers = await shop.all([order("01", f"req_{n}") for n in range(3)] + [order("02")])

    assert [type(answer) for answer in answers] == [str, KeyTaken, KeyTaken, str]
    assert shop.batches == [2, 1], "the third is looked for"


async def test_what_is_refused_takes_no_key(db: Database) -> None:
    shop = Shop(db)

    answers = await shop.all([order("sweet"), order("bitter"), order("sour")])

    assert [type(answer) for answer in answers] == [str, Bitter, str]
    assert len(await effects(db)) == 2


@pytest.mark.parametrize("step", [1, -1])
async def test_two_processes_with_the_same_keys_make_each_thing_once(
    shops: list[Shop], db: Database, step: int
) -> None:
    keys = [f"{n % 60:02}" for n in range(300)]

    answers = await asyncio.gather(
        shops[0].all([order(key, f"req_{n}") for n, key in enumerate(keys)]),
        shops[1].all([order(key, f"req_{n}'") for n, key in enumerate(keys[::step])]),
    )

    told = [answer for each in answers for answer in each]
    assert {type(answer) for answer in told} == {str, KeyTaken}
    assert sorted(answer for answer in told if isinstance(answer, str)) == await effects(db)
    assert len(await effects(db)) == 60


async def test_who_claims_and_who_takes_do_not_both_have_the_key(
    shops: list[Shop], db: Database
) -> None:
    claims = Claims(db, CLOCK)
    asked = [Asked(3, f"{n:02}", b"body", "req_claims") for n in range(50)]

    held, taken = await asyncio.gather(
        asyncio.gather(*(claims.claim(each) for each in reversed(asked)), return_exceptions=True),
        shops[0].all([order(f"{n:02}") for n in range(50)]),
    )

    for claimed, made in zip(reversed(held), taken, strict=True):
        assert isinstance(claimed, KeyInUse) != isinstance(made, KeyTaken)


async def test_item_whose_key_is_held_is_not_looked_for(db: Database) -> None:
    shop = Shop(db)
    claims = Claims(db, CLOCK)
    await shop.all([order("01")])
    assert isinstance((await shop.all([order("01", "req_2")]))[0], KeyTaken)
    asked = Asked(3, "02", b"body", "req_2")
    await claims.claim(asked)

    assert await shop.all([Claim(asked, is_held=True), order("03")]) == ["02 req_2", "03 req_1"]
    assert len(await effects(db)) == 3


async def test_lost_database_reaches_everybody_who_waits(app_db_url: str) -> None:
    database = await Database.open(app_db_url, size=1)
    shop = Shop(database)
    await shop.all([order("01")])
    await shop.all([order("01", "req_2")])  # so that keys are looked for
    await database.abort()

    answers = await shop.all([order(f"{n:02}") for n in range(5)])

    assert {type(answer) for answer in answers} == {DatabaseUnavailable}
