"""The long crash test and the long simulation: `make soak ARGS="--minutes 60"`."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections import Counter
from pathlib import Path

from tests.crash.harness import run
from tests.crash.walk import Plan
from tests.simulation.harness import run_seeds
from tests.simulation.test_simulation import keep
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_conf import Tuning
from tillgate.runtime.embedded_throwaway import throwaway_postgres
from tillgate.runtime.migrations import migrate


def main() -> int:
    """Alternate both until the time is up; the exit code says whether anything was found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    until = time.monotonic() + chosen.minutes * 60
    done: Counter[str] = Counter()
    is_well = True
    for turn in itertools.count(chosen.seed):
        with throwaway_postgres("soak", Tuning(shared_buffers="128MB")) as (postgres, home):
            is_well = _crash(postgres, home, turn, done) and _simulate(postgres, turn, done)
        if not is_well or time.monotonic() > until:
            break
    print(f"soak: {dict(done)}, {'nothing' if is_well else 'something'} found")  # noqa: T201
    return 0 if is_well else 1


def _crash(postgres: EmbeddedPostgres, home: Path, turn: int, done: Counter[str]) -> bool:
    outcome = run(postgres, home, Plan(240, seed=turn, chance=0.001, clients=32))
    print(f"crash {turn}: {outcome}", *outcome.found, sep="\n  ", flush=True)  # noqa: T201
    done.update(outcome.done)
    done["deaths"] += outcome.deaths.total()
    return not outcome.found


def _simulate(postgres: EmbeddedPostgres, turn: int, done: Counter[str]) -> bool:
    postgres.ensure_database("simulation")
    with asyncio.Runner() as runner:
        runner.run(migrate(postgres.dsn("simulation")))
    postgres.admit_application("simulation")
    totals = run_seeds(
        postgres.dsn("simulation", role="application"),
        postgres.dsn("simulation"),
        range(turn * 1_000_000, turn * 1_000_000 + 100_000),
        seconds=120,
    )
    keep(totals)
    print(f"simulation {turn}: {totals}", flush=True)  # noqa: T201
    done["seeds"] += len(totals.verdicts)
    return not totals.failed


if __name__ == "__main__":
    sys.exit(main())
