"""Orders decided ahead: what others do to the same wallets in between is never overlooked."""

import asyncio
import contextlib
import random
from typing import Any

import pytest

from tests.wallets.builders import NOON, TEAHOUSE, cny, look, open_wallet, pay_in, spend_order
from tillgate.kernel.errors import Refusal
from tillgate.kernel.ids import new_id
from tillgate.ledger import flows as ledger
from tillgate.runtime.db import Database
from tillgate.runtime.lane import Lane
from tillgate.wallets import commands, queries
from tillgate.wallets.errors import BalanceInsufficient, WalletFrozen
from tillgate.wallets.flows import open_lane
from tillgate.wallets.machine import News
from tillgate.wallets.model import (
    AnyOrder,
    CaptureHold,
    Held,
    Moved,
    MoveWallet,
    PlaceHold,
    RefundSpend,
    ReleaseHold,
    Told,
    Transfer,
)

Orders = Lane[AnyOrder, Told | Moved | Held]


def move(wallet_id: str, news: News) -> MoveWallet:
    return MoveWallet(merchant_id=TEAHOUSE, at=NOON, wallet_id=wallet_id, news=news)


async def test_what_another_process_freezes_is_frozen(db: Database) -> None:
    wallet = await open_wallet(db, principal=1_000)
    here, there = open_lane(db), open_lane(db)
    await here.submit(spend_order(wallet.id, 1))

    await there.submit(move(wallet.id, News.FROZEN))
    with pytest.raises(WalletFrozen):
        await here.submit(spend_order(wallet.id, 1))
    await there.submit(move(wallet.id, News.UNFROZEN))

    await here.submit(spend_order(wallet.id, 1))
    assert (await look(db, wallet.id)).balance == 998


async def test_what_another_process_pays_in_can_be_spent(db: Database) -> None:
    wallet = await open_wallet(db, principal=10)
    lane = open_lane(db)
    await lane.submit(spend_order(wallet.id, 10))
    with pytest.raises(BalanceInsufficient):
        await lane.submit(spend_order(wallet.id, 1))

    await pay_in(db, wallet.id, 5)
    await lane.submit(spend_order(wallet.id, 5))

    with pytest.raises(BalanceInsufficient):
        await lane.submit(spend_order(wallet.id, 1))


async def test_an_order_that_comes_again_has_one_effect(db: Database) -> None:
    wallet = await open_wallet(db, principal=100)
    order = spend_order(wallet.id, 60)
    lane = open_lane(db, max_items=3)

    results = await asyncio.gather(*(lane.submit(order) for _ in range(20)))

    assert sum(not result.repeated for result in results) == 1
    assert (await look(db, wallet.id)).balance == 40


class Customers:
    """What several customers may ask of the same few wallets, drawn by chance."""

    def __init__(self, wallets: list[str], seed: int) -> None:
        self.dice = random.Random(seed)
        self._wallets = wallets
        self._spent: list[str] = []
        self._held: list[str] = []

    def draw(self) -> AnyOrder:
        kind = self.dice.choices(["spend", "transfer", "hold", "end", "refund"], [10, 3, 3, 2, 2])[
            0
        ]
        wallet, other = self.dice.sample(self._wallets, 2)
        amount, words = cny(self.dice.randint(1, 30)), {"merchant_id": TEAHOUSE, "at": NOON}
        if kind == "transfer":
            return Transfer(
                **words, id=new_id("wtx"), wallet_id=wallet, to_wallet_id=other, amount=amount
            )
        if kind == "hold":
            placed = PlaceHold(**words, id=new_id("hold"), wallet_id=wallet, amount=amount)
            self._held.append(placed.id)
            return placed
        if kind == "end" and self._held:
            return self._end(words)
        if kind == "refund" and self._spent:
            spent = self.dice.choice(self._spent)
            return RefundSpend(**words, id=new_id("wtx"), transaction_id=spent, amount=cny(1))
        order = spend_order(wallet, amount.minor)
        self._spent.append(order.id)
        return order

    def _end(self, words: dict[str, Any]) -> AnyOrder:
        hold_id = self.dice.choice(self._held)
        if self.dice.random() < 0.5:
            return ReleaseHold(**words, hold_id=hold_id)
        return CaptureHold(**words, id=new_id("wtx"), hold_id=hold_id, amount=None)


async def test_lanes_of_several_processes_agree(db: Database) -> None:
    """Two lanes that decide ahead, one that does not, and payments: never a cent too much."""
    wallets = [
        (await open_wallet(db, customer=f"cus_{name}", principal=300)).id
        for name in ("li", "wang", "zhao")
    ]
    customers = Customers(wallets, 7)
    lanes: list[Orders] = [open_lane(db), open_lane(db), Lane(db, commands.carry_out, max_items=8)]

    async def customer() -> int:
        done = 0
        for _ in range(25):
            with contextlib.suppress(Refusal):
                await customers.dice.choice(lanes).submit(customers.draw())
                done += 1
        return done

    async def payer() -> int:
        for _ in range(30):
            await pay_in(db, customers.dice.choice(wallets), customers.dice.randint(1, 20))
            await asyncio.sleep(0.01)
        return 30

    done = await asyncio.gather(payer(), *(customer() for _ in range(20)))

    assert sum(done) > 100
    assert (await ledger.verify(db)).differences == ()
    for wallet in wallets:
        after = await look(db, wallet)
        assert after.available >= 0
        async with db.transaction(readonly=True) as tx:
            statement = await queries.statement(
                tx, TEAHOUSE, wallet, after=None, before=None, limit=1
            )
        assert statement[0].balance_after == after.balance


async def test_a_refusal_rests_on_what_is_true_now(db: Database) -> None:
    """A remembered wallet that another process has since let go again refuses nobody."""
    wallet = await open_wallet(db, principal=1_000)
    here, there = open_lane(db), open_lane(db)
    await here.submit(spend_order(wallet.id, 1))
    await here.submit(move(wallet.id, News.FROZEN))
    with pytest.raises(WalletFrozen):
        await here.submit(spend_order(wallet.id, 1))

    await there.submit(move(wallet.id, News.UNFROZEN))
    await here.submit(spend_order(wallet.id, 1))

    assert (await look(db, wallet.id)).balance == 998
