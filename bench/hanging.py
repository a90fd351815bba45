"""While 64 calls hang at a provider, how many database connections does the API hold? None.

Read from the API's own gauge and from the server's list of sessions in a transaction.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
import urllib.request
from dataclasses import dataclass

import asyncpg

from bench import top_up
from bench.installation import DATABASE, Installation, control
from bench.load import Load, send_for

CALLS = 64
_HANG_SECONDS = 3.0
_HANG = {
    "operation": "create",
    "fault": {"kind": "latency", "seconds": _HANG_SECONDS},
    "probability": 1,
}
_IN_USE = re.compile(rb"^tillgate_db_connections_in_use (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Hanging:
    """What was seen: at each look, attempts under way, connections in use, open transactions."""

    looks: int
    attempts_under_way: int
    most_connections_in_use: float
    most_open_transactions: int

    @property
    def text(self) -> str:
        """One line."""
        return (
            f"while {self.attempts_under_way} calls hung at the provider ({self.looks} looks): "
            f"at most {self.most_connections_in_use:.0f} database connections in use, "
            f"{self.most_open_transactions} transactions open"
        )


def connections_while_hanging(installation: Installation) -> Hanging:
    """Send 64 top-ups to a provider that does not answer for a while, and look."""
    control(installation, "wechat_pay", "rules", _HANG)
    loads = top_up.loads(installation)
    load = loads["top-up wechat_pay"]
    sender = threading.Thread(
        target=send_for,
        args=(Load(load.url, load.key, load.lines, CALLS), 1),
        daemon=True,
    )
    sender.start()
    time.sleep(1.2)
    try:
        return asyncio.run(_look(installation))
    finally:
        sender.join()


async def _look(installation: Installation) -> Hanging:
    connection = await asyncpg.connect(installation.postgres.dsn(DATABASE))
    under_way, connections, transactions, looks = CALLS, 0.0, 0, 0
    until = time.monotonic() + 1.0
    try:
        while time.monotonic() < until:
            looks += 1
            connections = max(connections, await asyncio.to_thread(_in_use, installation.url))
            row = await connection.fetchrow(_SEEN)
            assert row is not None
            under_way = min(under_way, row["created"])
            transactions = max(transactions, row["open"])
            await asyncio.sleep(0.05)
    finally:
        await connection.close()
    return Hanging(looks, under_way, connections, transactions)


def _in_use(url: str) -> float:
    found = _IN_USE.search(urllib.request.urlopen(f"{url}/metrics", timeout=5).read())
    assert found is not None, "the gauge is there"
    return float(found[1])


_SEEN = """
    SELECT (SELECT count(*) FROM payments.attempts WHERE status = 'created') AS created,
        (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND usename = 'tillgate_app' AND state LIKE 'idle in transaction%') AS open
    """
