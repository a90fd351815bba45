"""Customers and merchants of a crash run: what they ask for, and what they were told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from bench.installation import Installation
from tests.crash.comparison import Promised
from tests.crash.walk import Plan

_METHODS = {
    "alipay": ("cny", "payment_method=alipay&payment_method_options[alipay][presentation]=qr"),
    "wechat_pay": ("cny", "payment_method=wechat_pay"),
    "card": ("usd", "payment_method=pm_card_visa"),
}
#: Up to the amounts that mean a fault to the simulators.
_AMOUNTS = (100, 4000)
#: What the card's simulator captures at least.
_LEAST_CAPTURE = 50
#: A request that is answered with 5xx, or not at all, is repeated so often.
_TRIES = 60


class Clients:
    """Ask, and ask again under the same key, until there is an answer."""

    def __init__(self, installation: Installation, plan: Plan) -> None:
        self._installation = installation
        self._seed = plan.seed
        self.done: Counter[str] = Counter()
        self.promised = Promised()
        self._paid: list[str] = []
        #: What was answered with 5xx, or not at all, by key: path and body.
        self.failed: dict[str, tuple[str, str]] = {}

    async def run(self, count: int, is_over: Callable[[], bool]) -> None:
        """Do one thing after another, so many at a time."""
        async with _session() as session:
            await asyncio.gather(*(self._client(session, is_over, n) for n in range(count)))

    async def listen(self, url: str) -> None:
        """Have all events delivered there."""
        async with _session() as session:
            body = f"url={url}&enabled_events[]=*"
            assert await self._post(session, "/v1/webhook_endpoints", body, "listen") is not None

    async def ask_again(self) -> tuple[dict[str, str | None], int]:
        """Repeat all that failed; return what each key was told, and how many were told nothing."""
        gate = asyncio.Semaphore(16)
        told: dict[str, str | None] = {}

        async def ask(key: str, path: str, body: str) -> None:
            async with gate:
                got = await self._post(session, path, body, key)
                told[key] = None if got is None else got["id"]

        before = self.done["given up"]
        async with _session() as session:
            await asyncio.gather(*(ask(key, *asked) for key, asked in self.failed.items()))
        return told, self.done["given up"] - before

    async def _client(
        self, session: aiohttp.ClientSession, is_over: Callable[[], bool], number: int
    ) -> None:
        chance = random.Random(f"{self._seed}:{number}")
        count = 0
        while not is_over():
            count += 1
            key = f"client-{self._seed}-{number}-{count}"
            draw = chance.random()
            if draw < 0.15 and self._paid:
                await self._refund(session, key, chance)
            elif draw < 0.4:
                await self._spend(session, key, chance)
            elif draw < 0.5:
                await self._pay(session, key, chance)
            elif draw < 0.6:
                await self._reserve(session, key, chance)
            else:
                await self._top_up(session, key, chance)

    async def _top_up(
        self, session: aiohttp.ClientSession, key: str, chance: random.Random
    ) -> None:
        """Top up; now and then think better of it, perhaps too late."""
        currency, method = _METHODS[chance.choice(list(_METHODS))]
        wallet = chance.choice(self._installation.wallets[currency])
        body = f"wallet={wallet}&amount={chance.randint(*_AMOUNTS)}&currency={currency}&{method}"
        got = await self._post(session, "/v1/top_ups", f"{body}&metadata[key]={key}", key)
        if got is not None and "id" in got:
            self.promised.top_ups[got["id"]] = got["status"]
            self.done["top-ups"] += 1
            payment = got["payment_intent"]
            if got["status"] == "succeeded" or chance.random() < 0.7:
                self._paid.append(payment)
            else:
                await self._cancel(session, payment, f"{key}-cancel")

    async def _pay(self, session: aiohttp.ClientSession, key: str, chance: random.Random) -> None:
        """Open a payment and confirm it, which claims its key before anything is decided."""
        got = await self._confirmed(session, key, chance, "")
        if got is not None:
            self.done["payments"] += 1
            self._paid.append(got["id"])

    async def _reserve(
        self, session: aiohttp.ClientSession, key: str, chance: random.Random
    ) -> None:
        """Reserve money on a card; then capture some or all of it, or let it go."""
        got = await self._confirmed(session, key, chance, "&capture_method=manual")
        if got is None:
            return
        if chance.random() < 0.3:
            await self._cancel(session, got["id"], f"{key}-cancel")
            return
        amount = chance.randint(_LEAST_CAPTURE, got["amount"])
        path = f"/v1/payment_intents/{got['id']}/capture"
        got = await self._post(session, path, f"amount_to_capture={amount}", f"{key}-capture")
        if got is not None and got["status"] == "succeeded":
            self.promised.captures[got["id"]] = amount
            self.done["captures"] += 1
            self._paid.append(got["id"])

    async def _confirmed(
        self, session: aiohttp.ClientSession, key: str, chance: random.Random, more: str
    ) -> dict[str, Any] | None:
        confirm = f"{key}-confirm"
        body = f"amount={chance.randint(*_AMOUNTS)}&currency=usd&metadata[key]={key}"
        body += f"&metadata[confirmed_by]={confirm}{more}"
        got = await self._post(session, "/v1/payment_intents", body, key)
        if got is None:
            return None
        path = f"/v1/payment_intents/{got['id']}/confirm"
        return await self._post(session, path, "payment_method=pm_card_visa", confirm)

    async def _cancel(self, session: aiohttp.ClientSession, payment: str, key: str) -> None:
        got = await self._post(session, f"/v1/payment_intents/{payment}/cancel", "", key)
        if got is not None and got["status"] == "canceled":
            self.promised.canceled.add(payment)
            self.done["cancelations"] += 1

    async def _refund(
        self, session: aiohttp.ClientSession, key: str, chance: random.Random
    ) -> None:
        payment = chance.choice(self._paid)
        amount = f"&amount={chance.randint(1, 2000)}" if chance.random() < 0.8 else ""
        body = f"payment_intent={payment}{amount}&metadata[key]={key}"
        got = await self._post(session, "/v1/refunds", body, key)
        if got is not None and "id" in got:
            self.promised.refunds[got["id"]] = got["status"]
            self.done["refunds"] += 1

    async def _spend(self, session: aiohttp.ClientSession, key: str, chance: random.Random) -> None:
        wallet = chance.choice(self._installation.wallets["cny"])
        amount = chance.randint(1, 900)
        body = f"amount={amount}&currency=cny&metadata[key]={key}"
        got = await self._post(session, f"/v1/wallets/{wallet}/spend", body, key)
        if got is not None and "id" in got:
            self.promised.spends[got["id"]] = amount
            self.done["spends"] += 1

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: str, key: str
    ) -> dict[str, Any] | None:
        """Ask until there is an answer that says something about the request itself."""
        headers = {
            "Authorization": f"Bearer {self._installation.key}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Idempotency-Key": key,
        }
        url = self._installation.url + path
        for _ in range(_TRIES):
            try:
                async with session.post(url, data=body, headers=headers) as answer:
                    if answer.status >= 500:
                        self.failed[key] = (path, body)
                        self.done[f"failed {answer.status}"] += 1
                    if answer.status == 200:
                        return msgspec.json.decode(await answer.read())
                    if answer.status < 500 and answer.status not in (409, 429):
                        self.done[f"refused {answer.status}"] += 1
                        return None
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(0.3)
        self.done["given up"] += 1
        self.failed[key] = (path, body)
        return None


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8))
