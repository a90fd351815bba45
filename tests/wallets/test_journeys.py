"""Random journeys of wallets, compared with a model that knows nothing of ledgers."""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.wallets.builders import NOON, TEAHOUSE, cny, look, open_wallet, pay_in, spend_order
from tillgate.kernel.errors import Refusal
from tillgate.kernel.ids import new_id
from tillgate.ledger import flows as ledger_flows
from tillgate.runtime.db import Database
from tillgate.wallets import flows, queries
from tillgate.wallets.machine import News
from tillgate.wallets.model import (
    AnyOrder,
    CaptureHold,
    MoveWallet,
    PlaceHold,
    RefundSpend,
    ReleaseHold,
    Transfer,
)

AMOUNT = st.integers(1, 60)
WHICH = st.integers(0, 1)


@dataclass
class Purse:
    """What a wallet should be."""

    id: str
    principal: int = 0
    bonus: int = 0
    frozen: bool = False
    held: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    spent: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def take(self, amount: int) -> list[int] | None:
        """Split an amount, principal first, or None."""
        free_principal = self.principal - sum(parts[0] for parts in self.held.values())
        free_bonus = self.bonus - sum(parts[1] for parts in self.held.values())
        principal = min(amount, free_principal)
        return None if amount - principal > free_bonus else [principal, amount - principal]


class Journeys(RuleBasedStateMachine):
    """Each run opens two new wallets; `loop` and `db` are the test's."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    db: ClassVar[Database]

    def __init__(self) -> None:
        super().__init__()
        self.purses = [
            Purse(self.run(open_wallet(self.db, customer=new_id("cus"))).id) for _ in "ab"
        ]

    def run(self, journey):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(journey, self.loop).result(30)

    def order(self, order: AnyOrder, *, allowed: bool) -> None:
        try:
            self.run(flows.order(self.db, order))
        except Refusal:
            assert not allowed
        else:
            assert allowed

    @rule(which=WHICH, amount=AMOUNT, part=st.sampled_from(["principal", "bonus"]))
    def pay_in(self, which: int, amount: int, part: str) -> None:
        purse = self.purses[which]
        self.run(pay_in(self.db, purse.id, amount, part=part))
        setattr(purse, part, getattr(purse, part) + amount)

    @rule(which=WHICH, amount=AMOUNT)
    def spend(self, which: int, amount: int) -> None:
        purse = self.purses[which]
        parts = None if purse.frozen else purse.take(amount)
        order = spend_order(purse.id, amount)
        self.order(order, allowed=parts is not None)
        if parts:
            purse.principal -= parts[0]
            purse.bonus -= parts[1]
            purse.spent[order.id] = parts

    @rule(which=WHICH, amount=AMOUNT, pick=st.integers(0, 9))
    def refund(self, which: int, amount: int, pick: int) -> None:
        purse = self.purses[which]
        if not purse.spent:
            return
        spent_id = list(purse.spent)[pick % len(purse.spent)]
        parts = purse.spent[spent_id]
        allowed = amount <= sum(parts)
        self.order(
            RefundSpend(
                merchant_id=TEAHOUSE,
                at=NOON,
                id=new_id("wtx"),
                transaction_id=spent_id,
                amount=cny(amount),
            ),
            allowed=allowed,
        )
        if allowed:
            bonus = min(amount, parts[1])
            purse.spent[spent_id] = [parts[0] - amount + bonus, parts[1] - bonus]
            purse.principal += amount - bonus
            purse.bonus += bonus

    @rule(which=WHICH, amount=AMOUNT)
    def hold(self, which: int, amount: int) -> None:
        purse = self.purses[which]
        parts = None if purse.frozen else purse.take(amount)
        order = PlaceHold(
            merchant_id=TEAHOUSE,
            at=NOON,
            id=new_id("hold"),
            wallet_id=purse.id,
            amount=cny(amount),
        )
        self.order(order, allowed=parts is not None)
        if parts:
            purse.held[order.id] = parts

    @rule(which=WHICH, amount=AMOUNT, pick=st.integers(0, 9))
    def capture(self, which: int, amount: int, pick: int) -> None:
        purse = self.purses[which]
        if not purse.held:
            return
        hold_id = list(purse.held)[pick % len(purse.held)]
        parts = purse.held[hold_id]
        allowed = amount <= sum(parts)
        order = CaptureHold(
            merchant_id=TEAHOUSE, at=NOON, id=new_id("wtx"), hold_id=hold_id, amount=cny(amount)
        )
        self.order(order, allowed=allowed)
        if allowed:
            principal = min(amount, parts[0])
            purse.principal -= principal
            purse.bonus -= amount - principal
            purse.spent[order.id] = [principal, amount - principal]
            del purse.held[hold_id]

    @rule(which=WHICH, pick=st.integers(0, 9))
    def release(self, which: int, pick: int) -> None:
        purse = self.purses[which]
        if purse.held:
            hold_id = list(purse.held)[pick % len(purse.held)]
            self.order(ReleaseHold(merchant_id=TEAHOUSE, at=NOON, hold_id=hold_id), allowed=True)
            del purse.held[hold_id]

    @rule(which=WHICH, amount=AMOUNT)
    def transfer(self, which: int, amount: int) -> None:
        sender, receiver = self.purses[which], self.purses[1 - which]
        parts = sender.take(amount)
        allowed = not sender.frozen and parts is not None and parts[1] == 0
        self.order(
            Transfer(
                merchant_id=TEAHOUSE,
                at=NOON,
                id=new_id("wtx"),
                wallet_id=sender.id,
                to_wallet_id=receiver.id,
                amount=cny(amount),
            ),
            allowed=allowed,
        )
        if allowed:
            sender.principal -= amount
            receiver.principal += amount

    @rule(which=WHICH, frozen=st.booleans())
    def freeze(self, which: int, frozen: bool) -> None:  # noqa: FBT001  drawn by hypothesis
        purse = self.purses[which]
        news = News.FROZEN if frozen else News.UNFROZEN
        self.order(
            MoveWallet(merchant_id=TEAHOUSE, at=NOON, wallet_id=purse.id, news=news),
            allowed=True,
        )
        purse.frozen = frozen

    @invariant()
    def wallets_are_as_the_model_says(self) -> None:
        for purse in self.purses:
            view = self.run(look(self.db, purse.id))
            held = sum(sum(parts) for parts in purse.held.values())
            assert (view.principal, view.bonus, view.held) == (
                purse.principal,
                purse.bonus,
                held,
            )

    def teardown(self) -> None:
        for purse in self.purses:
            found = self.run(statement(self.db, purse.id))
            assert sum(found) == purse.principal + purse.bonus


async def statement(db: Database, wallet_id: str) -> list[int]:
    async with db.transaction() as tx:
        found = await queries.statement(tx, TEAHOUSE, wallet_id, limit=500)
    for newer, older in pairwise(found):
        assert newer.balance_after - newer.amount == older.balance_after
    return [transaction.amount for transaction in found]


async def test_random_journeys(db: Database) -> None:
    shared = {"loop": asyncio.get_running_loop(), "db": db}
    machine = type("JourneysHere", (Journeys,), shared)
    chosen = settings(
        max_examples=12,
        stateful_step_count=25,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )

    await asyncio.to_thread(run_state_machine_as_test, machine, settings=chosen)

    assert (await ledger_flows.verify(db)).differences == ()
