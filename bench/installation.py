"""An installation to be measured: a database, a merchant with funded wallets, and real processes.

The processes are those of `tillgate up`: `serve`, `worker` and the simulators, each by itself, so
that the CPU time of each can be told apart.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.processes import first_line, running
from simulators.keys import open_keys
from tillgate.entry.seed import HEARD_OF_CARDS
from tillgate.kernel.clock import SystemClock
from tillgate.kernel.ids import new_id
from tillgate.kernel.money import CURRENCIES
from tillgate.ledger import commands as ledger
from tillgate.ledger.model import AccountTerms, Journal, Line
from tillgate.merchants import commands as merchants
from tillgate.merchants.model import ProviderAccount
from tillgate.runtime.db import Database
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.migrations import migrate
from tillgate.runtime.ports import free_port
from tillgate.runtime.secrets import Vault
from tillgate.runtime.settings import Settings, environment, load
from tillgate.wallets import commands as wallets
from tillgate.wallets.model import OpenWallet

DATABASE = "gateway"
FUNDS = 1_000_000_000_000
PROVIDERS = {"alipay": "alipay", "wechat_pay": "wechat", "stripe": "card"}
_BATCH = 100


@dataclass
class Installation:
    """A running Tillgate."""

    settings: Settings
    postgres: EmbeddedPostgres
    home: Path
    key: str
    merchant_id: int
    wallets: dict[str, list[str]]
    pids: dict[str, int] = field(default_factory=dict)
    controls: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the API listens."""
        return self.settings.http.base_url

    def lines(self, name: str, requests: list[tuple[str, str]]) -> Path:
        """Write the requests that a load draws from."""
        path = self.home / f"{name}.lines"
        path.write_text("".join(f"{target}\t{body}\n" for target, body in requests))
        return path


async def prepare(postgres: EmbeddedPostgres, home: Path, *, count: int) -> Installation:
    """Migrate a database and give a merchant wallets, opened and funded by the real commands."""
    postgres.ensure_database(DATABASE)
    await migrate(postgres.dsn(DATABASE))
    postgres.admit_application(DATABASE)
    settings = load(
        {
            "TILLGATE_DATABASE_URL": postgres.dsn(DATABASE, role="application"),
            "TILLGATE_DATA_DIR": str(home / "data"),
            "TILLGATE_HTTP__PORT": str(free_port()),
            "TILLGATE_METRICS__WORKER_PORT": "0",
        }
    )
    db = await Database.open(settings.database.url, size=2)
    try:
        merchant_id, key = await _merchant(db, settings)
        found = {code: await _wallets(db, merchant_id, code, count) for code in ("cny", "usd")}
    finally:
        await db.close()
    return Installation(settings, postgres, home, key, merchant_id, found)


async def _merchant(db: Database, settings: Settings) -> tuple[int, str]:
    at = SystemClock().now()
    async with db.transaction() as tx:
        test, _ = await merchants.create_merchant(tx, "Teahouse", default_currency="cny", at=at)
        key = await merchants.create_key(tx, test.merchant_id, "secret", at=at)
    open_keys(settings.data_path / "keys.json", ("demo",))
    return test.merchant_id, key.text


async def _wallets(db: Database, merchant_id: int, code: str, count: int) -> list[str]:
    """Open wallets and put money into each."""
    clock = SystemClock()
    opened: list[str] = []
    while len(opened) < count:
        size = min(_BATCH, count - len(opened))
        async with db.transaction() as tx:
            ids = [new_id("cus") for _ in range(size)]
            orders = [
                OpenWallet(
                    merchant_id=merchant_id, at=clock.now(), id=new_id("wal"),
                    customer_id=customer_id, currency=CURRENCIES[code],
                )
                for customer_id in ids
            ]  # fmt: skip
            await wallets.carry_out(tx, orders)
            await _fund(tx, merchant_id, code, [order.id for order in orders])
        opened += [order.id for order in orders]
    return opened


async def _fund(tx: Any, merchant_id: int, code: str, wallet_ids: list[str]) -> None:
    at = SystemClock().now()
    books = await ledger.lock(tx, {merchant_id})
    codes = [f"wallet:{wallet_id}:principal" for wallet_id in wallet_ids]
    terms = [AccountTerms("bank", code, "debit"), *(AccountTerms(name, code) for name in codes)]
    await ledger.ensure_accounts(tx, books, [(merchant_id, term) for term in terms], at=at)
    await ledger.load(tx, books, causes=[(merchant_id, f"funding:{name}") for name in codes])
    bank = books.number(merchant_id, "bank", code)
    for name in codes:
        line = Line(bank, books.number(merchant_id, name, code), FUNDS)
        books.post(Journal(merchant_id, f"funding:{name}", (line,)), at=at)
    ledger.save(tx, books)


@contextmanager
def serving(installation: Installation, *, worker: bool, simulators: bool) -> Generator[None]:
    """Run the API, and beside it the worker and the simulators."""
    logs = installation.home / "logs"
    logs.mkdir(exist_ok=True)
    words = environment(installation.settings)
    with ExitStack() as stack:
        if simulators:
            keys = installation.settings.data_path / "keys.json"
            child = stack.enter_context(
                running(
                    [sys.executable, "-m", "simulators", "--keys", str(keys)],
                    words,
                    logs / "simulators.log",
                )
            )
            ready = first_line(child)["ready"]
            installation.pids["simulators"] = child.pid
            installation.controls = {name: ready[name]["url"] for name in PROVIDERS.values()}
            configs = open_accounts(installation, Path(ready["merchants_file"]))
            asyncio.run(keep_accounts(installation, configs))
        for name in ("serve", "worker") if worker else ("serve",):
            child = stack.enter_context(
                running(
                    [sys.executable, "-m", "tillgate.entry.cli", name], words, logs / f"{name}.log"
                )
            )
            installation.pids["api" if name == "serve" else name] = child.pid
        _until_it_answers(installation)
        try:
            yield
        finally:
            installation.pids.clear()


def _until_it_answers(installation: Installation) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            request = urllib.request.Request(
                f"{installation.url}/v1/wallets?limit=1",
                headers={"Authorization": f"Bearer {installation.key}"},
            )
            urllib.request.urlopen(request, timeout=5).read()
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, f"no answer; see {installation.home}/logs"
            time.sleep(0.05)
        else:
            return


def control(installation: Installation, provider: str, path: str, body: Mapping[str, Any]) -> None:
    """Tell a simulator what to do."""
    url = f"{installation.controls[PROVIDERS[provider]]}/_control/{path}"
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=10).read()


def open_accounts(installation: Installation, merchants_file: Path) -> list[tuple[str, bytes]]:
    """Return the merchant's accounts at the simulators as (provider, configuration)."""
    merchant = json.loads(merchants_file.read_text())["merchants"][0]
    configs = {
        provider: {**merchant[name], "livemode": False} for provider, name in PROVIDERS.items()
    }
    notices = f"{installation.url}/notices/{installation.merchant_id}/pa_stripe"
    events = [f"enabled_events[{at}]={name}" for at, name in enumerate(HEARD_OF_CARDS)]
    request = urllib.request.Request(
        f"{configs['stripe']['base_url']}/v1/webhook_endpoints",
        data="&".join([f"url={notices}", *events]).encode(),
        headers={"Authorization": f"Bearer {configs['stripe']['secret_key']}"},
    )
    endpoint = json.loads(urllib.request.urlopen(request, timeout=10).read())
    configs["stripe"]["webhook_secret"] = endpoint["secret"]
    return [(provider, msgspec.json.encode(config)) for provider, config in configs.items()]


async def keep_accounts(installation: Installation, configs: list[tuple[str, bytes]]) -> None:
    """Write the merchant's provider accounts, sealed."""
    vault = Vault.from_file(installation.settings.data_path / "secret.key")
    at = SystemClock().now()
    db = await Database.open(installation.settings.database.url, size=1)
    try:
        async with db.transaction() as tx:
            for provider, config in configs:
                account = ProviderAccount(
                    installation.merchant_id, f"pa_{provider}", provider,
                    enabled=True, version=1, created_at=at,
                )  # fmt: skip
                await merchants.put_provider_account(tx, vault, account, config)
    finally:
        await db.close()
