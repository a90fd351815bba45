"""Real processes killed at every step, and at random, while money moves through faulty providers.

The API, the worker and PostgreSQL are killed with SIGKILL, and now and then the sessions of both
are ended by the server, which is no death of anybody; the simulators live on, since they are
the truth everything is compared with in the end. Each start of a process is given the next step of
the walk to die at, before it or after it, until it has died at all of them; the deaths are counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec

from bench import installation as bench
from bench.installation import DATABASE, PROVIDERS, Installation
from bench.processes import CHECKOUT, family, first_line, running
from tests.crash.clients import Clients
from tests.crash.comparison import complaints, false_answers
from tests.crash.endpoint import Endpoint
from tests.crash.walk import ENDED, POSTGRES, SESSIONS, Outcome, Plan, every_step
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.settings import environment

FAULTS = (
    ("create", "timeout_after", 0.03),
    ("create", "reset_after", 0.04),
    ("create", "http_500_before", 0.04),
    ("create", "http_429_before", 0.03),
    ("create", "refuse", 0.03),
    ("notice", "lost_notice", 0.2),
    ("notice", "duplicate_notice", 0.2),
    ("query", "http_500_before", 0.05),
    ("refund", "reset_after", 0.1),
    ("refund", "http_500_before", 0.05),
    ("refund", "refund_fails_later", 0.1),
    ("create", "paid_at_once", 0.9),
)
_UNDER_WAY = """
    SELECT 'attempt ' || id || ', ' || status FROM payments.attempts
        WHERE look_up_at IS NOT NULL AND status <> 'mismatched'
        AND (status <> 'authorised' OR closing OR amount_to_capture IS NOT NULL)
    UNION ALL SELECT 'refund ' || id || ', ' || status FROM payments.refunds
        WHERE look_up_at IS NOT NULL
    UNION ALL SELECT 'notice ' || id FROM runtime.notices WHERE next_at IS NOT NULL
    UNION ALL SELECT 'facts of ' || id FROM runtime.unrelayed
    UNION ALL SELECT 'delivery ' || id || ' of ' || event_id || ', ' || tries || ' tries'
        FROM webhooks.deliveries WHERE next_at IS NOT NULL
    """
SHORT = {
    "TILLGATE_PROVIDERS__TOTAL_TIMEOUT_SECONDS": "2",
    "TILLGATE_PAYMENTS__ORDER_LIFETIME_SECONDS": "15",
}


#: How much sooner than in life the providers do what they do later, and tell again what went unheard.
SPEED = "100"
#: Seconds a process may live without meeting its step, before another one's turn comes.
PATIENCE = 12.0
_NOBODY = 2**22 + 1


class Child:
    """A process that is started again whenever it dies, each time with the next step to die at."""

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self.name = name
        self.pid: int | None = None
        self.births = 0
        self.born = 0.0
        self._patience = PATIENCE
        walk = run.plan.only or every_step()
        self._targets = [(when, step) for who, when, step in walk if who == name]

    def start(self) -> None:
        self.births += 1
        self.born = time.monotonic()
        self.pid = self._run.nursery.bear(self._fate())

    @property
    def is_alive(self) -> bool:
        """Whether it still lives."""
        try:
            os.kill(self.pid or _NOBODY, 0)
        except ProcessLookupError:
            return False
        return True

    def _fate(self) -> dict[str, Any]:
        run = self._run
        log = str(run.installation.home / "logs" / f"{self.name}.log")
        if not run.is_dying:
            return {"process": self.name, "log": log}
        left = [each for each in self._targets if not run.has_died(self.name, *each)]
        self._patience = PATIENCE
        if not left and not run.plan.until_walked:
            # Every other life is a free one, long enough for all its lanes to fill, and ends anywhere.
            left = self._targets if self.births % 2 else []
            self._patience = PATIENCE if left else run.random.uniform(0.5, PATIENCE)
        return {
            "process": self.name,
            "log": log,
            "seed": run.plan.seed * 1000 + self.births,
            "chance": run.plan.chance,
            "target": left[self.births % len(left)] if left else None,
            "diary": str(run.diary),
            "mutant": run.plan.mutant,
        }

    def kill(self) -> None:
        if self.pid is not None and self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._run.random_deaths[self.name, "at any time", "-"] += 1

    async def keep_alive(self) -> None:
        while True:
            if not self.is_alive:
                self.start()
            elif self._run.is_dying and time.monotonic() - self.born > self._patience:
                self.kill()
            await asyncio.sleep(0.05)


class Nursery:
    """The process that the others are forked from."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.entry"],
            cwd=CHECKOUT, env=words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def bear(self, fate: Mapping[str, Any]) -> int:
        """Start a process; return its number."""
        into, out = self._process.stdin, self._process.stdout
        assert into is not None, "it is piped"
        assert out is not None, "it is piped"
        into.write(msgspec.json.encode(fate) + b"\n")
        into.flush()
        return int(out.readline())

    def close(self) -> None:
        """No more births."""
        self._process.kill()
        self._process.communicate()


class Run:
    """One run against one installation."""

    def __init__(self, installation: Installation, plan: Plan) -> None:
        self.installation = installation
        self.plan = plan
        self.is_dying = True
        self.random = random.Random(plan.seed)
        self.nursery = Nursery({**environment(installation.settings), **SHORT})
        self.diary = installation.home / "deaths.jsonl"
        self.diary.touch()
        self.random_deaths: Counter[tuple[str, str, str]] = Counter()
        self.clients = Clients(installation, plan)
        self.endpoint = Endpoint(plan.seed)
        self.children = [Child(self, "serve"), Child(self, "worker")]

    async def go(self) -> Outcome:
        """Kill as planned, let it settle, compare."""
        watching = [asyncio.create_task(child.keep_alive()) for child in self.children]
        began = time.monotonic()
        try:
            self._spoil()
            await self.clients.listen(await self.endpoint.open())
            await self._traffic()
            deaths = self.deaths()
            found = await self._settle()
            found += await self._compare()
            found += await self._ask_again()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            self.is_dying = False
            for child in self.children:
                child.kill()
            self.nursery.close()
            await self.endpoint.close()
        done = Counter(self.clients.done)
        done["events"] = len(self.endpoint.heard)
        return Outcome(found, deaths, done, time.monotonic() - began)

    def deaths(self) -> Counter[tuple[str, str, str]]:
        """All deaths so far."""
        lines = [json.loads(line) for line in self.diary.read_text().splitlines()]
        return self.random_deaths + Counter((who, when, step) for who, when, step in lines)

    def has_died(self, who: str, when: str, step: str) -> bool:
        """Whether somebody has died there often enough."""
        return self.deaths()[who, when, step] >= self.plan.times

    def is_walked(self) -> bool:
        """Whether each step has been died at."""
        postgres = ("postgres", "at any time", "-")
        walk = self.plan.only or [*every_step(), *[postgres] * POSTGRES, *[ENDED] * SESSIONS]
        deaths = self.deaths()
        return all(deaths[each] >= walk.count(each) * self.plan.times for each in walk)

    def is_enough(self) -> bool:
        """Whether the plan is fulfilled before its time is up."""
        plan = self.plan
        return (
            plan.until_walked and self.clients.done["top-ups"] >= plan.top_ups and self.is_walked()
        )

    def _spoil(self) -> None:
        for provider in PROVIDERS:
            for stage, kind, probability in FAULTS:
                # That a card's refund failed after all is said once: what nobody could learn by
                # asking must not be lost.
                is_card_notice = provider == "stripe" and stage == "notice"
                operation = "payment_intent.*" if is_card_notice else stage
                bench.control(
                    self.installation,
                    provider,
                    "rules",
                    {
                        "operation": operation,
                        "fault": {"kind": kind, "seconds": 0.02},
                        "probability": probability,
                    },
                )

    async def _traffic(self) -> None:
        until = time.monotonic() + self.plan.seconds
        killers = [asyncio.create_task(self._kill()), asyncio.create_task(self._end_sessions())]
        await self.clients.run(
            self.plan.clients, lambda: time.monotonic() >= until or self.is_enough()
        )
        for killer in killers:
            killer.cancel()
        await asyncio.gather(*killers, return_exceptions=True)

    async def _kill(self) -> None:
        """PostgreSQL dies at random; who the others die with is theirs to know."""
        while True:
            await asyncio.sleep(self.random.uniform(4, 8))
            await self._kill_postgres()
            await asyncio.sleep(self.random.uniform(6, 10))

    async def _end_sessions(self) -> None:
        """As a failover does, or a person: both processes live, and none of their sessions."""
        while True:
            await asyncio.sleep(self.random.uniform(0.5, 1.5))
            # PostgreSQL may die at the same moment, which asyncpg puts into many words, or none.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2), self._connected() as db:
                    ended = await db.fetch(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'tillgate'"
                    )
                    self.random_deaths[ENDED] += bool(ended)

    async def _kill_postgres(self) -> None:
        postgres = self.installation.postgres
        assert postgres.pid is not None, "it is running"
        for pid in family(postgres.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.random_deaths["postgres", "at any time", "-"] += 1
        await asyncio.shield(asyncio.to_thread(self._start_postgres))

    def _start_postgres(self) -> None:
        for _ in range(40):
            try:
                self.installation.postgres.start()
            except Exception:  # noqa: BLE001  what is left of the old one must be gone first
                time.sleep(0.25)
            else:
                return
        self.installation.postgres.start()

    # The end -----------------------------------------------------------------------------------

    async def _settle(self) -> list[str]:
        """No more deaths and no more faults: everything must come to rest."""
        self.is_dying = False
        await asyncio.to_thread(self._start_postgres)
        for child in self.children:
            child.kill()
        async with aiohttp.ClientSession() as session:
            for url in self.installation.controls.values():
                await session.delete(f"{url}/_control/rules")
        until, least = math.inf, sys.maxsize
        left: list[str] = []
        while time.monotonic() < until:
            async with self._connected() as db:
                left = [row[0] for row in await db.fetch(_UNDER_WAY)]
            waiting = len(left) + await self._untold()
            if not waiting:
                return []
            if waiting < least:  # as long as it gets less, it may take its time
                least, until = waiting, time.monotonic() + self.plan.settle_seconds
            await asyncio.sleep(0.5)
        return [f"still under way: {each}" for each in left]

    async def _untold(self) -> int:
        """Notices that the providers will send again: what happened while nobody listened."""
        return sum(each["notices"]["unfinished"] for each in (await self._books()).values())

    async def _compare(self) -> list[str]:
        async with self._connected() as db:
            return await complaints(
                db, await self._books(), self.clients.promised, self.endpoint.heard
            )

    async def _ask_again(self) -> list[str]:
        """Ask for all anew that had 5xx for an answer, or none: now it must be the truth."""
        async with self._connected() as db:  # a while later: who had claimed a key and died is gone
            await db.execute(
                "UPDATE runtime.idempotency SET locked_at = locked_at - interval '1 hour'"
                " WHERE status IS NULL"
            )
        again, unanswered = await self.clients.ask_again()
        found = [f"{unanswered} keys have no answer in the end"] if unanswered else []
        if failed := self.clients.done["failed 500"]:
            found.append(f"{failed} requests were answered with 500")
        async with self._connected() as db:
            return found + await false_answers(db, again)

    async def _books(self) -> dict[str, dict[str, Any]]:
        books: dict[str, dict[str, Any]] = {}
        async with aiohttp.ClientSession() as session:
            for name, url in self.installation.controls.items():
                async with session.get(f"{url}/_control/books") as answer:
                    books[name] = await answer.json()
        return books

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[asyncpg.Connection]:
        db = await asyncpg.connect(self.installation.postgres.dsn(DATABASE))
        try:
            yield db
        finally:
            await db.close()


def run(postgres: EmbeddedPostgres, home: Path, plan: Plan) -> Outcome:
    """Prepare an installation of its own on this server, kill it for a while, and compare."""
    installation = asyncio.run(bench.prepare(postgres, home, count=20))
    (home / "logs").mkdir(exist_ok=True)
    keys = installation.settings.data_path / "keys.json"
    words = [sys.executable, "-m", "simulators", "--keys", str(keys), "--speed", SPEED]
    words += ["--keep-orders", "0"]
    log = home / "logs" / "simulators.log"
    with running(words, environment(installation.settings), log) as child:
        ready = first_line(child)["ready"]
        installation.controls = {name: ready[name]["url"] for name in PROVIDERS.values()}
        configs = bench.open_accounts(installation, Path(ready["merchants_file"]))
        asyncio.run(bench.keep_accounts(installation, configs))
        return asyncio.run(Run(installation, plan).go())
