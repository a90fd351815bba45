"""The gateway over HTTP: spends and complete top-ups, as ratios to TPC-B in the same rounds.

    python -m bench.gateway [--rounds 3] [--seconds 5] [--only spend] [--json FILE]

The processes are those of `tillgate up`, on the same machine as the database, the simulators and
the load. Also shown: that no database connection is in use while 64 calls hang at a provider, and
the memory of all processes but PostgreSQL's after the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg

from bench import peers, spend, top_up
from bench.hanging import Hanging, connections_while_hanging
from bench.installation import DATABASE, Installation, prepare, serving
from bench.ledger_server import prepare_tpcb, server, tpcb
from bench.load import ensure_wrk
from bench.processes import memory_mb, resident_mb
from bench.rounds import BASELINE, Sample, interleave, line, rows

Work = Callable[[], Sample]


@dataclass(frozen=True)
class Options:
    """What a run is told."""

    rounds: int = 3
    seconds: float = 5.0
    scale: int = 50
    wallets: int = 10_000
    only: str = ""
    peers: bool = True


@dataclass(frozen=True)
class Found:
    """What a run has shown."""

    options: Options
    samples: dict[str, list[Sample]]
    hanging: Hanging | None
    memory: dict[str, dict[str, float]]


def measure(options: Options) -> Found:
    """Prepare everything, run the rounds, and look at what is left."""
    home = Path(tempfile.mkdtemp(prefix="tillgate-bench-"))
    try:
        with server() as postgres:
            installation = asyncio.run(prepare(postgres, home, count=options.wallets))
            prepare_tpcb(postgres, DATABASE, options.scale)
            with ExitStack() as stack:
                stack.enter_context(serving(installation, worker=True, simulators=True))
                return _measure(installation, options, stack)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _measure(installation: Installation, options: Options, stack: ExitStack) -> Found:
    works: dict[str, Callable[[float], Sample]] = {
        BASELINE: lambda seconds: _baseline(installation, seconds)
    }
    works |= _works(installation, options)
    if options.seconds > 1:  # warm up, so that statistics and caches are as in a running system
        for work in works.values():
            work(2.0)
        asyncio.run(_analyze(installation))
    timed: dict[str, Work] = {
        name: lambda work=work: work(options.seconds) for name, work in works.items()
    }
    if options.peers and peers.is_installed():
        peer = stack.enter_context(peers.localstripe(installation.home))
        timed["localstripe intent"] = lambda: peer.measure(options.seconds)
    samples = interleave(timed, options.rounds, _say)
    memory = {
        name: {"proportional_mb": memory_mb(pid), "resident_mb": resident_mb(pid)}
        for name, pid in installation.pids.items()
    }
    hanging = None if "top" not in "".join(works) else connections_while_hanging(installation)
    return Found(options, samples, hanging, memory)


def _works(installation: Installation, options: Options) -> dict[str, Callable[[float], Sample]]:
    top_up.pay_at_once(installation)
    works: dict[str, Callable[[float], Sample]] = {}
    for name, load in spend.loads(installation).items():
        works[name] = lambda seconds, load=load: spend.measure(installation, load, seconds)
    for name, load in top_up.loads(installation).items():
        works[name] = lambda seconds, load=load: top_up.measure(installation, load, seconds)
    return {name: work for name, work in works.items() if options.only in name}


def _baseline(installation: Installation, seconds: float) -> Sample:
    ran = asyncio.run(tpcb(installation.postgres, DATABASE, seconds))
    return Sample(ran.per_second, cpu_us={"postgres": ran.postgres_us, "load": ran.client_us})


async def _analyze(installation: Installation) -> None:
    """What autovacuum does within the first minutes of a running system."""
    connection = await asyncpg.connect(installation.postgres.dsn(DATABASE))
    try:
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def _say(text: str) -> None:
    print(text, flush=True)


def show(found: Found) -> None:
    """Print the medians."""
    print("\nMedians; x is the ratio to TPC-B -c16 in the same round")
    for row in rows(found.samples):
        print(line(row.work, row))
    if found.hanging is not None:
        print(f"\n{found.hanging.text}")
    total = sum(one["proportional_mb"] for one in found.memory.values())
    parts = ", ".join(f"{name} {one['proportional_mb']:.0f}" for name, one in found.memory.items())
    print(f"memory without PostgreSQL: {total:.0f} MB ({parts})")


def kept(found: Found) -> dict[str, object]:
    """Everything a run has shown, to be written down."""
    return {
        "options": asdict(found.options),
        "rows": [asdict(row) for row in rows(found.samples)],
        "samples": {name: [asdict(one) for one in ran] for name, ran in found.samples.items()},
        "hanging": None if found.hanging is None else asdict(found.hanging),
        "memory": found.memory,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=Options.rounds)
    parser.add_argument("--seconds", type=float, default=Options.seconds)
    parser.add_argument("--scale", type=int, default=Options.scale)
    parser.add_argument("--wallets", type=int, default=Options.wallets)
    parser.add_argument("--only", default="", help="part of the names of the works to be done")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--json", type=Path)
    chosen = vars(parser.parse_args())
    target: Path | None = chosen.pop("json")
    ensure_wrk()
    found = measure(Options(**chosen))
    show(found)
    if target is not None:
        target.write_text(json.dumps(kept(found), indent=2))


if __name__ == "__main__":
    main()
