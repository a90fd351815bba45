"""One seed from beginning to end, and many of them."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import random
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.simulation import checker, wallet_checker
from tests.simulation.banks import Bank, Weather
from tests.simulation.clockwork import VirtualClock, VirtualLoop
from tests.simulation.gate import Gate, Shelf
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.processes import Town
from tests.simulation.wallet_life import HORIZON, MERCHANT, open_purses
from tests.simulation.workload import Crowd
from tillgate.kernel import ids

#: How long after the faults have stopped everything must have come to rest.
SETTLE_HOURS = 6
#: Where something is left, even then, the clock runs on as far as this: time to try again is there.
FAR_DAYS = 4
#: Wallets of a seed.
PURSES = 2
#: Wall-clock seconds without a statement after which a seed is stuck for good.
STUCK_SECONDS = 20

_TABLES = (
    "payments.payments", "payments.attempts", "payments.refunds", "payments.breaks",
    "ledger.lines", "ledger.accounts", "ledger.books", "ledger.holds", "ledger.seals",
    "wallets.wallets", "wallets.transactions", "wallets.holds", "webhooks.deliveries",
    "runtime.unrelayed", "runtime.facts", "runtime.notices", "runtime.parked_facts",
)  # fmt: skip


@dataclass
class Verdict:
    """What came of a seed."""

    seed: int
    complaints: list[str]
    trace: str
    lines: list[str] = field(repr=False, default_factory=list)
    virtual_seconds: float = 0.0
    statements: int = 0
    crashes: int = 0


@dataclass
class Totals:
    """What came of many."""

    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.complaints]

    def __str__(self) -> str:
        count = len(self.verdicts)
        virtual = sum(v.virtual_seconds for v in self.verdicts)
        return (
            f"{count} seeds in {self.seconds:.1f} s ({count / max(self.seconds, 0.001):.1f} a second),"
            f" {virtual / 3600:.0f} virtual hours, {sum(v.crashes for v in self.verdicts)} crashes,"
            f" {sum(v.statements for v in self.verdicts)} statements, {len(self.failed)} failed"
        )


def run_seeds(
    app_url: str,
    owner_url: str,
    seeds: Iterable[int],
    *,
    mutant: str | None = None,
    until_failure: bool = False,
    seconds: float = float("inf"),
) -> Totals:
    """Run seeds on one database; stop at the first failure if asked to, or when time is up."""
    totals = Totals()
    began = time.monotonic()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        bench = runner.run(_open(app_url, owner_url))
        try:
            for seed in seeds:
                chosen = MUTANTS[mutant] if mutant else None
                verdict = runner.run(_one(bench, seed, chosen))
                totals.verdicts.append(verdict)
                if (verdict.complaints and until_failure) or time.monotonic() - began > seconds:
                    break
        finally:
            runner.run(_close(bench))
            ids.use_sources()
            logging.disable(logging.NOTSET)
    totals.seconds = time.monotonic() - began
    return totals


@dataclass
class _Bench:
    shelf: Shelf
    owner: asyncpg.Connection
    watcher: asyncpg.Connection


async def _open(app_url: str, owner_url: str) -> _Bench:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("SET synchronous_commit = off")
    # What the server does when it finds the time would differ from run to run.
    database = await owner.fetchval("SELECT quote_ident(current_database())")
    await owner.execute(f"ALTER DATABASE {database} SET deadlock_timeout = '10min'")
    for table in _TABLES:
        await owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    return _Bench(Shelf(app_url), owner, await asyncpg.connect(owner_url))


async def _close(bench: _Bench) -> None:
    for session in bench.shelf.free:
        await session.connection.close()
    await bench.owner.close()
    await bench.watcher.close()


async def _one(bench: _Bench, seed: int, mutant: Mutant | None) -> Verdict:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "virtual time"
    loop.is_busy = lambda: True
    loop.set_exception_handler(lambda _loop, _context: None)
    logging.disable(logging.CRITICAL)
    await bench.owner.execute(f"TRUNCATE {', '.join(_TABLES)}")
    await _lay_out(bench.owner)
    await bench.shelf.fill()
    await bench.shelf.dust()
    if mutant is not None and mutant.prepare:
        await bench.owner.execute(mutant.prepare)
    town = _town(bench, seed)
    with mutant.patch(town) if mutant is not None else nullcontext():
        try:
            await _live(town, seed, loop)
            loop.is_busy = lambda: True  # nothing goes on while the judge reads
            found = await checker.complaints(bench.owner, _truth(town), town.acknowledged)
            found += await wallet_checker.complaints(bench.owner, town.acknowledged)
            length = len(town.trace)
        except asyncio.CancelledError:
            length = len(town.trace)
            found = [town.gate.failure or "it is stuck for good", *_who_waits(town)]
        finally:
            await _bring_home(bench, town, loop)
    if town.gate.deadlocks:
        found.append(f"{town.gate.deadlocks} deadlocks")
    if mutant is not None and mutant.undo:
        await bench.owner.execute(mutant.undo)
    del town.trace[length:]
    digest = hashlib.sha256("\n".join(town.trace).encode()).hexdigest()
    return Verdict(
        seed, found, digest, town.trace, town.clock.elapsed, town.gate.statements, town.crashes
    )


def _town(bench: _Bench, seed: int) -> Town:
    weather = Weather.draw(random.Random(f"{seed}:weather"))
    clock = VirtualClock()
    bits = random.Random(f"{seed}:ids")
    ids.use_sources(lambda: int(clock.now().timestamp() * 1000), lambda: bits.getrandbits(80))
    gate = Gate(random.Random(f"{seed}:gate"), bench.watcher)
    bench.shelf.gate = gate
    banks = {
        name: Bank(name, random.Random(f"{seed}:{name}"), clock, weather)
        for name in ("alipay", "card")
    }
    town = Town(
        bench.shelf,
        gate,
        clock,
        banks,
        weather,
        random.Random(f"{seed}:town"),
        random.Random(f"{seed}:crash"),
    )
    town.open()
    return town


async def _live(town: Town, seed: int, loop: VirtualLoop) -> None:
    rng = random.Random(f"{seed}:crowd")
    loop.is_busy = town.is_busy
    _watch(loop, town.gate)
    for _ in range(rng.choice([1, 2, 2, 3])):
        town.start()
    purses = await open_purses(town, rng, PURSES)
    crowd = asyncio.create_task(Crowd(town, rng, purses).live())
    await asyncio.sleep(HORIZON)
    for name in vars(town.weather):
        setattr(town.weather, name, 1.0 if name == "slow" else 0.0)
    await crowd
    for _ in range(SETTLE_HOURS * 6):
        await asyncio.sleep(600)
        if await _is_at_rest(town):
            return
    town.naps = (1800.0, 3600.0)
    for _ in range(FAR_DAYS):
        await asyncio.sleep(86_400)
        if await _is_at_rest(town):
            return


async def _is_at_rest(town: Town) -> bool:
    """Whether there is anything left to wait for; the checker decides what that means."""
    if any(deed == "bug" for deed, _, _ in town.acknowledged):
        return True  # the seed has failed, and what hangs for it may hang for ever
    while not town.processes:
        await asyncio.sleep(1)
    process = town.processes[0]
    async with process.db.transaction(readonly=True) as tx:
        left = await tx.value(
            "SELECT (SELECT count(*) FROM payments.attempts WHERE look_up_at IS NOT NULL"
            " AND (status NOT IN ('mismatched', 'authorised') OR closing"
            " OR (status = 'authorised' AND amount_to_capture IS NOT NULL)))"
            " + (SELECT count(*) FROM payments.refunds WHERE look_up_at IS NOT NULL)"
            " + (SELECT count(*) FROM runtime.notices WHERE next_at IS NOT NULL)"
            " + (SELECT count(*) FROM ledger.holds WHERE status = 'open' AND expires_at IS NOT NULL)"
            " + (SELECT count(*) FROM runtime.unrelayed)"
            " + (SELECT count(*) FROM ledger.accounts WHERE code LIKE 'suspense:%' AND balance <> 0)"
        )
    pending = any(
        refund["state"] == "pending"
        for bank in town.banks.values()
        for order in bank.orders.values()
        for refund in order.refunds.values()
    )
    return left == 0 and not pending and not any(b.untold for b in town.banks.values())


def _watch(loop: VirtualLoop, gate: Gate) -> None:
    """A seed whose time does not move for long is stuck: a lock is held over a wait."""
    stalled, main = loop.stalled, asyncio.current_task()
    assert main is not None, "called by the seed's own task"
    moved, deadline = 0, time.monotonic() + STUCK_SECONDS

    def check() -> None:
        nonlocal moved, deadline
        stalled()
        if gate.statements != moved:
            moved, deadline = gate.statements, time.monotonic() + STUCK_SECONDS
        if time.monotonic() > deadline:
            main.cancel()
            loop.stalled = stalled

    loop.stalled = check


def _who_waits(town: Town) -> list[str]:
    gate = town.gate
    named = {"waits": gate._waiting, "is blocked": gate._blocked, "runs": [gate._running]}
    found = [
        f"{statement.session.process} {how}: {statement.sql}"
        for how, statements in named.items()
        for statement in statements
        if statement is not None
    ]
    return [*found, *(f"{p.name} holds {p.db.busy}" for p in town.processes), *town.trace[-12:]]


async def _bring_home(bench: _Bench, town: Town, loop: VirtualLoop) -> None:
    loop.is_busy = town.is_busy
    await town.end()
    await town.gate.close()
    loop.is_busy = lambda: True
    loop.stalled = lambda: None
    loop.set_task_factory(None)
    bench.shelf.still()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)
    gc.collect(0)


def _truth(town: Town) -> dict[str, Any]:
    return {name: bank.truth() for name, bank in town.banks.items()}


async def _lay_out(owner: asyncpg.Connection) -> None:
    """A merchant's books before the first wallet."""
    codes = [("promotions:bonus", "debit"), *((f"owed:{n}", "debit") for n in range(PURSES))]
    await owner.execute(
        "INSERT INTO ledger.books (merchant_id, last_account) VALUES ($1, $2)", MERCHANT, len(codes)
    )
    await owner.executemany(
        "INSERT INTO ledger.accounts (merchant_id, number, code, currency, normal_side, created_at)"
        " VALUES ($1, $2, $3, 'cny', $4, '2026-01-01')",
        [(MERCHANT, number, *terms) for number, terms in enumerate(codes, 1)],
    )
