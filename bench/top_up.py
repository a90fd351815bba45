"""A complete top-up over HTTP: created, charged at the provider, told of by notice, credited, said.

The provider pays at once, so that a top-up's whole life is measured: the request, the provider's
call and its signature, the notice, the credit, the facts and the wallet's row. It counts once its
wallet is credited and its event has been relayed.
"""

from __future__ import annotations

import asyncio
import time

import asyncpg

from bench.installation import DATABASE, Installation, control
from bench.load import Load, send_for
from bench.processes import Meter
from bench.rounds import Sample

#: By the name of the row: provider, currency of the wallets, and how the customer pays.
KINDS = {
    "top-up card": ("stripe", "usd", "payment_method=pm_card_visa"),
    "top-up wechat_pay": ("wechat_pay", "cny", "payment_method=wechat_pay"),
    "top-up alipay": (
        "alipay",
        "cny",
        "payment_method=alipay&payment_method_options[alipay][presentation]=qr",
    ),
}
#: Customers who top up at the same time.
CONNECTIONS = 256
_DRAIN_SECONDS = 30.0
_UNDER_WAY = """
    SELECT EXISTS (SELECT FROM payments.attempts WHERE look_up_at IS NOT NULL)
        OR EXISTS (SELECT FROM runtime.notices WHERE next_at IS NOT NULL)
        OR EXISTS (SELECT FROM runtime.unrelayed)
    """
_INCOMPLETE = """
    SELECT (SELECT count(*) FROM topups.top_ups)
        - (SELECT count(*) FROM runtime.facts WHERE name = 'top_up.succeeded')
    """
_PAID_AT_ONCE = {
    "operation": "create",
    "fault": {"kind": "paid_at_once", "seconds": 0.02},
    "probability": 1,
}


def loads(installation: Installation) -> dict[str, Load]:
    """A load for each provider."""
    found: dict[str, Load] = {}
    for name, (_, currency, method) in KINDS.items():
        requests = [
            ("/v1/top_ups", f"wallet={wallet}&amount=1000&currency={currency}&{method}")
            for wallet in installation.wallets[currency]
        ]
        lines = installation.lines(name.replace(" ", "_"), requests)
        found[name] = Load(installation.url, installation.key, lines, CONNECTIONS)
    return found


def pay_at_once(installation: Installation) -> None:
    """Let the customers of Alipay and WeChat Pay pay as soon as they have the order."""
    for provider in ("alipay", "wechat_pay"):
        control(installation, provider, "rules", _PAID_AT_ONCE)


def measure(installation: Installation, load: Load, seconds: float) -> Sample:
    """Send for a while, and go on counting time until the last top-up is complete."""
    before = asyncio.run(_count(installation))
    meter = Meter({"postgres": installation.postgres.pid or 0, **installation.pids})
    sent = send_for(load, seconds)
    assert sent.refused == 0, f"{sent.refused} of {sent.requests} were refused"
    asyncio.run(_until_complete(installation))
    took = time.monotonic() - meter.started
    cpu = meter.stop()
    # Those that the load did not wait for to be answered are complete as well.
    completed = asyncio.run(_count(installation)) - before
    by_process = {name: used / completed * 1e6 for name, used in cpu.items()}
    return Sample(completed / took, sent.p50_ms, sent.p99_ms, {**by_process, "load": sent.cpu_us})


async def _count(installation: Installation) -> int:
    connection = await asyncpg.connect(installation.postgres.dsn(DATABASE))
    try:
        return await connection.fetchval("SELECT count(*) FROM topups.top_ups")
    finally:
        await connection.close()


async def _until_complete(installation: Installation) -> None:
    """Wait until nothing is under way; then no top-up of all there are may lack its event."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    connection = await asyncpg.connect(installation.postgres.dsn(DATABASE))
    try:
        while await connection.fetchval(_UNDER_WAY):
            assert time.monotonic() < deadline, "top-ups did not get complete"
            await asyncio.sleep(0.02)
        assert await connection.fetchval(_INCOMPLETE) == 0, "a top-up has no event"
    finally:
        await connection.close()
