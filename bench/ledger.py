"""How fast the ledger posts, as a ratio to pgbench's TPC-B on the same database in the same run.

    python -m bench.ledger [--rounds 3] [--seconds 6] [--json FILE]

Every posting has floors, holds and running balances on, a unique cause, and is durable when it is
answered. `uniform`: from one of 100,000 accounts to another; `hot`: from one of them to one
account. Many producers wait for one lane each; rounds are interleaved, medians are shown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import asyncpg

from bench.ledger_server import Round, RoundMeter, median, prepare_tpcb, server, tpcb
from tillgate.kernel.clock import SystemClock
from tillgate.ledger.model import Journal, Line
from tillgate.ledger.posting import PostingLane, open_lane
from tillgate.runtime.db import Database
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.migrations import migrate

MERCHANT = 2
ACCOUNTS = 100_000
DATABASE = "bench"


@dataclass
class Options:
    """What a run is told."""

    rounds: int = 3
    seconds: float = 6.0
    producers: int = 2000
    batch: int = 800
    scale: int = 50
    warm_up: float = 8.0


MakeLines = Callable[[], tuple[Line, ...]]


async def prepare(postgres: EmbeddedPostgres) -> None:
    """Migrate, and give 100,000 accounts with a floor of zero a balance by real journals."""
    postgres.ensure_database(DATABASE)
    await migrate(postgres.dsn(DATABASE))
    connection = await asyncpg.connect(postgres.dsn(DATABASE))
    await connection.execute(
        f"""
        INSERT INTO ledger.books (merchant_id, last_journal, last_account)
            VALUES ({MERCHANT}, {ACCOUNTS}, {ACCOUNTS} + 2);
        INSERT INTO ledger.accounts
            (merchant_id, number, code, currency, normal_side, floor, balance, created_at)
        SELECT {MERCHANT}, n, 'wallet:wal_' || n || ':principal', 'cny', 'credit', 0, 1000000000,
                timestamptz '2026-01-01' FROM generate_series(1, {ACCOUNTS}) n
        UNION ALL VALUES
            ({MERCHANT}, {ACCOUNTS} + 1, 'sales', 'cny', 'credit', NULL::bigint, 0, timestamptz '2026-01-01'),
            ({MERCHANT}, {ACCOUNTS} + 2, 'provider:x:receivable', 'cny', 'debit', NULL,
                -1000000000::bigint * {ACCOUNTS}, timestamptz '2026-01-01');
        INSERT INTO ledger.lines (merchant_id, journal, line, cause, currency, debit, credit, amount,
            debit_after, credit_after, at)
        SELECT {MERCHANT}, n, 0, 'opening:' || n, 'cny', {ACCOUNTS} + 2, n, 1000000000,
            -1000000000::bigint * n, 1000000000, timestamptz '2026-01-01' FROM generate_series(1, {ACCOUNTS}) n
        """
    )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def post_for(
    postgres: EmbeddedPostgres, options: Options, lane: PostingLane, lines: MakeLines
) -> Round:
    """Let many producers post through one lane for a while."""
    run = os.urandom(4).hex()
    numbers = count()
    loop = asyncio.get_running_loop()
    until = loop.time() + options.seconds
    meter = RoundMeter(postgres)

    async def produce() -> int:
        done = 0
        while loop.time() < until:
            posted = await lane.submit(
                Journal(MERCHANT, f"spend:wtx_{run}{next(numbers):018}", lines())
            )
            assert not posted.repeated, "each cause was new"
            done += 1
        return done

    done = sum(await asyncio.gather(*(produce() for _ in range(options.producers))))
    return meter.stop(done)


def uniform() -> tuple[Line, ...]:
    """From one account to another."""
    debit = random.randint(1, ACCOUNTS)
    return (Line(debit, debit % ACCOUNTS + 1, 1),)


def hot() -> tuple[Line, ...]:
    """From one account to the one that everybody pays into."""
    return (Line(random.randint(1, ACCOUNTS), ACCOUNTS + 1, 1),)


async def measure(postgres: EmbeddedPostgres, options: Options) -> dict[str, list[Round]]:
    """Run all works in turn, round by round."""
    db = await Database.open(postgres.dsn(DATABASE), size=2)
    lane = open_lane(db, SystemClock(), max_items=options.batch)
    await post_for(postgres, replace(options, seconds=options.warm_up), lane, uniform)
    works = {
        "tpc-b": partial(tpcb, postgres, DATABASE, options.seconds),
        "uniform": partial(post_for, postgres, options, lane, uniform),
        "hot": partial(post_for, postgres, options, lane, hot),
    }
    rounds: dict[str, list[Round]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            rounds[name].append(await work())
    await db.close()
    return rounds


def table(rounds: dict[str, list[Round]]) -> list[dict[str, object]]:
    """One row for each work, with its ratio to TPC-B: the median of the rounds' own ratios."""
    rows: list[dict[str, object]] = []
    for name, ran in rounds.items():
        ratios = [
            Round(one.per_second / base.per_second, 0, 0)
            for one, base in zip(ran, rounds["tpc-b"], strict=True)
        ]
        rows.append({"work": name, "ratio": median(ratios).per_second, **asdict(median(ran))})
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """Print the table."""
    print(f"{'work':<12}{'per second':>12}{'x TPC-B':>10}{'postgres us':>14}{'client us':>12}")
    for row in rows:
        print(
            f"{row['work']:<12}{row['per_second']:>12.0f}{row['ratio']:>10.2f}"
            f"{row['postgres_us']:>14.1f}{row['client_us']:>12.1f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in asdict(Options()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = vars(parser.parse_args())
    target: Path | None = chosen.pop("json")
    options = Options(**chosen)
    with server() as postgres:
        asyncio.run(prepare(postgres))
        prepare_tpcb(postgres, DATABASE, options.scale)
        rounds = asyncio.run(measure(postgres, options))
    rows = table(rounds)
    show(rows)
    if target is not None:
        every = {name: [asdict(one) for one in ran] for name, ran in rounds.items()}
        target.write_text(json.dumps({"rows": rows, "rounds": every}, indent=2))


if __name__ == "__main__":
    main()
