"""The worker: everything that happens without being asked for.

Relays facts, delivers webhooks, asks providers about what is open, applies notices nobody got
round to, ends what is overdue, frees expired holds, seals the books, answers requests whose
process died, and lets the doctor look. Any number of workers may run; leases and locks keep them
off each other's feet. Each listens on a port of its own for health and metrics, or on none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta

import uvloop

from tillgate.api.app import api_of
from tillgate.api.recovery import AT_ONCE, Recovery
from tillgate.entry import doctor, subscriptions
from tillgate.entry.build import Core, open_core, spare_the_collector
from tillgate.entry.health import Health, nothing_here
from tillgate.entry.listening import beside, bound
from tillgate.entry.loops import Chore, run_all
from tillgate.entry.parts import api_parts
from tillgate.entry.relay import BATCH, move_over, relay
from tillgate.ledger import flows as ledger
from tillgate.payments import jobs
from tillgate.runtime import heartbeats, idempotency, logs, notices
from tillgate.runtime.settings import Settings
from tillgate.wallets import flows as wallets
from tillgate.webhooks.dispatcher import Dispatcher


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    logs.configure(settings.log)
    uvloop.run(_main(settings))


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_core(settings) as core, _watched(core):
        spare_the_collector()
        dispatcher = Dispatcher(
            core.db, core.clock, core.vault, subscriptions.CATALOGUE, settings.webhooks
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(dispatcher.run(stop))
            group.create_task(run_all(chores(core, dispatcher), stop))
            sys.stdout.write('{"ready": {"worker": true}}\n')
            sys.stdout.flush()


@contextlib.asynccontextmanager
async def _watched(core: Core) -> AsyncGenerator[None]:
    """Answer those who ask how the worker is doing, unless the port is 0."""
    metrics = core.settings.metrics
    if not metrics.worker_port:
        yield
        return
    use, setting = "the worker's metrics", "TILLGATE_METRICS__WORKER_PORT"
    with bound(metrics.worker_host, metrics.worker_port, use, setting) as listener:
        async with beside(health_of(core), listener):
            yield


def health_of(core: Core) -> Health:
    """Return what the worker tells of itself and of the whole installation."""
    return Health(
        nothing_here,
        core.clock,
        database=core.settings.database,
        db=core.db,
        metrics_token=core.settings.metrics.token,
        measure=lambda: doctor.measure(core.db, core.clock),
    )


def chores(core: Core, dispatcher: Dispatcher) -> list[Chore]:
    """Return what this worker does, and how often it looks."""
    poll = core.settings.payments.worker_poll_seconds
    table = subscriptions.TABLE

    async def relay_facts() -> int:
        heard = await relay(core.db, core.clock, table)
        if heard:
            dispatcher.nudge()
        return heard

    async def beat() -> int:
        process = f"worker:{socket.gethostname()}:{os.getpid()}"
        async with core.db.transaction() as tx:
            await heartbeats.beat(tx, process, "worker", at=core.clock.now())
        return 0

    async def forget_answers() -> int:
        async with core.db.transaction() as tx:
            return await idempotency.prune(tx, core.clock.now() - timedelta(hours=25))

    async def forget_notices() -> int:
        kept = timedelta(days=core.settings.payments.notices_kept_days)
        async with core.db.transaction() as tx:
            return await notices.prune(tx, core.clock.now() - kept)

    return [
        Chore("relay", relay_facts, poll, BATCH, soon_seconds=poll * 0.4),
        Chore("facts of before", lambda: move_over(core.db), poll * 4),
        Chore("notices", lambda: jobs.apply_stored_notices(core.payments), poll * 4, 100),
        Chore("look-ups", lambda: jobs.look_up_due(core.payments), poll * 2, 100),
        Chore("refunds", lambda: jobs.look_up_due_refunds(core.payments), poll * 2, 100),
        Chore("deadlines", lambda: jobs.cancel_overdue(core.payments), poll * 4, 100),
        Chore("holds", lambda: wallets.expire_holds(core.db, core.clock), poll * 4, 100),
        Chore("seals", lambda: ledger.seal(core.db, core.clock), 5.0, 1_000_000),
        Chore("heartbeat", beat, 2.0, 1),
        Chore("answers", forget_answers, 60.0, 10_000),
        Chore("old notices", forget_notices, 60.0, 10_000),
        Chore("abandoned", Recovery(api_of(api_parts(core))).run, 5.0, AT_ONCE),
        Chore("doctor", lambda: doctor.look(core.db, core.clock), 60.0, 1_000_000),
    ]
