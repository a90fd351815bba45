"""Random journeys through real sockets: after each step the books hold, in the end both agree."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.hard_cases.deeds import HASTY, METHODS, behave, simulator, spend, truth
from tests.hard_cases.deeds import rule as misbehave
from tests.worlds import MERCHANT, World, gift, open_world
from tillgate.kernel.errors import Refusal
from tillgate.payments.flows import NO_TRACE

AMOUNTS = st.sampled_from([1, 999, 5_000, 12_345])
STAGES = st.sampled_from(["create", "query", "close", "refund", "notice"])
FAULTS = {
    "create": ("reset_after", "http_500_before", "http_429_after", "refuse"),
    "query": ("http_500_before", "not_paid_yet"),
    "close": ("reset_after", "http_500_before"),
    "refund": ("reset_after", "http_500_before", "refund_fails_later"),
    "notice": ("lost_notice", "duplicate_notice"),
}


class Journeys(RuleBasedStateMachine):
    """Merchants and customers do anything in any order; providers misbehave now and then."""

    world: ClassVar[World]
    runner: ClassVar[asyncio.Runner]
    payments: Bundle[tuple[str, str]] = Bundle("payments")

    @rule(
        target=payments,
        method=st.sampled_from(METHODS),
        amount=AMOUNTS,
        bonus=st.sampled_from([0, 77]),
        manual=st.booleans(),
    )
    def pay(self, method: str, amount: int, bonus: int, *, manual: bool) -> Any:
        more: dict[str, Any] = {}
        if manual and method == "card":
            more["capture_method"] = "manual"
        if bonus and method != "card":
            more["gifts"] = gift(self.world, bonus)
        payment = self._do(self.world.pay(method, amount, **more))
        return multiple() if payment is None else (method, payment.id)

    @rule(chosen=payments, late=st.booleans())
    def phone_pays(self, chosen: tuple[str, str], *, late: bool) -> None:
        method, payment_id = chosen
        attempt = self._do(self.world.payment(payment_id)).latest_attempt
        with suppress(AssertionError):  # it is paid or closed, says the phone
            self._do(self.world.control(method, f"orders/{attempt}/pay", {"late": late}))

    @rule(chosen=payments)
    def cancel(self, chosen: tuple[str, str]) -> None:
        self._do(self.world.payments.cancel(MERCHANT, chosen[1], None, NO_TRACE))

    @rule(chosen=payments, amount=st.none() | AMOUNTS)
    def capture(self, chosen: tuple[str, str], amount: int | None) -> None:
        self._do(self.world.payments.capture(MERCHANT, chosen[1], amount, NO_TRACE))

    @rule(chosen=payments, amount=st.none() | AMOUNTS)
    def refund(self, chosen: tuple[str, str], amount: int | None) -> None:
        payment = self._do(self.world.payment(chosen[1]))
        self._do(self.world.refund(payment, amount))

    @rule(amount=AMOUNTS)
    def spend(self, amount: int) -> None:
        with suppress(AssertionError):  # there is not so much
            self._do(spend(self.world, amount))

    @rule(method=st.sampled_from(METHODS), stage=STAGES, which=st.integers(0, 4))
    def misbehave(self, method: str, stage: str, which: int) -> None:
        kinds = FAULTS[stage]
        # What nobody could learn by asking must not be lost: that a refund failed after all.
        operation = "payment_intent.*" if (method, stage) == ("card", "notice") else stage
        misbehave(self.world, method, operation, kinds[which % len(kinds)], next=1)

    @rule()
    def worker(self) -> None:
        self._do(self.world.sweep())

    @invariant()
    def books_hold(self) -> None:
        self.runner.run(self.world.assert_books_hold())

    def teardown(self) -> None:
        for method in METHODS:
            behave(self.world, method)
        self.runner.run(self._agree())

    def _do(self, work: Awaitable[Any]) -> Any:
        async def done() -> Any:
            with suppress(Refusal):
                return await work
            return None

        return self.runner.run(done())

    async def _agree(self) -> None:
        """The providers hold for us what our books say they do, order by order."""
        for method in METHODS:
            await simulator(self.world, method).sender.settle()
        await self.world.payments.finish()
        for _ in range(2):  # a payment whose notice was lost is found by asking
            await self.world.sweep()
        await self.world.until(self._is_at_rest, sweep=True, seconds=20)
        for method in METHODS:
            for number, told in (await truth(self.world, method)).items():
                async with self.world.db.transaction(readonly=True) as tx:
                    booked = await tx.value(
                        "SELECT amount FROM ledger.lines WHERE cause = $1 AND line = 0",
                        f"payment:{number}",
                    )
                    given = await tx.value(
                        "SELECT coalesce(sum(amount), 0) FROM payments.refunds"
                        " WHERE attempt_id = $1 AND status <> 'failed'",
                        number,
                    )
                assert (booked or 0) == told.paid, number
                assert given == sum(told.refunds), number
        await self.world.assert_books_hold()

    async def _is_at_rest(self) -> bool:
        async with self.world.db.transaction(readonly=True) as tx:
            left = await tx.value(
                "SELECT (SELECT count(*) FROM payments.refunds WHERE look_up_at IS NOT NULL)"
                " + (SELECT count(*) FROM payments.attempts WHERE status IN ('created', 'unknown'))"
            )
        return left == 0


def test_journeys(app_db_url: str, keys_file: Path) -> None:
    with asyncio.Runner() as runner:
        opened = open_world(app_db_url, keys_file)
        Journeys.runner, Journeys.world = runner, runner.run(opened.__aenter__())
        Journeys.world.payments.look_ups = HASTY
        try:
            run_state_machine_as_test(
                Journeys,
                settings=settings(
                    max_examples=12,
                    stateful_step_count=25,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(opened.__aexit__(None, None, None))
