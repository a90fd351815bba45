"""What growth costs: the same pages and postings at 100 thousand and at 10 million payments.

    python -m bench.growth [--small 100000] [--large 10000000] [--rounds 5] [--json FILE]
    python -m bench.growth --quick          2 thousand against 8 thousand, a few askings each

Two databases of one server are filled (`bench.growth_fill`). Each question is asked about the same
sample of objects, warmed up, turn by turn in both, so that what else the machine does meets both
alike; the ratio is the median of the rounds' own. One of more than 1.3 is a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.growth_fill import Size, fill
from bench.growth_questions import READS, WRITES, Question, rehearse
from bench.ledger import Options, post_for
from bench.ledger_server import server
from bench.processes import family
from tillgate.kernel.clock import SystemClock
from tillgate.ledger.model import Line
from tillgate.ledger.posting import open_lane
from tillgate.runtime.db import BY_INDEX, Database
from tillgate.runtime.embedded import EmbeddedPostgres

TOLERANCE = 1.3
#: Askings of one database before it is the other's turn.
_TURN = 2
#: Each posting tops up one of so many wallets, spread over all there are.
_POSTED_WALLETS = 1_000
#: The measure compares structures, not the luck of a background job; nothing is archived.
_SETTINGS = {
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "wal_skip_threshold": "0",
    "max_parallel_maintenance_workers": "0",
}


@dataclass(frozen=True)
class Pace:
    """How much is asked and posted in a round and before the first."""

    rounds: int = 5
    reads: int = 100
    writes: int = 20
    posting_seconds: float = 1.0
    warm_up_seconds: float = 3.0
    #: Objects of the sample that are met before the first round; all, unless said.
    met: int | None = None


#: Shows that every question can be asked and answered; its figures mean nothing.
QUICK = Pace(1, reads=4, writes=2, posting_seconds=0.2, warm_up_seconds=0.2, met=4)


@dataclass(frozen=True)
class Row:
    """One kind of work at both sizes, in milliseconds; `ratio` is the median of the rounds' own."""

    work: str
    small_ms: float
    large_ms: float
    ratio: float


class Measure:
    """Asks both databases in turn."""

    def __init__(
        self, postgres: EmbeddedPostgres, dbs: list[tuple[Size, Database]], pace: Pace
    ) -> None:
        self._postgres = postgres
        self._pace = pace
        self._dbs = dbs
        self._samples = {size.name: size.sample() for size, _ in dbs}
        self._asked: dict[tuple[str, str], list[list[float]]] = {}
        self._lanes = {size.name: open_lane(db, SystemClock()) for size, db in dbs}

    async def warm_up(self) -> None:
        """Meet every object of the sample once, and every one that will be written to."""
        for question in READS:
            for size, db in self._dbs:
                for number in self._samples[size.name][: self._pace.met]:
                    await _ask(db, question, size, number, readonly=True)
        for size, db in self._dbs:
            await rehearse(db, size, self._pace.rounds * self._pace.writes)
            await self._post(size, self._pace.warm_up_seconds)

    async def round(self) -> None:
        """Ask every question some times, a few at a time at each size."""
        names = [question.__name__ for question in (*READS, *WRITES)]
        for name in (*names, "posting"):
            for size, _ in self._dbs:
                self._asked.setdefault((name, size.name), []).append([])
        for question in READS:
            await self._take_turns(question, self._pace.reads, readonly=True)
        for question in WRITES:
            await self._take_turns(question, self._pace.writes, readonly=False)
        for _ in range(3):
            for size, _ in self._dbs:
                made = await self._post(size, self._pace.posting_seconds)
                self._note("posting", size, 1000 / made)

    async def _take_turns(self, question: Question, times: int, *, readonly: bool) -> None:
        lead_in = times // 10 if readonly else 0  # what came before has left nothing in the caches
        for turn in range((lead_in + times) // _TURN):
            for size, db in self._dbs if turn % 2 else self._dbs[::-1]:
                for number in random.sample(self._samples[size.name], _TURN):
                    taken = await _ask(db, question, size, number, readonly=readonly)
                    if turn * _TURN >= lead_in:
                        self._note(question.__name__, size, taken)

    async def _post(self, size: Size, seconds: float) -> float:
        made = await post_for(
            self._postgres, Options(seconds=seconds), self._lanes[size.name], _top_up(size)
        )
        return made.per_second

    def _note(self, work: str, size: Size, milliseconds: float) -> None:
        self._asked[work, size.name][-1].append(milliseconds)

    def rows(self) -> list[Row]:
        """Return a row for each kind of work."""
        small, large = (size.name for size, _ in self._dbs)
        works = dict.fromkeys(work for work, _ in self._asked)
        return [_row(work, self._asked[work, small], self._asked[work, large]) for work in works]


def _row(work: str, small: list[list[float]], large: list[list[float]]) -> Row:
    median = statistics.median
    pairs = [(median(one), median(other)) for one, other in zip(small, large, strict=True)]
    return Row(
        work,
        median(before for before, _ in pairs),
        median(after for _, after in pairs),
        median(after / before for before, after in pairs),
    )


async def _ask(
    db: Database, question: Question, size: Size, number: int, *, readonly: bool
) -> float:
    """Return how many milliseconds it took."""
    started = time.perf_counter()
    async with db.transaction(readonly=readonly) as tx:
        await question(tx, size, number)
    return (time.perf_counter() - started) * 1000


def _top_up(size: Size) -> Callable[[], tuple[Line, ...]]:
    step = size.wallets // min(size.wallets, _POSTED_WALLETS)

    def lines() -> tuple[Line, ...]:
        wallet = random.randrange(size.wallets // step) * step + 1
        return (Line(size.receivable, 2 * wallet - 1, 10),)

    return lines


def on_one_processor(postgres: EmbeddedPostgres) -> None:
    """Keep the server and us on one processor.

    Waking a process on another one takes as long as answering a short question, and whether a
    database's backend is on ours or on the other stays so for a whole run.
    """
    last = {max(os.sched_getaffinity(0))}
    for pid in (os.getpid(), *family(postgres.pid or os.getpid())):
        os.sched_setaffinity(pid, last)


async def measure(postgres: EmbeddedPostgres, sizes: list[Size], pace: Pace) -> list[Row]:
    """Warm up, then go round and round."""
    dbs = [
        (size, await Database.open(postgres.dsn(size.name), size=2, settings=BY_INDEX))
        for size in sizes
    ]
    on_one_processor(postgres)
    work = Measure(postgres, dbs, pace)
    await work.warm_up()
    for number in range(pace.rounds):
        await work.round()
        print(f"round {number + 1}: load average {os.getloadavg()[0]:.1f}", flush=True)
    for _, db in dbs:
        await db.close()
    return work.rows()


def _fill_all(postgres: EmbeddedPostgres, sizes: list[Size]) -> None:
    for size in sizes:
        started = time.monotonic()
        asyncio.run(fill(postgres, size))
        taken = time.monotonic() - started
        print(f"{size.payments:,} payments were filled in {taken:.0f} s", flush=True)


def _show(rows: list[Row], sizes: list[Size]) -> None:
    small, large = (f"{size.payments:,}" for size in sizes)
    print(f"{'work':<34}{small:>14}{large:>14}{'ratio':>8}")
    for row in rows:
        print(f"{row.work:<34}{row.small_ms:>11.3f} ms{row.large_ms:>11.3f} ms{row.ratio:>8.2f}")


def main() -> None:
    """Fill, measure, print; exit with 1 where something has become slower than allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small, to see that it works")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    small, large, pace = chosen.small, chosen.large, Pace(chosen.rounds)
    if chosen.quick:
        small, large, pace = 2_000, 8_000, QUICK
    sizes = [Size("small", small), Size("large", large)]
    with server(fsync=not chosen.quick, extra=_SETTINGS) as postgres:
        _fill_all(postgres, sizes)
        rows = asyncio.run(measure(postgres, sizes, pace))
    _show(rows, sizes)
    if chosen.json is not None:
        kept = [asdict(row) for row in rows]
        chosen.json.write_text(
            json.dumps({"sizes": [asdict(size) for size in sizes], "rows": kept})
        )
    if any(row.ratio > TOLERANCE for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
