"""A provider's world: its simulator on a real port, our connector, and an ear for its notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from aiohttp import web

from simulators.common.faults import Fault, FaultKind, Rule
from simulators.common.simulator import Simulator
from tillgate.connectors.client import HttpSettings
from tillgate.connectors.port import (
    Charge,
    Closed,
    Closing,
    Connector,
    NotFound,
    Notice,
    Notifying,
    Outcome,
    Paid,
    Presentation,
    Refunding,
    RefundOrder,
    RefundOutcome,
)
from tillgate.connectors.registry import build
from tillgate.connectors.transport import HttpTransport
from tillgate.kernel.clock import SystemClock
from tillgate.kernel.ids import new_id
from tillgate.kernel.money import CNY, USD, Currency, Money

CLOCK = SystemClock()
#: Short, so that a lost answer is known to be lost within a test.
SETTINGS = HttpSettings(connect_seconds=1.0, read_seconds=0.4, total_seconds=2.0)


@dataclass
class Ear:
    """Listens for notices on a real port, keeps them raw, and answers with the connector's ack."""

    url: str = ""
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    ack: Callable[[], tuple[int, bytes]] = lambda: (200, b"success")
    _runner: web.AppRunner | None = None
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/notice", self._hear)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        server = cast(Any, site)._server
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/notice"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def heard_at_least(self, count: int) -> None:
        """Wait until so many notices came."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.heard) >= count)

    async def _hear(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        async with self._news:
            self.heard.append((headers, body))
            self._news.notify_all()
        status, body = self.ack()
        return web.Response(status=status, body=body)


@dataclass
class World:
    """One provider as a test sees it."""

    name: str
    connector: Connector
    simulator: Simulator
    transport: HttpTransport
    ear: Ear
    account: dict[str, Any]
    presentation: Presentation
    currency: Currency
    opened: dict[str, datetime] = field(default_factory=dict)

    def charge_of(self, minor: int = 1230, **fields: Any) -> Charge:
        """A charge of this much, in this provider's usual way."""
        wanted: dict[str, Any] = {
            "attempt_id": new_id("att"),
            "amount": Money(minor, self.currency),
            "description": "a pot of tea",
            "presentation": self.presentation,
            "notify_url": self.ear.url,
            "return_url": "https://teahouse.test/back",
            "expires_at": CLOCK.now() + timedelta(minutes=30),
            "payment_method": "pm_card_authenticationRequired" if self.name == "stripe" else None,
        }
        return Charge(**{**wanted, **fields})

    async def charge(self, charge: Charge) -> Outcome:
        self.opened[charge.attempt_id] = CLOCK.now()
        return await self.connector.charge(charge, now=CLOCK.now())

    async def look_up(
        self, charge: Charge, reference: str | None = None
    ) -> Outcome | Closed | NotFound:
        since = self.opened[charge.attempt_id]
        return await self.connector.look_up(
            charge.attempt_id, reference, charge.amount, since=since, now=CLOCK.now()
        )

    async def close(self, charge: Charge) -> Outcome | Closed | NotFound:
        assert isinstance(self.connector, Closing)
        since = self.opened[charge.attempt_id]
        return await self.connector.close(
            charge.attempt_id, None, charge.amount, since=since, now=CLOCK.now()
        )

    def open_on_phone(self, charge: Charge) -> None:
        """The customer scans or opens the order without paying yet."""
        opener = getattr(self.simulator, "open_order", None)
        if opener is not None:
            opener(charge.attempt_id)

    def pay(self, charge: Charge) -> None:
        """The customer pays on the phone."""
        self.open_on_phone(charge)
        self.simulator.pay(charge.attempt_id)

    async def paid(self, minor: int = 1230) -> tuple[Charge, Paid]:
        """A charge that has been paid, and what the provider says of it."""
        charge = self.charge_of(minor)
        await self.charge(charge)
        self.pay(charge)
        outcome = await self.look_up(charge)
        assert isinstance(outcome, Paid)
        return charge, outcome

    def strike(self, kind: FaultKind, stage: str, times: int = 1) -> None:
        """Let the next calls of a stage suffer a fault."""
        self.simulator.plan.add(Rule(operation=stage, fault=Fault(kind), next=times))

    async def notices(self, count: int) -> list[Notice]:
        """Wait until this many notices were heard and read them all."""
        assert isinstance(self.connector, Notifying)
        connector = self.connector
        async with asyncio.timeout(5):
            await self.ear.heard_at_least(count)
        return [
            connector.read_notice(headers, body, now=CLOCK.now())
            for headers, body in self.ear.heard
        ]

    def refund_of(self, charge: Charge, paid: Paid, minor: int) -> RefundOrder:
        return RefundOrder(
            refund_id=new_id("re"),
            attempt_id=charge.attempt_id,
            reference=paid.reference,
            amount=Money(minor, self.currency),
            total=charge.amount,
            reason="cold tea",
            notify_url=self.ear.url,
        )

    async def refund(self, order: RefundOrder) -> RefundOutcome:
        assert isinstance(self.connector, Refunding)
        return await self.connector.refund(order, now=CLOCK.now())

    async def look_up_refund(
        self, order: RefundOrder, reference: str | None = None
    ) -> RefundOutcome | NotFound:
        assert isinstance(self.connector, Refunding)
        return await self.connector.look_up_refund(order, reference, now=CLOCK.now())


def config_of(provider: str, merchant: dict[str, Any]) -> dict[str, Any]:
    """The account's JSON, from the file that the simulators write for a merchant."""
    section = {"alipay": "alipay", "wechat_pay": "wechat", "stripe": "card"}[provider]
    return {**merchant[section], "livemode": False}


def make_world(provider: str, simulator: Simulator, merchant: dict[str, Any], ear: Ear) -> World:
    """The world of one provider, whose simulator listens already."""
    account = config_of(provider, merchant)
    transport = HttpTransport(SETTINGS)
    connector = build(provider, account, transport)
    assert isinstance(connector, Notifying)
    notifying = connector

    def ack() -> tuple[int, bytes]:
        said = notifying.ack(accepted=True)
        return said.status, said.body

    ear.ack = ack
    presentation: Presentation = "card" if provider == "stripe" else "qr"
    currency = USD if provider == "stripe" else CNY
    return World(provider, connector, simulator, transport, ear, account, presentation, currency)
