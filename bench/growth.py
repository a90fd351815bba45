"""What growth costs: the same pages and postings at 100 thousand and at 10 million journals.

    python -m bench.growth [--small 100000] [--large 10000000] [--rounds 3] [--json FILE]

Two databases of one server are filled by SQL with books that are exact (they pass the audit). Each
question is asked many times with other parameters, turn by turn; medians are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from bench.ledger import MERCHANT, Options, post_for
from bench.ledger_server import server
from tillgate.kernel.clock import SystemClock
from tillgate.ledger import queries, store
from tillgate.ledger.model import Line
from tillgate.ledger.posting import PostingLane
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.migrations import migrate

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
TOLERANCE = 1.3


@dataclass(frozen=True)
class Size:
    """How much is in one of the databases: ten journals a wallet."""

    name: str
    journals: int

    @property
    def wallets(self) -> int:
        return self.journals // 10

    @property
    def hot(self) -> int:
        return self.wallets + 1


Question = Callable[[Tx, Size], Awaitable[object]]


async def fill(postgres: EmbeddedPostgres, size: Size) -> None:
    """Each journal pays 10 into the next wallet; balances follow by arithmetic."""
    postgres.ensure_database(size.name)
    await migrate(postgres.dsn(size.name))
    connection = await asyncpg.connect(postgres.dsn(size.name))
    indexes = [
        row["indexdef"]
        for row in await connection.fetch(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'ledger' AND tablename = 'lines'"
            " AND indexname LIKE 'lines_by_%'"
        )
    ]
    journals, wallets, hot = size.journals, size.wallets, size.hot
    await connection.execute(
        f"""
        DROP INDEX ledger.lines_by_debit, ledger.lines_by_credit;
        INSERT INTO ledger.books (merchant_id, last_journal, last_account, last_at) VALUES
            ({MERCHANT}, {journals}, {hot}, timestamptz '2026-01-01' + {journals} * interval '1 s');
        INSERT INTO ledger.accounts
            (merchant_id, number, code, currency, normal_side, floor, balance, created_at)
        SELECT {MERCHANT}, n, 'wallet:wal_' || n || ':principal', 'cny', 'credit', 0, 100,
            timestamptz '2026-01-01' FROM generate_series(1, {wallets}) n
        UNION ALL VALUES ({MERCHANT}, {hot}::bigint, 'provider:x:receivable', 'cny', 'debit',
            NULL::bigint, -10::bigint * {journals}, timestamptz '2026-01-01');
        INSERT INTO ledger.lines (merchant_id, journal, line, cause, currency, debit, credit, amount,
            debit_after, credit_after, at)
        SELECT {MERCHANT}, n, 0, 'payment:att_' || n, 'cny', {hot}, (n - 1) % {wallets} + 1, 10,
            -10::bigint * n, 10 * ((n - 1) / {wallets} + 1),
            timestamptz '2026-01-01' + n * interval '1 s' FROM generate_series(1, {journals}) n
        """,
        timeout=3600,
    )
    for index in indexes:
        await connection.execute(index, timeout=3600)
    await connection.execute("VACUUM ANALYZE", timeout=3600)
    await connection.execute("CHECKPOINT")
    await connection.close()


def a_wallet(size: Size) -> int:
    """A wallet's account among the many."""
    return random.randint(1, size.wallets)


async def statement_of_a_wallet(tx: Tx, size: Size) -> object:
    return await queries.movements(tx, MERCHANT, [a_wallet(size)], limit=10)


async def statement_of_the_hot_account(tx: Tx, size: Size) -> object:
    before = random.randint(1_000, size.journals)
    return await queries.movements(tx, MERCHANT, [size.hot], before=before, limit=20)


async def balance_now(tx: Tx, size: Size) -> object:
    return await queries.account(tx, MERCHANT, a_wallet(size))


async def balance_as_of_a_past_moment(tx: Tx, size: Size) -> object:
    at = EPOCH + timedelta(seconds=random.randint(1, size.journals))
    return await queries.balances_as_of(tx, MERCHANT, [a_wallet(size), size.hot], at)


async def journal_by_its_cause(tx: Tx, size: Size) -> object:
    return await store.select_journals(
        tx, [(MERCHANT, f"payment:att_{random.randint(1, size.journals)}")]
    )


QUESTIONS: list[Question] = [
    statement_of_a_wallet,
    statement_of_the_hot_account,
    balance_now,
    balance_as_of_a_past_moment,
    journal_by_its_cause,
]


async def ask(db: Database, question: Question, size: Size, times: int) -> list[float]:
    """Return milliseconds of each asking."""
    taken: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        async with db.transaction(readonly=True) as tx:
            await question(tx, size)
        taken.append((time.perf_counter() - started) * 1000)
    return taken


async def measure(
    postgres: EmbeddedPostgres, sizes: list[Size], rounds: int
) -> list[dict[str, object]]:
    """Ask and post in turn at both sizes; a row for each kind of work."""
    dbs = {size.name: await Database.open(postgres.dsn(size.name), size=2) for size in sizes}
    asked: dict[tuple[str, str], list[float]] = {}
    posted: dict[str, list[float]] = {size.name: [] for size in sizes}
    lanes = {size.name: PostingLane(dbs[size.name], SystemClock(), MERCHANT) for size in sizes}
    options = Options(seconds=4.0)
    for _ in range(rounds):
        for question in QUESTIONS:
            for size in sizes:
                times = await ask(dbs[size.name], question, size, 300)
                asked.setdefault((question.__name__, size.name), []).extend(times)
        for size in sizes:
            made = await post_for(postgres, options, lanes[size.name], _top_up(size))
            posted[size.name].append(1000 / made.per_second)
    for db in dbs.values():
        await db.close()
    small, large = sizes
    rows = [
        _row(question.__name__, *(asked[question.__name__, size.name] for size in sizes))
        for question in QUESTIONS
    ]
    return [*rows, _row("posting", posted[small.name], posted[large.name])]


def _top_up(size: Size) -> Callable[[], tuple[Line, ...]]:
    """Ten thousand wallets, spread over all there are, are topped up."""
    step = size.wallets // min(size.wallets, 10_000)
    return lambda: (
        Line(size.hot, random.randrange(10_000 * step) // step * step % size.wallets + 1, 10),
    )


def _row(name: str, small: list[float], large: list[float]) -> dict[str, object]:
    before, after = statistics.median(small), statistics.median(large)
    return {"work": name, "small_ms": before, "large_ms": after, "ratio": after / before}


def main() -> None:
    """Fill, measure, print; exit with 1 where something has become slower than allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    sizes = [Size("small", chosen.small), Size("large", chosen.large)]
    with server() as postgres:
        for size in sizes:
            asyncio.run(fill(postgres, size))
        rows = asyncio.run(measure(postgres, sizes, chosen.rounds))
    print(f"{'work':<32}{chosen.small:>14,}{chosen.large:>14,}{'ratio':>8}")
    for row in rows:
        print(
            f"{row['work']:<32}{row['small_ms']:>11.3f} ms{row['large_ms']:>11.3f} ms{row['ratio']:>8.2f}"
        )
    if chosen.json is not None:
        chosen.json.write_text(
            json.dumps({"sizes": [asdict(size) for size in sizes], "rows": rows})
        )
    if any(float(str(row["ratio"])) > TOLERANCE for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
