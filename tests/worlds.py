"""A world for tests of the money path: one merchant, three providers on real sockets, real books.

The providers are the simulators, running in the test's own event loop; notices arrive over HTTP.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from simulators.common.http import Request, Response, Server
from simulators.keys import open_keys
from simulators.running import Plan, Running, run
from tillgate.connectors.client import HttpSettings, unobserved
from tillgate.connectors.transport import HttpTransport
from tillgate.kernel import ids
from tillgate.kernel.clock import Clock, SystemClock
from tillgate.ledger import commands as ledger
from tillgate.ledger.model import AccountTerms
from tillgate.merchants.model import OpenedAccount, ProviderAccount
from tillgate.payments import jobs, queries
from tillgate.payments.commands import LookUps
from tillgate.payments.flows import NO_TRACE, Payments
from tillgate.payments.model import Confirmation, Gift, NewPayment, NewRefund, Payment, RefundView
from tillgate.payments.providers import Providers
from tillgate.runtime.db import Database

MERCHANT = 3
CONFIRMATIONS = {
    "alipay": Confirmation(method="alipay", presentation="qr"),
    "wechat_pay": Confirmation(method="wechat_pay", presentation="qr"),
    "card": Confirmation(method="card", presentation="card", payment_method="pm_card_visa"),
}
SIMULATOR = {"alipay": "alipay", "wechat_pay": "wechat", "card": "card"}
FAST = HttpSettings(connect_seconds=1.0, read_seconds=1.0, total_seconds=1.5)


def accounts_of(merchants_file: Path) -> list[OpenedAccount]:
    """Return the demo merchant's provider accounts as the simulators wrote them."""
    merchant = json.loads(merchants_file.read_text())["merchants"][0]
    names = {"alipay": "alipay", "wechat": "wechat_pay", "card": "stripe"}
    return [
        _account(provider, {**merchant[name], "livemode": False}, version=1)
        for name, provider in names.items()
    ]


def _account(provider: str, config: dict[str, Any], *, version: int) -> OpenedAccount:
    account = ProviderAccount(
        merchant_id=MERCHANT,
        id=f"pa_{provider}",
        provider=provider,
        enabled=True,
        version=version,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return OpenedAccount(account, msgspec.json.encode(config))


@dataclass
class World:
    """One merchant's money path, and the providers' side of it."""

    db: Database
    clock: Clock
    payments: Payments
    running: Running
    notices: Server
    wallet: int
    bonus: int
    promotions: int
    owed: int
    session: aiohttp.ClientSession
    refused_notices: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def pay(self, method: str, amount: int = 10_000, **more: Any) -> Payment:
        """Open and confirm a payment into the wallet."""
        currency = more.pop("currency", "usd" if method == "card" else "cny")
        confirmation = more.pop("confirmation", CONFIRMATIONS[method])
        into = self.wallet if currency == "cny" else None
        order = NewPayment(
            merchant_id=MERCHANT,
            id=ids.new_id("pi"),
            amount=amount,
            currency=currency,
            method_types=["card", "alipay", "wechat_pay"],
            pay_into=more.pop("pay_into", into),
            confirmation=confirmation,
            description="Teahouse",
            **more,
        )
        return await self.payments.create(order, NO_TRACE)

    async def refund(self, payment: Payment, amount: int | None = None) -> RefundView:
        """Refund a payment."""
        order = NewRefund(
            merchant_id=MERCHANT, id=ids.new_id("re"), payment_id=payment.id, amount=amount
        )
        return await self.payments.refund(order, NO_TRACE)

    async def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call a simulator's control API."""
        url = self.running.simulators[SIMULATOR[method]].server.url
        async with self.session.post(f"{url}/_control/{path}", json=body or {}) as answer:
            text = await answer.text()
            assert answer.status < 300, text
            return json.loads(text) if text else None

    async def books(self, method: str) -> Any:
        """Return a provider's own books."""
        url = self.running.simulators[SIMULATOR[method]].server.url
        async with self.session.get(f"{url}/_control/books") as answer:
            return await answer.json()

    async def phone_pays(self, method: str, payment: Payment) -> None:
        """The customer pays on the phone."""
        await self.control(method, f"orders/{payment.latest_attempt}/pay")

    async def payment(self, payment_id: str) -> Payment:
        """Read a payment."""
        async with self.db.transaction(readonly=True) as tx:
            return await queries.payment(tx, MERCHANT, payment_id)

    async def balance(self, number: int) -> int:
        """Read a ledger account's balance."""
        async with self.db.transaction(readonly=True) as tx:
            return await tx.value(
                "SELECT balance FROM ledger.accounts WHERE merchant_id = $1 AND number = $2",
                MERCHANT,
                number,
            )

    async def balance_of(self, code: str, currency: str = "cny") -> int | None:
        """Read a ledger account's balance by its code."""
        async with self.db.transaction(readonly=True) as tx:
            return await tx.value(
                "SELECT balance FROM ledger.accounts"
                " WHERE merchant_id = $1 AND code = $2 AND currency = $3",
                MERCHANT,
                code,
                currency,
            )

    async def facts(self, object_id: str | None = None) -> list[str]:
        """Return the names of the facts published, of one object or of all."""
        async with self.db.transaction(readonly=True) as tx:
            rows = await tx.all(
                "SELECT name FROM runtime.facts WHERE merchant_id = $1"
                " AND ($2::text IS NULL OR object_id = $2) ORDER BY id",
                MERCHANT,
                object_id,
            )
        return [row["name"] for row in rows]

    async def sweep(self) -> None:
        """Let the worker do everything that is due or open, whatever its due moment."""
        async with self.db.transaction() as tx:
            # Whoever changes several attempts at a time holds their payments.
            await tx.all("SELECT 1 FROM payments.payments ORDER BY merchant_id, id FOR UPDATE")
            for table in ("payments.attempts", "payments.refunds"):
                await tx.run(
                    f"UPDATE {table} t SET look_up_at = '2000-01-01' FROM (SELECT merchant_id, id"  # type: ignore[arg-type]
                    f" FROM {table} WHERE look_up_at IS NOT NULL ORDER BY 1, 2 FOR UPDATE) due"
                    " WHERE t.merchant_id = due.merchant_id AND t.id = due.id"
                )
            await tx.run(
                "UPDATE runtime.notices SET next_at = '2000-01-01' WHERE next_at IS NOT NULL"
            )
        await jobs.apply_stored_notices(self.payments)
        await jobs.look_up_due(self.payments)
        await jobs.look_up_due_refunds(self.payments)
        await jobs.cancel_overdue(self.payments)

    async def until(
        self, holds: Callable[[], Awaitable[bool]], *, sweep: bool = False, seconds: float = 8
    ) -> None:
        """Poll until it holds."""
        for _ in range(int(seconds / 0.02)):
            if await holds():
                return
            if sweep:
                await self.sweep()
            await asyncio.sleep(0.02)
        raise AssertionError("it did not come to hold")

    async def until_paid(self, payment: Payment, *, sweep: bool = False) -> Payment:
        """Wait for the payment to have succeeded."""

        async def paid() -> bool:
            return (await self.payment(payment.id)).status == "succeeded"

        await self.until(paid, sweep=sweep)
        return await self.payment(payment.id)

    async def assert_books_hold(self) -> None:
        """The invariants that must hold at any moment."""
        async with self.db.transaction(readonly=True) as tx:
            assert not await tx.all(
                """
                SELECT a.number, a.code, a.balance, p.total FROM ledger.accounts a
                LEFT JOIN LATERAL (SELECT coalesce(sum(amount) FILTER (WHERE credit = a.number), 0)
                    - coalesce(sum(amount) FILTER (WHERE debit = a.number), 0) AS total
                    FROM ledger.lines l WHERE l.merchant_id = a.merchant_id
                    AND (l.debit = a.number OR l.credit = a.number)) p ON true
                WHERE a.balance <> p.total OR (a.floor IS NOT NULL AND a.balance - a.held < a.floor)
                """
            )
            assert not await tx.all(
                "SELECT object_id, sequence FROM runtime.facts"
                " GROUP BY merchant_id, object_id, sequence HAVING count(*) > 1"
            )
            assert not await tx.all(
                "SELECT currency FROM ledger.accounts GROUP BY merchant_id, currency"
                " HAVING sum(balance) <> 0"
            )
            assert not await tx.all(
                """
                SELECT a.id FROM payments.attempts a WHERE (a.status = 'paid') <> EXISTS
                    (SELECT FROM ledger.lines l WHERE l.merchant_id = a.merchant_id
                    AND l.cause = 'payment:' || a.id AND l.line = 0 AND l.amount = a.amount_captured)
                """
            )


@asynccontextmanager
async def open_world(
    db_url: str, keys: Path, *, clock: Clock | None = None, speed: float = 200.0, seed: int = 1
) -> AsyncIterator[World]:
    """Start everything and end it."""
    clock = clock or SystemClock()
    running = await run(
        Plan(
            keys=keys,
            ports=(("alipay", 0), ("wechat", 0), ("card", 0)),
            control_port=0,
            speed=speed,
            seed=seed,
        )
    )
    db = await Database.open(db_url)
    transport = HttpTransport(FAST)
    accounts = accounts_of(running.merchants_file)

    async def load(_: int) -> list[OpenedAccount]:
        return accounts

    world: World

    async def receive(request: Request) -> Response:
        _, _, merchant, account = request.path.split("/")
        ack = await world.payments.notices.receive(
            int(merchant), account, request.headers, request.body
        )
        if ack.status >= 300 or b"fail" in ack.body.lower():
            world.refused_notices += 1
        return Response(ack.status, ack.body, {"content-type": ack.content_type})

    notices = Server(receive)
    await notices.start()
    providers = Providers(load, clock, transport, unobserved, base_url=notices.url)
    look_ups = LookUps(first_seconds=0.05, most_seconds=1.0, calling_seconds=3.0)
    payments = Payments(db, clock, providers, look_ups, timedelta(minutes=15))
    numbers = await _open_accounts(db, clock)
    async with aiohttp.ClientSession() as session:
        world = World(db, clock, payments, running, notices, *numbers, session=session)
        await _tell_stripe(world, accounts, notices.url)
        try:
            yield world
        finally:
            await running.stop()
            await notices.stop()
            await transport.close()
            await db.close()


async def _open_accounts(db: Database, clock: Clock) -> tuple[int, int, int, int]:
    async with db.transaction() as tx:
        await tx.run(
            "INSERT INTO merchants.merchants (merchant_id, account, livemode, name,"
            " default_currency, created_at) VALUES ($1, 'acct_teahouse', false, 'Teahouse', 'cny', $2)",
            MERCHANT,
            clock.now(),
        )
        await ledger.open_books(tx, MERCHANT)
        books = await ledger.lock(tx, {MERCHANT})
        terms = [
            AccountTerms("wallet:wal_li:principal", "cny", floor=0),
            AccountTerms("wallet:wal_li:bonus", "cny", floor=0),
            AccountTerms("promotions:bonus", "cny", "debit"),
            AccountTerms("wallet:wal_li:owed", "cny", "debit"),
        ]
        await ledger.ensure_accounts(
            tx, books, [(MERCHANT, term) for term in terms], at=clock.now()
        )
        wallet, bonus, promotions, owed = (
            books.number(MERCHANT, term.code, "cny") for term in terms
        )
    return wallet, bonus, promotions, owed


async def _tell_stripe(world: World, accounts: list[OpenedAccount], base_url: str) -> None:
    """Register the notice address at the card provider; its secret joins the account's."""
    index = next(i for i, opened in enumerate(accounts) if opened.account.provider == "stripe")
    config = msgspec.json.decode(accounts[index].config)
    async with world.session.post(
        f"{config['base_url']}/v1/webhook_endpoints",
        data={"url": f"{base_url}/notices/{MERCHANT}/pa_stripe", "enabled_events[0]": "*"},
        headers={"Authorization": f"Bearer {config['secret_key']}"},
    ) as answer:
        endpoint = await answer.json()
    config["webhook_secret"] = endpoint["secret"]
    accounts[index] = _account("stripe", config, version=2)


def gift(world: World, amount: int) -> list[Gift]:
    """A bonus given with a payment."""
    return [Gift(world.promotions, world.bonus, amount)]


def make_keys(folder: Path) -> Path:
    """Keys are slow to make: once a session."""
    path = folder / "keys.json"
    open_keys(path, ("demo",))
    return path
