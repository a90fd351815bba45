"""What the measures of the ledger share: a server of their own, pgbench, and CPU time by /proc."""

from __future__ import annotations

import asyncio
import re
import resource
import statistics
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.processes import Meter
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_binaries import discover
from tillgate.runtime.embedded_conf import Tuning
from tillgate.runtime.embedded_throwaway import throwaway_postgres

#: Segments of WAL, of 16 MB, that are there to be used again, for each unit of pgbench's scale: at
#: the usual scale more than a run writes.
WAL_SEGMENTS = 5
#: Of the shared buffers, 8 KB each, likewise: at the usual scale all of them.
BUFFERS = 5_300
_SHARED_BUFFERS = "2GB"


@contextmanager
def server(
    *, fsync: bool = True, extra: Mapping[str, str] | None = None
) -> Generator[EmbeddedPostgres]:
    """A PostgreSQL on a throw-away folder, durable unless said otherwise."""
    settings = {
        "max_wal_size": "8GB",
        "min_wal_size": "4GB",
        "checkpoint_timeout": "30min",
        **(extra or {}),
    }
    if not fsync:
        settings |= {"fsync": "off", "synchronous_commit": "off"}
    with throwaway_postgres("bench", Tuning(_SHARED_BUFFERS, 120, settings)) as (postgres, _):
        yield postgres


@dataclass(frozen=True)
class Round:
    """One run of one piece of work."""

    per_second: float
    postgres_us: float
    client_us: float


def median(rounds: Sequence[Round]) -> Round:
    """The median of each figure by itself."""
    return Round(
        statistics.median(one.per_second for one in rounds),
        statistics.median(one.postgres_us for one in rounds),
        statistics.median(one.client_us for one in rounds),
    )


class RoundMeter:
    """Operations, wall time and CPU time between start and stop."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        assert postgres.pid is not None, "the server runs"
        self._server = Meter({"postgres": postgres.pid})
        self._client = client_cpu()

    def stop(self, operations: int) -> Round:
        """Return what `operations` cost since the start."""
        seconds = time.monotonic() - self._server.started
        return Round(
            operations / seconds,
            self._server.stop_each(operations)["postgres"],
            (client_cpu() - self._client) / operations * 1e6,
        )


def client_cpu() -> float:
    """CPU seconds of this process and its ended children."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


async def touch_memory(postgres: EmbeddedPostgres, database: str, buffers: int) -> None:
    """Leave the shared buffers of a server that has been running for a day: all used before.

    The first use of a page of memory is a fault, on a virtual machine one in its host as well: that was
    a third of PostgreSQL's time for a top-up, and is paid once in a server's life.
    """
    connection = await asyncpg.connect(postgres.dsn(database))
    try:
        await connection.execute("CREATE UNLOGGED TABLE filler (padding text)")
        await connection.execute("ALTER TABLE filler ALTER padding SET STORAGE PLAIN")
        await connection.execute(
            "INSERT INTO filler SELECT repeat('x', 8000) FROM generate_series(1, $1)", buffers
        )
        await connection.execute("DROP TABLE filler")
    finally:
        await connection.close()


async def recycle_wal(postgres: EmbeddedPostgres, database: str, segments: int) -> None:
    """Leave the segments of WAL that a server has which has been running for a day.

    A new segment is filled with zeros before its first use, which holds up every commit by some 20 ms;
    later it is used again as it is.
    """
    connection = await asyncpg.connect(postgres.dsn(database))
    try:
        for _ in range(segments):
            await connection.execute("SELECT pg_logical_emit_message(false, 'bench', 'fill')")
            await connection.execute("SELECT pg_switch_wal()")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def prepare_tpcb(postgres: EmbeddedPostgres, database: str, scale: int) -> None:
    """Make pgbench's tables in the database that is measured, in a server that is not new."""
    asyncio.run(touch_memory(postgres, database, BUFFERS * scale))
    pgbench = discover().program("pgbench")
    subprocess.run(
        [pgbench, "-i", "-q", "-s", str(scale), postgres.dsn(database)],
        check=True,
        capture_output=True,
    )
    asyncio.run(recycle_wal(postgres, database, WAL_SEGMENTS * scale))


async def tpcb(
    postgres: EmbeddedPostgres, database: str, seconds: float, *, script: Path | None = None
) -> Round:
    """Run pgbench's TPC-B, or a script, with 16 clients and prepared statements."""
    pgbench = discover().program("pgbench")
    meter = RoundMeter(postgres)
    process = await asyncio.create_subprocess_exec(
        pgbench,
        *["-n", "-c16", "-j2", "-M", "prepared", "-T", str(max(int(seconds), 1))],
        *(["-f", str(script)] if script else []),
        postgres.dsn(database),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    found = re.search(rb"number of transactions actually processed: (\d+)", out)
    assert found is not None, err.decode()
    measured = meter.stop(int(found[1]))
    rate = re.search(rb"tps = ([0-9.]+)", out)
    assert rate is not None, out.decode()
    return Round(float(rate[1]), measured.postgres_us, measured.client_us)
