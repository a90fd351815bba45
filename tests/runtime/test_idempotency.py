"""One effect and one answer per key, at the level of the transactions."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from tillgate.kernel.clock import FixedClock, SystemClock
from tillgate.kernel.errors import Kind, Refusal
from tillgate.runtime import idempotency
from tillgate.runtime.ahead import Draft
from tillgate.runtime.db import Contended, Database, Tx
from tillgate.runtime.idempotency import (
    Asked,
    Claim,
    Claimed,
    ClaimLost,
    Claims,
    KeyInUse,
    KeyMismatch,
    KeyTaken,
    Stored,
)
from tillgate.runtime.once import OnceItem, OnceLane
from tillgate.runtime.telemetry import REGISTRY


class Busy(Refusal):
    """Come back later."""

    kind = Kind.CONFLICT


class Poor(Refusal):
    """The money said no."""

    kind = Kind.DECLINED


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(SystemClock().now())


def asked(key: str | None, body: bytes = b"body", request: str = "req_1") -> Asked:
    return Asked(3, key, body, request)


def held(key: str, request: str = "req_1") -> Claim:
    return Claim(asked(key, request=request), is_held=True)


def taking(key: str) -> Claim:
    return Claim(asked(key), is_held=False)


class Shop:
    """Notes every order it carries out in the database's own inbox of facts."""

    def __init__(self) -> None:
        self.next: BaseException | None = None

    async def __call__(self, tx: Tx, orders: Sequence[str]) -> list[str | Refusal]:
        if isinstance(self.next, Refusal):
            return [self.next for _ in orders]
        for order in orders:
            await tx.run(
                "INSERT INTO runtime.facts (merchant_id, id, name, object_id, sequence, data, at)"
                " VALUES (3, gen_random_uuid()::text, 'order.made', $1, 1, '', statement_timestamp())",
                order,
            )
        if self.next is not None:
            raise self.next
        return [f"made {order}" for order in orders]


def item(key: str | None, order: str = "tea", body: bytes = b"body") -> OnceItem[str, str]:
    def render(result: str | Exception) -> tuple[int, bytes]:
        if isinstance(result, Refusal):
            return 402, result.message.encode()
        if isinstance(result, Exception):
            return 500, b"oops"
        return 200, result.encode()

    return OnceItem(asked(key, body), order, render)


async def orders(db: Database) -> int:
    async with db.transaction() as tx:
        return await tx.value("SELECT count(*) FROM runtime.facts")


async def test_the_answer_is_kept_with_the_effect(db, clock) -> None:
    lane = OnceLane(db, clock, Shop())

    first = await lane.submit(item("k"))
    again = await lane.submit(item("k"))

    assert first == Stored(200, b"made tea")
    assert again == Stored(200, b"made tea", "req_1")
    assert await orders(db) == 1
    with pytest.raises(KeyMismatch):
        await lane.submit(item("k", body=b"other"))


async def test_one_key_in_one_batch_and_in_two_lanes_is_one_effect(db, clock) -> None:
    first, second = OnceLane(db, clock, Shop()), OnceLane(db, clock, Shop())

    answers = await asyncio.gather(
        *(lane.submit(item("k")) for _ in range(25) for lane in (first, second)),
        *(first.submit(item(f"k{n}", f"cake {n}")) for n in range(10)),
    )

    assert {answer.body for answer in answers[:50]} == {b"made tea"}
    assert await orders(db) == 11


async def test_without_a_key_each_is_its_own(db, clock) -> None:
    lane = OnceLane(db, clock, Shop())

    await asyncio.gather(*(lane.submit(item(None)) for _ in range(5)))

    assert await orders(db) == 5


async def test_declines_and_failures_are_kept_and_conflicts_are_not(db, clock) -> None:
    shop = Shop()
    lane = OnceLane(db, clock, shop)

    shop.next = Poor()
    poor = await lane.submit(item("poor"))
    shop.next = RuntimeError("a bug")
    failed = await lane.submit(item("bug"))
    shop.next = Busy()
    with pytest.raises(Busy):
        await lane.submit(item("busy"))
    shop.next = None

    assert (await lane.submit(item("poor"))).body == poor.body == b"The money said no."
    assert (await lane.submit(item("bug"))).body == failed.body == b"oops"
    assert (await lane.submit(item("busy"))).body == b"made tea"
    assert await orders(db) == 1


class Foreseen:
    """Decides ahead that everything has to come back later."""

    def __init__(self) -> None:
        self.results: list[str | Refusal] = []

    async def draft(self, _: Tx, orders: Sequence[str]) -> Draft[str]:
        self.results = [Busy() for _ in orders]
        return self

    async def write(self, tx: Tx) -> None:
        """Nothing is written."""

    def forget(self) -> None:
        """Nothing is remembered."""


async def test_an_answer_that_was_kept_comes_before_a_conflict_foreseen(db, clock) -> None:
    first = await OnceLane(db, clock, Shop()).submit(item("k"))
    lane = OnceLane(db, clock, Shop(), ahead=Foreseen())

    again = await lane.submit(item("k"))

    assert again == Stored(200, first.body, "req_1")
    with pytest.raises(Busy):
        await OnceLane(db, clock, Shop(), ahead=Foreseen()).submit(item("new"))
    assert await orders(db) == 1


async def test_a_claim_is_held_finished_and_replayed(db, clock) -> None:
    claims = Claims(db, clock)

    assert await claims.claim(asked("k")) == Claimed(None)
    with pytest.raises(KeyInUse):
        await claims.claim(asked("k", request="req_2"))
    with pytest.raises(KeyMismatch):
        await claims.claim(asked("k", b"other"))
    await claims.finish(asked("k"), Stored(402, b"no"))
    assert await claims.claim(asked("k", request="req_2")) == Stored(402, b"no", "req_1")


def _batches_of_releases() -> float:
    labels = {"lane": "release"}
    return REGISTRY.get_sample_value("tillgate_lane_batch_items_count", labels) or 0


async def test_claims_given_back_at_the_same_time_share_a_transaction(db, clock) -> None:
    claims = Claims(db, clock)
    keys = [f"k{number}" for number in range(50)]
    await asyncio.gather(*(claims.claim(asked(key)) for key in keys))
    async with db.transaction() as tx:
        idempotency.attach(tx, [(held("k0"), "pi_1")], clock.now())
    before = _batches_of_releases()

    await asyncio.gather(
        *(claims.release(asked(key)) for key in keys),
        claims.release(asked("k1", request="req_of_another")),
    )

    assert (
        1 <= _batches_of_releases() - before <= 2
    )  # one that came first, and all that came meanwhile
    assert await claims.claim(asked("k0", request="req_2")) == Claimed("pi_1")
    assert await claims.claim(asked("k1", request="req_2")) == Claimed(None)


async def test_a_released_claim_is_free_again(db, clock) -> None:
    claims = Claims(db, clock)
    await claims.claim(asked("k"))

    await claims.release(asked("k"))

    assert await claims.claim(asked("k", b"other", "req_2")) == Claimed(None)


async def test_a_dead_request_is_taken_over_with_what_it_had_made(db, clock) -> None:
    claims = Claims(db, clock, abandoned_after_seconds=45)
    await claims.claim(asked("nothing"))
    await claims.claim(asked("made"))
    async with db.transaction() as tx:
        idempotency.attach(tx, [(held("made"), "pi_1")], clock.now())
    clock.advance(seconds=46)

    assert await claims.claim(asked("nothing", request="req_2")) == Claimed(None)
    assert await claims.claim(asked("made", request="req_2")) == Claimed("pi_1")
    with pytest.raises(KeyInUse):
        await claims.claim(asked("made", request="req_3"))
    with pytest.raises(ClaimLost):
        await claims.finish(asked("made"), Stored(200, b"too late"))
    await claims.finish(asked("made", request="req_2"), Stored(200, b"the truth"))
    assert (await claims.claim(asked("made", request="req_3"))) == Stored(
        200, b"the truth", "req_2"
    )


async def _make(db: Database, made: list[tuple[Claim | None, str]], at: datetime) -> None:
    async with db.transaction() as tx:
        tx.later("INSERT INTO runtime.outbox (merchant_id, id, at) VALUES (3, 'it', $1)", at)
        idempotency.attach(tx, made, at)


@pytest.mark.parametrize("has_made", [True, False])
async def test_a_paused_worker_cannot_attach_what_another_has_taken_over(
    db, clock, has_made
) -> None:
    claims = Claims(db, clock, abandoned_after_seconds=45)
    await claims.claim(asked("k"))
    clock.advance(seconds=46)
    assert await claims.claim(asked("k", request="req_2")) == Claimed(None)
    if has_made:
        async with db.transaction() as tx:
            idempotency.attach(tx, [(held("k", "req_2"), "pi_theirs")], clock.now())

    with pytest.raises(ClaimLost):
        async with db.transaction() as tx:
            idempotency.attach(tx, [(held("k"), "pi_mine")], clock.now())


async def test_a_key_is_taken_with_what_is_made_and_then_is_ones_own(db, clock) -> None:
    claims = Claims(db, clock, abandoned_after_seconds=45)
    async with db.transaction() as tx:
        idempotency.attach(
            tx, [(taking("k"), "top_1"), (None, "top_2"), (taking("l"), "top_3")], clock.now()
        )

    assert await claims.claim(asked("k")) == Claimed(None)
    with pytest.raises(KeyInUse):
        await claims.claim(asked("k", request="req_2"))
    with pytest.raises(KeyMismatch):
        await claims.claim(asked("k", b"other", "req_2"))
    await claims.release(asked("k"))
    assert await claims.claim(asked("k", request="req_2")) == Claimed("top_1")
    await claims.finish(asked("l"), Stored(200, b"done"))
    assert await claims.claim(asked("l", request="req_2")) == Stored(200, b"done", "req_1")


async def test_a_key_that_is_not_free_is_not_taken(db, clock) -> None:
    await Claims(db, clock).claim(asked("held"))

    with pytest.raises(KeyTaken):
        await _make(db, [(taking("free"), "pi_1"), (taking("held"), "pi_2")], clock.now())
    async with db.transaction() as tx:
        idempotency.attach(tx, [(held("held"), "pi_2"), (taking("free"), "pi_1")], clock.now())

    async with db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT key, object_id FROM runtime.idempotency ORDER BY key")
        assert await tx.value("SELECT count(*) FROM runtime.outbox") == 0
    assert [tuple(row) for row in rows] == [("free", "pi_1"), ("held", "pi_2")]


async def test_the_worker_finds_the_abandoned_and_prunes_the_old(db, clock) -> None:
    claims = Claims(db, clock, abandoned_after_seconds=45)
    await claims.claim(asked("dead"))
    await claims.claim(asked("empty"))
    async with db.transaction() as tx:
        idempotency.attach(tx, [(held("dead"), "re_1"), (taking("taken"), "re_2")], clock.now())
    assert await claims.abandoned() == []
    clock.advance(minutes=10)

    found = await claims.abandoned()
    assert [(one.key, made) for one, made in found] == [("dead", "re_1"), ("taken", "re_2")]
    assert await claims.abandoned() == []
    for one, _ in found:
        await claims.finish(one, Stored(200, b"done"))
    clock.advance(hours=25)
    async with db.transaction() as tx:
        assert await idempotency.prune(tx, clock.now() - timedelta(hours=24)) == 2
        assert await tx.value("SELECT count(*) FROM runtime.idempotency") == 0


async def test_a_release_touches_neither_an_answer_nor_a_key_of_another(db, clock) -> None:
    claims = Claims(db, clock)
    await claims.claim(asked("answered"))
    await claims.finish(asked("answered"), Stored(200, b"tea"))
    await claims.claim(asked("anothers"))

    await claims.release(asked("answered"))
    await claims.release(asked("anothers", request="req_2"))

    assert await claims.claim(asked("answered", request="req_3")) == Stored(200, b"tea", "req_1")
    with pytest.raises(KeyInUse):
        await claims.claim(asked("anothers", request="req_3"))


async def test_an_answer_is_kept_once_and_by_who_holds_the_key(db, clock) -> None:
    claims = Claims(db, clock)
    await claims.claim(asked("k"))
    clock.advance(seconds=60)
    assert await claims.claim(asked("k", request="req_2")) == Claimed(None)

    with pytest.raises(ClaimLost):
        await claims.finish(asked("k"), Stored(200, b"too late"))
    with pytest.raises(KeyInUse):
        await claims.claim(asked("k", request="req_3"))
    await claims.finish(asked("k", request="req_2"), Stored(200, b"tea"))
    with pytest.raises(ClaimLost):
        await claims.finish(asked("k", request="req_2"), Stored(500, b"cake"))

    assert await claims.claim(asked("k", request="req_3")) == Stored(200, b"tea", "req_2")


async def test_a_key_that_somebody_has_locked_holds_up_no_other(db, clock) -> None:
    claims = Claims(db, clock)
    for key in ("locked", "free"):
        await claims.claim(asked(key))
    async with db.transaction() as other:
        await other.value("SELECT 1 FROM runtime.idempotency WHERE key = 'locked' FOR UPDATE")
        answers = await asyncio.gather(
            *(claims.release(asked(key)) for key in ("locked", "free")), return_exceptions=True
        )
        assert isinstance(answers[0], Contended)
        assert answers[1] is None
        assert await claims.claim(asked("free", request="req_2")) == Claimed(None)
    await claims.release(asked("locked"))
    assert await claims.claim(asked("locked", request="req_2")) == Claimed(None)


@pytest.mark.parametrize(
    ("sql", "arguments"),
    [
        (idempotency.FINISH, "NULL"),
        (idempotency.ATTACH, "NULL, NULL, NULL, NULL"),
        (idempotency.DROP, "NULL, NULL, NULL"),
        (idempotency.GIVE_UP, "NULL, NULL, NULL, NULL"),
    ],
)
async def test_keys_are_found_one_by_one_though_statistics_see_none_open(
    db, clock, sql: str, arguments: str
) -> None:
    lane = OnceLane(db, clock, Shop())
    await asyncio.gather(*(lane.submit(item(f"k{number}")) for number in range(500)))
    async with db.transaction() as tx:
        await tx.run("ANALYZE runtime.idempotency")
        await tx.run(f"PREPARE asked AS {sql}")
        plan = await tx.all(f"EXPLAIN EXECUTE asked({arguments})")
        await tx.run("DEALLOCATE asked")

    steps = "\n".join(row[0] for row in plan)
    assert "idempotency_pkey" in steps
    assert "idempotency_open" not in steps


async def test_one_of_two_takes_over_what_both_have_seen_abandoned(db, clock, monkeypatch) -> None:
    claims, others = Claims(db, clock), Claims(db, clock)
    await claims.claim(asked("k"))
    clock.advance(seconds=60)
    both = asyncio.Barrier(2)
    select = idempotency.select_rows

    async def together(tx: Tx, items: Sequence[Asked]) -> Any:
        rows = await select(tx, items)
        await both.wait()
        return rows

    monkeypatch.setattr(idempotency, "select_rows", together)
    answers = await asyncio.gather(
        claims.claim(asked("k", request="req_2")),
        others.claim(asked("k", request="req_3")),
        return_exceptions=True,
    )

    assert {type(answer) for answer in answers} == {Claimed, KeyInUse}


async def test_key_works_on_one_object(db, clock) -> None:
    await Claims(db, clock).claim(asked("k"))
    for _ in range(2):
        async with db.transaction() as tx:
            idempotency.attach(tx, [(held("k"), "pi_1")], clock.now())

    with pytest.raises(ClaimLost):
        async with db.transaction() as tx:
            idempotency.attach(tx, [(held("k"), "pi_2")], clock.now())


async def test_what_was_never_answered_is_not_forgotten(db, clock) -> None:
    async with db.transaction() as tx:
        idempotency.attach(tx, [(taking("k"), "pi_1")], clock.now())
    clock.advance(hours=48)

    async with db.transaction() as tx:
        assert await idempotency.prune(tx, clock.now() - timedelta(hours=24)) == 0

    assert await Claims(db, clock).claim(asked("k", request="req_2")) == Claimed("pi_1")


async def test_one_that_was_only_slow_has_lost_its_key_to_the_worker(db, clock) -> None:
    claims = Claims(db, clock)
    for key in ("k", "l"):
        await claims.claim(asked(key))
        async with db.transaction() as tx:
            idempotency.attach(tx, [(held(key), "pi_1")], clock.now())
    clock.advance(seconds=60)
    first = await claims.abandoned()
    clock.advance(seconds=60)
    second = await claims.abandoned()

    for late in (asked("k"), first[0][0]):
        with pytest.raises(ClaimLost):
            await claims.finish(late, Stored(200, b"late"))
        await claims.release(late)
    with pytest.raises(ClaimLost):
        async with db.transaction() as tx:
            idempotency.attach(tx, [(held("k"), "pi_1")], clock.now())
    answers = await asyncio.gather(
        claims.finish(second[0][0], Stored(200, b"tea")),
        claims.finish(asked("l"), Stored(200, b"late")),
        return_exceptions=True,
    )

    assert answers[0] is None
    assert isinstance(answers[1], ClaimLost)
    assert await claims.claim(asked("k", request="req_3")) == Stored(200, b"tea", "req_1")
    with pytest.raises(KeyInUse):
        await claims.claim(asked("l", request="req_3"))
