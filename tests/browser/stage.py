"""The pages on a real socket, over a world of real books and simulated providers.

Run as a program it stays up, for a person to look at: python -m tests.browser.stage
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn

from tests.worlds import MERCHANT, World, open_world
from tillgate.kernel import ids
from tillgate.kernel.clock import SystemClock
from tillgate.kernel.money import CURRENCIES
from tillgate.payments import jobs
from tillgate.runtime.secrets import Vault
from tillgate.topup_app.links import link_for
from tillgate.topup_app.routes import Pages, Parts
from tillgate.topups.flows import TopUps
from tillgate.wallets import flows as wallets
from tillgate.wallets import queries as wallet_queries
from tillgate.wallets.model import OpenWallet


class ShiftedClock(SystemClock):
    """The machine's clock, which a test may put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def advance(self, **by: float) -> None:
        """Put it forward by `timedelta(**by)`."""
        self.ahead += timedelta(**by)

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class Stage:
    """A merchant's pages, being served."""

    world: World
    vault: Vault
    base_url: str
    pages: Pages
    clock: ShiftedClock
    #: What the page at the base address leads to.
    demo: str | None = None
    at_work: asyncio.Event = field(default_factory=asyncio.Event)

    async def open_wallet(self, currency: str = "cny", customer: str = "cus_li") -> str:
        """Open a wallet and return its id."""
        told: Any = await wallets.order(
            self.world.db,
            OpenWallet(
                merchant_id=MERCHANT,
                at=self.world.clock.now(),
                id=ids.new_id("wal"),
                customer_id=customer,
                currency=CURRENCIES[currency],
            ),
        )
        return told.wallet.id

    def link(self, wallet_id: str, *, lifetime: timedelta = timedelta(days=1)) -> str:
        """Return the address of a wallet's pages."""
        at = self.world.clock.now()
        return link_for(self.vault, self.base_url, MERCHANT, wallet_id, at=at, lifetime=lifetime)

    async def wallet(self, wallet_id: str) -> Any:
        """Read a wallet with its balances."""
        async with self.world.db.transaction(readonly=True) as tx:
            return await wallet_queries.wallet(tx, MERCHANT, wallet_id)

    def phone(self, method: str) -> str:
        """Return the address of a provider's phone page."""
        name = {"alipay": "alipay", "wechat_pay": "wechat", "card": "card"}[method]
        return f"{self.world.running.simulators[name].server.url}/phone/"

    async def advance(self, **by: float) -> None:
        """Put everybody's clock forward, the providers' too."""
        self.clock.advance(**by)
        ahead = {"offset_seconds": self.clock.ahead.total_seconds()}
        for method in ("alipay", "wechat_pay", "card"):
            await self.world.control(method, "clock", ahead)

    def pause_work(self) -> None:
        """The worker stops for a while."""
        self.at_work.clear()

    def resume_work(self) -> None:
        """The worker goes on."""
        self.at_work.set()

    async def work(self) -> None:
        """Do what the worker does for the money path, over and over."""
        self.at_work.set()
        while True:
            await self.at_work.wait()
            await jobs.apply_stored_notices(self.world.payments)
            await jobs.look_up_due(self.world.payments)
            await jobs.cancel_overdue(self.world.payments)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def open_stage(db_url: str, keys: Path, folder: Path, **how: Any) -> AsyncGenerator[Stage]:
    """Serve the pages of a new world."""
    port = how.pop("port", 0)
    clock = ShiftedClock()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))
        base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with open_world(db_url, keys, clock=clock, **how) as world:
            vault = Vault.from_file(folder / "secret.key")
            world.payments.pages_url = base_url
            pages = Pages(
                Parts(
                    db=world.db,
                    clock=world.clock,
                    vault=vault,
                    providers=world.payments.providers,
                    payments=world.payments,
                    top_ups=TopUps(world.payments),
                    base_url=base_url,
                    demo_page=lambda: stage.demo,
                    phone_url=f"{world.running.simulators['alipay'].server.url}/phone/",
                    orders_per_minute=10_000,
                    requests_per_minute=100_000,
                )
            )
            stage = Stage(world, vault, base_url, pages, clock)
            async with _served(pages, listening), _working(stage):
                yield stage


@asynccontextmanager
async def _served(pages: Pages, listening: socket.socket) -> AsyncGenerator[None]:
    config = uvicorn.Config(
        pages.application(),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    task = asyncio.create_task(server._serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        await pages.close()
        server.should_exit = True
        await task


@asynccontextmanager
async def _working(stage: Stage) -> AsyncGenerator[None]:
    task = asyncio.create_task(stage.work())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
