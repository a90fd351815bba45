"""Real processes killed at random, and at every step, while money moves through faulty providers.

The API, the worker and PostgreSQL are killed with SIGKILL; the simulators live on, since they are
the truth everything is compared with in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec

from bench import installation as bench
from bench.installation import DATABASE, PROVIDERS, Installation
from bench.processes import CHECKOUT, family, first_line, running
from tests.crash.comparison import Promised, complaints
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
_METHODS = {
    "alipay": ("cny", "payment_method=alipay&payment_method_options[alipay][presentation]=qr"),
    "wechat_pay": ("cny", "payment_method=wechat_pay"),
    "card": ("usd", "payment_method=pm_card_visa"),
}
_UNDER_WAY = """
    SELECT (SELECT count(*) FROM payments.attempts WHERE look_up_at IS NOT NULL
            AND status <> 'mismatched')
        + (SELECT count(*) FROM payments.refunds WHERE look_up_at IS NOT NULL)
        + (SELECT count(*) FROM runtime.notices WHERE next_at IS NOT NULL)
        + (SELECT count(*) FROM runtime.outbox)
    """
SHORT = {
    "TILLGATE_PROVIDERS__TOTAL_TIMEOUT_SECONDS": "2",
    "TILLGATE_PAYMENTS__ORDER_LIFETIME_SECONDS": "15",
}


@dataclass
class Outcome:
    """What came of it."""

    found: list[str]
    deaths: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return f"{dict(self.done)}, killed {dict(self.deaths)}, {len(self.found)} complaints"


class Child:
    """A process that is started again whenever it dies."""

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.births = 0

    def start(self) -> None:
        self.births += 1
        log = self._run.installation.home / "logs" / f"{self.name}.log"
        words = [sys.executable, "-m", "tests.crash.entry", self.name]
        words += [str(self._run.chance), str(self._run.seed * 1000 + self.births)]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                words, cwd=CHECKOUT, env=self._run.words, stdout=errors, stderr=errors
            )

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    async def keep_alive(self) -> None:
        while True:
            if self.process is None or self.process.poll() is not None:
                if self.process is not None:
                    self._run.deaths[self.name] += 1
                self.start()
            await asyncio.sleep(0.1)


class Run:
    """One run against one installation."""

    def __init__(self, installation: Installation, seed: int) -> None:
        self.installation = installation
        self.seed = seed
        self.chance = 0.002
        self.random = random.Random(seed)
        self.words = {**environment(installation.settings), **SHORT}
        self.deaths: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.promised = Promised()
        self.paid: list[str] = []
        self.children = [Child(self, "serve"), Child(self, "worker")]

    async def go(self, seconds: float, *, clients: int = 16) -> Outcome:
        """Kill for so long, let it settle, compare."""
        watching = [asyncio.create_task(child.keep_alive()) for child in self.children]
        try:
            await self._until_it_answers()
            self._spoil()
            await self._traffic(seconds, clients)
            found = await self._settle()
            found += await self._compare()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            for child in self.children:
                child.kill()
        return Outcome(found, self.deaths, self.done)

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

    async def _traffic(self, seconds: float, clients: int) -> None:
        until = time.monotonic() + seconds
        killer = asyncio.create_task(self._kill())
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8)) as session:
            await asyncio.gather(*(self._client(session, until, n) for n in range(clients)))
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)

    async def _kill(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(2, 6))
            if self.random.random() < 0.25:
                await self._kill_postgres()
            else:
                self.random.choice(self.children).kill()

    async def _kill_postgres(self) -> None:
        postgres = self.installation.postgres
        assert postgres.pid is not None, "it is running"
        for pid in family(postgres.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.deaths["postgres"] += 1
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

    # Clients -----------------------------------------------------------------------------------

    async def _client(self, session: aiohttp.ClientSession, until: float, number: int) -> None:
        chance = random.Random(f"{self.seed}:{number}")
        count = 0
        while time.monotonic() < until:
            count += 1
            key = f"client-{self.seed}-{number}-{count}"
            draw = chance.random()
            if draw < 0.15 and self.paid:
                await self._refund(session, key, chance)
            elif draw < 0.45:
                await self._spend(session, key, chance)
            else:
                await self._top_up(session, key, chance)

    async def _top_up(
        self, session: aiohttp.ClientSession, key: str, chance: random.Random
    ) -> None:
        currency, method = _METHODS[chance.choice(list(_METHODS))]
        wallet = chance.choice(self.installation.wallets[currency])
        body = f"wallet={wallet}&amount={chance.randint(100, 5000)}&currency={currency}&{method}"
        got = await self._post(session, "/v1/top_ups", body, key)
        if got is not None and "id" in got:
            self.promised.top_ups[got["id"]] = got["status"]
            self.done["top-ups"] += 1
            payment = got.get("payment_intent")
            if payment is not None:
                self.paid.append(payment if isinstance(payment, str) else payment["id"])

    async def _refund(
        self, session: aiohttp.ClientSession, key: str, chance: random.Random
    ) -> None:
        payment = chance.choice(self.paid)
        amount = f"&amount={chance.randint(1, 2000)}" if chance.random() < 0.8 else ""
        got = await self._post(session, "/v1/refunds", f"payment_intent={payment}{amount}", key)
        if got is not None and "id" in got:
            self.promised.refunds[got["id"]] = got["status"]
            self.done["refunds"] += 1

    async def _spend(self, session: aiohttp.ClientSession, key: str, chance: random.Random) -> None:
        wallet = chance.choice(self.installation.wallets["cny"])
        amount = chance.randint(1, 900)
        body = f"amount={amount}&currency=cny"
        got = await self._post(session, f"/v1/wallets/{wallet}/spend", body, key)
        if got is not None and "id" in got:
            self.promised.spends[got["id"]] = amount
            self.done["spends"] += 1

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: str, key: str
    ) -> dict[str, Any] | None:
        """Ask until there is an answer that says something about the request itself."""
        headers = {
            "Authorization": f"Bearer {self.installation.key}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Idempotency-Key": key,
        }
        for _ in range(60):
            try:
                async with session.post(
                    self.installation.url + path,
                    data=f"{body}&metadata[key]={key}",
                    headers=headers,
                ) as answer:
                    if answer.status == 200:
                        return msgspec.json.decode(await answer.read())
                    if answer.status < 500 and answer.status not in (409, 429):
                        self.done[f"refused {answer.status}"] += 1
                        return None
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(0.3)
        self.done["given up"] += 1
        return None

    # The end -----------------------------------------------------------------------------------

    async def _until_it_answers(self) -> None:
        await asyncio.to_thread(bench._until_it_answers, self.installation)

    async def _settle(self, seconds: float = 60) -> list[str]:
        """No more deaths and no more faults: everything must come to rest."""
        self.chance = 0.0
        await asyncio.to_thread(self._start_postgres)
        for child in self.children:
            child.kill()
        async with aiohttp.ClientSession() as session:
            for url in self.installation.controls.values():
                await session.delete(f"{url}/_control/rules")
        until, left = time.monotonic() + seconds, -1
        while time.monotonic() < until:
            await asyncio.sleep(0.5)
            async with self._connected() as db:
                left = await db.fetchval(_UNDER_WAY)
            if left == 0:
                return []
        return [f"{left} things are still under way after {seconds:.0f} s"]

    async def _compare(self) -> list[str]:
        books: dict[str, dict[str, Any]] = {}
        async with aiohttp.ClientSession() as session:
            for name, url in self.installation.controls.items():
                async with session.get(f"{url}/_control/books") as answer:
                    books[name] = await answer.json()
        async with self._connected() as db:
            return await complaints(db, books, self.promised)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[asyncpg.Connection]:
        db = await asyncpg.connect(self.installation.postgres.dsn(DATABASE))
        try:
            yield db
        finally:
            await db.close()


def run(postgres: EmbeddedPostgres, home: Path, *, seconds: float, seed: int = 1) -> Outcome:
    """Prepare an installation of its own on this server, kill it for a while, and compare."""
    installation = asyncio.run(bench.prepare(postgres, home, count=20))
    (home / "logs").mkdir(exist_ok=True)
    keys = installation.settings.data_path / "keys.json"
    words = [sys.executable, "-m", "simulators", "--keys", str(keys), "--speed", "20"]
    log = home / "logs" / "simulators.log"
    with running(words, environment(installation.settings), log) as child:
        ready = first_line(child)["ready"]
        installation.controls = {name: ready[name]["url"] for name in PROVIDERS.values()}
        configs = bench.open_accounts(installation, Path(ready["merchants_file"]))
        asyncio.run(bench.keep_accounts(installation, configs))
        return asyncio.run(Run(installation, seed).go(seconds))
