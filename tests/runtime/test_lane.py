"""Lanes: what waits is written together; a batch may be decided while the one before is written."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from tillgate.kernel.errors import Kind, Refusal
from tillgate.runtime.ahead import AheadLane
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.lane import Lane


class Odd(Refusal):
    """Odd numbers are not wanted."""

    kind = Kind.INVALID


@dataclass
class Counting:
    """Counts up from what the draft before leaves; the truth is `counter`."""

    counter: list[int]
    known: int | None = None
    drafts: int = 0
    came_true: int = 0
    broken: int = 0
    careful: list[int] = field(default_factory=list[int])
    #: Somebody else counts now and then.
    interfere: int = 0

    def forget(self) -> None:
        self.known = None

    async def draft(self, tx: Tx, items: Sequence[int]) -> "Counted | None":
        if 13 in items:
            return None
        if 17 in items:
            raise ZeroDivisionError
        if self.known is None:
            await tx.value("SELECT 1")
            self.known = self.counter[0]
        start, self.known = self.known, self.known + len(items)
        self.drafts += 1
        if self.interfere and self.drafts % self.interfere == 0:
            self.counter[0] += 1_000
        return Counted(self, start, [start + 1 + index for index in range(len(items))])

    async def handle(self, tx: Tx, items: Sequence[int]) -> list[int | Refusal]:
        await tx.value("SELECT 1")
        self.careful.append(len(items))
        start = self.counter[0]
        self.counter[0] += len(items)
        return [start + 1 + index for index in range(len(items))]


@dataclass
class Counted:
    owner: Counting
    start: int
    results: Sequence[int]

    async def write(self, tx: Tx) -> None:
        await tx.value("SELECT pg_sleep(0.002)")
        if self.owner.counter[0] != self.start:
            self.owner.broken += 1
            raise ZeroDivisionError
        self.owner.counter[0] += len(self.results)
        self.owner.came_true += 1


async def _many(lane: Lane[int, int], items: Sequence[int]) -> list[int]:
    async def one(delay: float, item: int) -> int:
        await asyncio.sleep(delay)
        return await lane.submit(item)

    return await asyncio.gather(*(one(index % 50 / 1000, item) for index, item in enumerate(items)))


async def test_drafts_build_on_each_other(db: Database) -> None:
    counting = Counting([0])
    lane = AheadLane(db, counting.handle, counting, max_items=10)

    numbers = await _many(lane, [0] * 500)

    assert sorted(numbers) == list(range(1, 501))
    assert counting.came_true == counting.drafts
    assert counting.careful == []


async def test_a_draft_that_did_not_come_true_is_decided_again(db: Database) -> None:
    counting = Counting([0], interfere=3)
    lane = AheadLane(db, counting.handle, counting, max_items=10)

    numbers = await _many(lane, [0] * 500)

    assert len(set(numbers)) == 500
    assert counting.broken > 3
    assert counting.counter[0] % 1000 == 500
    assert sum(counting.careful) + counting.came_true * 10 >= 500


async def test_what_cannot_be_drafted_goes_the_careful_way(db: Database) -> None:
    counting = Counting([0])
    lane = AheadLane(db, counting.handle, counting, max_items=10)

    numbers = await _many(lane, [{0: 13, 1: 17}.get(index % 60, 0) for index in range(400)])

    assert sorted(numbers) == list(range(1, 401))
    assert counting.careful
    assert counting.came_true


async def test_one_key_is_in_one_batch_at_a_time(db: Database) -> None:
    counting = Counting([0])
    seen: list[Sequence[int]] = []
    under_way: set[int] = set()

    class Watching(Counting):
        async def draft(self, tx: Tx, items: Sequence[int]) -> Counted | None:
            assert len(set(items)) == len(items)
            assert not under_way & set(items), "a key that is being written"
            seen.append(items)
            drafted = await super().draft(tx, items)
            assert drafted is not None
            return Watched(self, drafted.start, drafted.results, set(items))

    @dataclass
    class Watched(Counted):
        keys: set[int]

        async def write(self, tx: Tx) -> None:
            under_way.update(self.keys)
            await super().write(tx)
            under_way.difference_update(self.keys)

    counting = Watching([0])
    lane = AheadLane(db, counting.handle, counting, key=lambda item: item, max_items=10)

    numbers = await _many(lane, [100 + index % 5 for index in range(200)])

    assert sorted(numbers) == list(range(1, 201))
    assert counting.came_true == len(seen) >= 40


async def test_refusals_reach_those_who_asked(db: Database) -> None:
    async def handle(tx: Tx, items: Sequence[int]) -> list[int | Refusal]:
        await tx.value("SELECT 1")
        return [Odd() if item % 2 else item for item in items]

    lane: Lane[int, int] = Lane(db, handle)

    answers = await asyncio.gather(
        *(lane.submit(item) for item in range(10)), return_exceptions=True
    )

    assert [isinstance(answer, Odd) for answer in answers] == [False, True] * 5


async def test_a_database_that_is_away_is_told_to_all(app_db_url: str) -> None:
    gone = await Database.open(app_db_url, size=2)
    await gone.close()
    counting = Counting([0])
    lane = AheadLane(gone, counting.handle, counting)

    answers = await asyncio.gather(*(lane.submit(0) for _ in range(5)), return_exceptions=True)

    assert all(isinstance(answer, Refusal) for answer in answers)
