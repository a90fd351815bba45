"""Peers' ledgers beside pgbench's TPC-B on the same server, in the same run.

    python -m bench.ledger_peers [--rounds 3] [--seconds 6] [--processes 8] [--json FILE]

django-hordak is installed from its hashed lock into a folder of its own on first use, and driven
as its manual says: `Account.transfer_to` in `atomic()`, by several processes, from one of 200
accounts to another (`uniform`) or to one (`hot`). It keeps no running balance, no floor, no hold
and no unique cause: those of `bench.ledger` do.

pgledger is a file of SQL in no package registry. Where PGLEDGER_SQL names its file, after the
`uuid-to-ulid.sql` that it needs (`PGLEDGER_SQL=uuid-to-ulid.sql:pgledger.sql`), its transfers are
measured too: 16 clients of pgbench, from one of 100,000 accounts to the next (`uniform`) or to the
first (`hot`). It keeps running balances and floors, no hold and no unique cause. What cannot be had
is left out, and said to be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from bench.ledger import show, table
from bench.ledger_server import Round, RoundMeter, prepare_tpcb, server, tpcb
from tests.peers import install_peer
from tillgate.runtime.embedded import EmbeddedPostgres

DATABASE = "peers"
ACCOUNTS = 200
_KINDS = ("uniform", "hot")
_SCRIPTS = Path(__file__).parent / "peer_scripts"


def environment(postgres: EmbeddedPostgres) -> dict[str, str]:
    """Return what the peer's process is told: its packages and its database."""
    address = urlsplit(postgres.dsn(DATABASE))
    place = {name: values[0] for name, values in parse_qs(address.query).items()}
    database = {
        "NAME": DATABASE,
        "USER": address.username,
        "PASSWORD": address.password,
        "HOST": place["host"],
        "PORT": place["port"],
    }
    return {
        **os.environ,
        "PYTHONPATH": str(install_peer("hordak")),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PEER_DATABASE": json.dumps(database),
    }


async def run(words: list[str], told: dict[str, str]) -> bytes:
    """Run the peer's script to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "ignore",
        str(_SCRIPTS / "drive_hordak.py"),
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=told,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-2000:]
    return out


async def transfers(
    postgres: EmbeddedPostgres, told: dict[str, str], seconds: float, processes: int, kind: str
) -> Round:
    """Let several processes transfer for a while."""
    meter = RoundMeter(postgres)
    words = ["transfer", str(seconds), kind]
    outs = await asyncio.gather(*(run(words, told) for _ in range(processes)))
    done = sum(json.loads(out)["transfers"] for out in outs)
    measured = meter.stop(done)
    # The processes count their own seconds: starting Python and Django is not a transfer.
    return Round(done / seconds, measured.postgres_us, measured.client_us)


def is_installed() -> bool:
    """Say whether django-hordak can be run, after trying to install it."""
    try:
        install_peer("hordak")
    except AssertionError as error:
        print(f"django-hordak is left out: {error}")
        return False
    return True


async def prepare_pgledger(postgres: EmbeddedPostgres) -> bool:
    """Load pgledger where its files are named, and open accounts; say whether it can be run."""
    named = os.environ.get("PGLEDGER_SQL")
    if not named:
        print("pgledger is left out: PGLEDGER_SQL names no file of it")
        return False
    files = [Path(name) for name in named.split(os.pathsep)]
    connection = await asyncpg.connect(postgres.dsn(DATABASE))
    try:
        for file in [*files, _SCRIPTS / "pgledger_prepare.sql"]:
            await connection.execute(file.read_text())
    finally:
        await connection.close()
    return True


async def measure(
    postgres: EmbeddedPostgres, rounds: int, seconds: float, processes: int
) -> dict[str, list[Round]]:
    """Run all works in turn, round by round."""
    works: dict[str, Callable[[], Awaitable[Round]]] = {
        "tpc-b": partial(tpcb, postgres, DATABASE, seconds)
    }
    if is_installed():
        told = environment(postgres)
        await run(["prepare", str(ACCOUNTS)], told)
        for kind in _KINDS:
            works[f"hordak {kind}"] = partial(transfers, postgres, told, seconds, processes, kind)
    if await prepare_pgledger(postgres):
        for kind in _KINDS:
            script = _SCRIPTS / f"pgledger_{kind}.sql"
            works[f"pgledger {kind}"] = partial(tpcb, postgres, DATABASE, seconds, script=script)
    ran: dict[str, list[Round]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            ran[name].append(await work())
    return ran


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--scale", type=int, default=50)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with server() as postgres:
        postgres.ensure_database(DATABASE)
        prepare_tpcb(postgres, DATABASE, chosen.scale)
        rounds = asyncio.run(measure(postgres, chosen.rounds, chosen.seconds, chosen.processes))
    rows = table(rounds)
    show(rows)
    if chosen.json is not None:
        every = {name: [asdict(one) for one in ran] for name, ran in rounds.items()}
        chosen.json.write_text(json.dumps({"rows": rows, "rounds": every}, indent=2))


if __name__ == "__main__":
    main()
