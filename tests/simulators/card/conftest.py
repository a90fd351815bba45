"""A running card simulator on a real port, the official SDK pointed at it, and a merchant's ear."""

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe

from simulators.card.simulator import CardSimulator
from simulators.common import control
from simulators.common.http import Request, Response, Server
from simulators.common.simulator import Setup
from simulators.keys import CardAccount

ACCOUNT = CardAccount("acct_demo", "sk_test_demo", "pk_test_demo", "whsec_demo")
OTHER = CardAccount("acct_other", "sk_test_other", "pk_test_other", "whsec_other")


class Loop:
    """An event loop in a thread of its own: the SDK blocks, the simulator must not."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Ear:
    """A merchant's webhook address: keeps what came, answers what it is told to answer."""

    url: str = ""
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def listen(self, request: Request) -> Response:
        self.heard.append((request.headers["stripe-signature"], request.body))
        return Response(self.statuses.pop(0) if self.statuses else 200)

    @property
    def kinds(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.heard]


class World:
    """The simulator and the ways to reach it."""

    def __init__(self, loop: Loop, simulator: CardSimulator, ear: Ear) -> None:
        self.loop = loop
        self.simulator = simulator
        self.ear = ear
        self.url = simulator.server.url
        self.stripe = self.client(ACCOUNT.secret_key)

    def client(self, key: str, **options: Any) -> stripe.StripeClient:
        options.setdefault("max_network_retries", 0)
        return stripe.StripeClient(
            key,
            base_addresses={"api": self.url},
            http_client=stripe.RequestsClient(timeout=options.pop("timeout", 10)),
            **options,
        )

    def hear(self, *kinds: str) -> stripe.WebhookEndpoint:
        """Let the merchant listen to these kinds of event, or to all."""
        events: Any = list(kinds) or ["*"]
        return self.stripe.v1.webhook_endpoints.create(
            {"url": self.ear.url, "enabled_events": events}
        )

    def control(self, path: str, body: object = None, method: str = "POST") -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self.url}/_control/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def poll(self, holds: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until it holds, or fail."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.005)

    def rule(self, operation: str, kind: str, **more: Any) -> None:
        """Put one fault in force for the next call."""
        seconds = more.pop("seconds", 0)
        fault = {"kind": kind, "seconds": seconds}
        self.control("rules", {"operation": operation, "fault": fault, "next": 1} | more)

    def pay(self, amount: int = 10_000, card: str = "pm_card_visa", **more: Any) -> Any:
        """Create and confirm in one call."""
        params: Any = {
            "amount": amount,
            "currency": "usd",
            "payment_method": card,
            "payment_method_types": ["card"],
            "confirm": True,
        }
        return self.stripe.v1.payment_intents.create(params | more)


@pytest.fixture
def world() -> Iterator[World]:
    loop = Loop()
    simulator = CardSimulator(Setup(speed=100.0), [ACCOUNT, OTHER])
    simulator.mounts.append((control.PREFIX, control.mount))
    ear = Ear()
    server = Server(ear.listen)
    loop.run(server.start())
    ear.url = f"{server.url}/hooks"
    loop.run(simulator.start())
    yield World(loop, simulator, ear)
    loop.run(simulator.stop())
    loop.run(server.stop())
    loop.close()
