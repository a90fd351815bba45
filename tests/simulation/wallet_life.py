"""What those who spend do in a seed: wallets by the orders that the API's routes send them.

Everybody is impatient, and repeats what got no answer under the same id, at whichever process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.simulation.processes import Died, Town
from tillgate.kernel import ids
from tillgate.kernel.errors import Refusal
from tillgate.kernel.money import CNY, Money
from tillgate.ledger import commands as ledger
from tillgate.ledger.model import Journal, Line
from tillgate.runtime.db import CommitUnknown, DatabaseUnavailable
from tillgate.wallets import commands
from tillgate.wallets.machine import News
from tillgate.wallets.model import (
    AnyOrder,
    CaptureHold,
    Limits,
    MoveWallet,
    OpenWallet,
    PlaceHold,
    RecordMovement,
    RefundSpend,
    ReleaseHold,
    Spend,
    Transfer,
)

MERCHANT = 3
HORIZON = 700.0
#: The ledger accounts that are there before anything else; the purses' are opened by orders.
PROMOTIONS, FIRST_OWED = 1, 2


@dataclass(frozen=True)
class Purse:
    """A wallet, and the ledger accounts that payments into it use."""

    id: str
    principal: int
    bonus: int
    owed: int


async def open_purses(town: Town, rng: random.Random, count: int) -> list[Purse]:
    """Open wallets, each with limits of its own or none, and say where they are in the ledger."""
    found: list[Purse] = []
    for number in range(count):
        order = OpenWallet(
            merchant_id=MERCHANT,
            at=town.clock.now(),
            id=ids.new_id("wal"),
            customer_id=f"cus_{number}",
            currency=CNY,
            limits=Limits(
                rng.choice([None, None, 4_000]),
                rng.choice([None, 3_000, 6_000]),
                rng.choice([None, 15_000]),
            ),
        )
        found.append(Purse(order.id, *await _opened(town, order), FIRST_OWED + number))
        await _fund(town, found[-1])
    return found


async def _opened(town: Town, order: OpenWallet) -> tuple[int, int]:
    """Open a wallet, until it is there; one that is not although we were told so is a bug."""
    while True:
        is_told = await _told(town, order) is not None
        accounts = await _accounts(town, order.id)
        if accounts is not None:
            return accounts
        if is_told:
            town.acknowledged.append(("bug", order.id, "it was opened, and is not there"))


async def _fund(town: Town, purse: Purse) -> None:
    """Something to begin with, or the first minutes would be all refusals."""
    cause = f"funding:{purse.id}"
    lines = (Line(PROMOTIONS, purse.principal, 12_000), Line(PROMOTIONS, purse.bonus, 1_500))

    async def give(process: Any) -> None:
        at = town.clock.now()
        async with process.db.transaction() as tx:
            await ledger.post(tx, [Journal(MERCHANT, cause, lines)], at=at)
        async with process.db.transaction() as tx:
            movement = RecordMovement(merchant_id=MERCHANT, at=at, cause=cause)
            await commands.record_movements(tx, [movement])

    while True:
        try:
            return await town.ask_process(give)
        except (Died, CommitUnknown, DatabaseUnavailable):
            continue


async def _accounts(town: Town, wallet_id: str) -> tuple[int, int] | None:
    async def read(process: Any) -> tuple[int, int] | None:
        async with process.db.transaction(readonly=True) as tx:
            [wallet] = await commands.require_open(tx, [(MERCHANT, wallet_id, Money(1, CNY))])
        if isinstance(wallet, Refusal):
            return None
        return wallet.principal_account, wallet.bonus_account

    while True:
        try:
            return await town.ask_process(read)
        except (Died, DatabaseUnavailable):
            continue


async def _told(town: Town, order: AnyOrder) -> Any:
    """What came of an order; None where nobody knows."""
    try:
        return await town.ask_process(lambda process: process.wallets.submit(order))
    except (Died, CommitUnknown, DatabaseUnavailable):
        return None


class Spenders:
    """The customers of a seed's wallets."""

    def __init__(self, town: Town, rng: random.Random, purses: list[Purse]) -> None:
        self._town = town
        self._rng = rng
        self._purses = purses

    def journeys(self) -> Iterable[Coroutine[Any, Any, None]]:
        """Some of each kind."""
        rng = self._rng
        yield from [self._spend() for _ in range(rng.randint(1, 4))]
        yield from [self._set_aside() for _ in range(rng.randint(1, 4))]
        yield from [self._pass_on() for _ in range(rng.randint(0, 2))]
        yield from [self._freeze() for _ in range(rng.choice([0, 1, 1]))]
        yield from [self._rush() for _ in range(rng.choice([0, 1]))]

    async def _spend(self) -> None:
        rng = self._rng
        for _ in range(rng.randint(1, 3)):
            await self._wait()
            order = Spend(
                **self._head(), id=ids.new_id("wtx"), wallet_id=self._purse(), amount=self._amount()
            )
            moved = await self._order("spend", order.id, order)
            if moved is not None and rng.random() < 0.4:
                await self._give_back(order.id, order.amount.minor)

    async def _rush(self) -> None:
        """Many at once, so that batches are larger, and one is decided while another is written."""
        await self._wait()
        orders = [
            Spend(
                **self._head(),
                id=ids.new_id("wtx"),
                wallet_id=self._purse(),
                amount=Money(self._rng.randint(1, 300), CNY),
            )
            for _ in range(self._rng.randint(6, 12))
        ]
        await self._at_once(self._order("spend", order.id, order) for order in orders)

    async def _give_back(self, spent: str, amount: int) -> None:
        parts = [None, amount, amount // 2 + 1, amount // 3 + 1]
        orders = [
            RefundSpend(
                **self._head(),
                id=ids.new_id("wtx"),
                transaction_id=spent,
                amount=None if part is None else Money(part, CNY),
            )
            for part in self._rng.choices(parts, k=self._rng.choice([1, 2, 3]))
        ]
        await self._at_once(self._order("spend_refund", order.id, order) for order in orders)

    async def _set_aside(self) -> None:
        rng = self._rng
        for _ in range(rng.randint(1, 2)):
            await self._wait()
            life = rng.choice([None, rng.uniform(2, 60), rng.uniform(60, 400)])
            expires = None if life is None else self._town.clock.now() + timedelta(seconds=life)
            order = PlaceHold(
                **self._head(),
                id=ids.new_id("hold"),
                wallet_id=self._purse(),
                amount=self._amount(),
                expires_at=expires,
            )
            if await self._order("hold", order.id, order) is not None:
                await self._end_hold(order.id, order.amount.minor, life or 200.0)

    async def _end_hold(self, hold_id: str, amount: int, life: float) -> None:
        """Capture it, release it, both at once, about when it expires, or forget it."""
        rng = self._rng
        wait = rng.choice([rng.uniform(0, life), life])
        await asyncio.sleep(min(wait, max(HORIZON - self._town.clock.elapsed, 0.0)))
        deeds: list[Awaitable[Any]] = []
        for _ in range(rng.choice([0, 1, 1, 2])):
            part = rng.choice([None, amount, amount // 2 + 1, amount + 1])
            capture = CaptureHold(
                **self._head(),
                id=ids.new_id("wtx"),
                hold_id=hold_id,
                amount=None if part is None else Money(part, CNY),
            )
            deeds.append(self._order("capture", capture.id, capture))
        for _ in range(rng.choice([0, 0, 1, 2])):
            release = ReleaseHold(**self._head(), hold_id=hold_id)
            deeds.append(self._order("release", hold_id, release))
        await self._at_once(deeds)

    async def _pass_on(self) -> None:
        for _ in range(self._rng.randint(1, 3)):
            await self._wait()
            order = Transfer(
                **self._head(),
                id=ids.new_id("wtx"),
                wallet_id=self._purse(),
                to_wallet_id=self._purse(),
                amount=self._amount(),
            )
            await self._order("transfer", order.id, order)

    async def _freeze(self) -> None:
        wallet = self._purse()
        for news in (News.FROZEN, News.UNFROZEN):
            await self._wait()
            order = MoveWallet(**self._head(), wallet_id=wallet, news=news)
            await self._order(news.value, wallet, order)

    # Pieces ------------------------------------------------------------------------------------

    async def _order(self, deed: str, thing: str, order: AnyOrder) -> Any:
        """Order until there is an answer; some press twice although there was one."""
        say = self._town.say
        while True:
            try:
                result = await _told(self._town, order)
            except Refusal as refusal:
                say(f"{deed} {thing}: {type(refusal).__name__}")
                return None
            except Exception as trouble:  # noqa: BLE001  a bug would be answered with 500
                say(f"{deed} {thing}: {type(trouble).__name__}: {trouble}")
                self._town.acknowledged.append(
                    ("bug", thing, f"{type(trouble).__name__} {trouble}")
                )
                return None
            if result is not None:
                break
            say(f"{deed} {thing}: no answer")
            await asyncio.sleep(self._rng.uniform(0, 3))
        amount = getattr(getattr(order, "amount", None), "minor", "all")
        say(f"{deed} {thing}: {amount}")
        self._town.acknowledged.append((deed, thing, str(amount)))
        if self._rng.random() < 0.15:
            await self._order(deed, thing, order)
        return result

    async def _at_once(self, deeds: Iterable[Awaitable[Any]]) -> None:
        await asyncio.gather(*deeds)

    def _head(self) -> dict[str, Any]:
        return {"merchant_id": MERCHANT, "at": self._town.clock.now()}

    def _purse(self) -> str:
        return self._rng.choice(self._purses).id

    def _amount(self) -> Money:
        return Money(
            self._rng.choice([40, 900, self._rng.randint(1, 3_000), self._rng.randint(1, 6_000)]),
            CNY,
        )

    async def _wait(self) -> None:
        await asyncio.sleep(self._rng.choice([0.0, self._rng.uniform(1, 200)]))
