"""Bugs planted on purpose, each of which the checker must find. Nothing of this is in the product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.simulation.processes import Town
from tillgate.connectors import port
from tillgate.kernel import ids
from tillgate.kernel.money import CNY, Money
from tillgate.payments import booking, outcomes, refunds
from tillgate.payments.flows import Payments
from tillgate.payments.model import Heard
from tillgate.payments.orders import charge_of
from tillgate.payments.outcomes import record_outcomes


@dataclass(frozen=True)
class Mutant:
    """A bug: a patch for the length of a seed, and what the database's owner does around it."""

    patch: Callable[[Town], AbstractContextManager[None]]
    prepare: str = ""
    undo: str = ""


@contextmanager
def _swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def new_provider_key_per_try(_town: Town) -> Iterator[None]:
    """An answer is lost, so the charge is sent again under a fresh order number."""

    async def stubborn(self: Payments, charge_: Any, trace: Any) -> Any:
        attempt = charge_.attempt
        connector = await self.providers.connector(attempt.merchant_id, attempt.provider_account_id)
        order = charge_of(attempt, self._notify_url(attempt))
        outcome = await connector.charge(order, now=self.clock.now())
        for _ in range(2):
            if not isinstance(outcome, port.Unknown):
                break
            fields = {name: getattr(order, name) for name in order.__slots__}
            again = port.Charge(**{**fields, "attempt_id": ids.new_id("att")})
            outcome = await connector.charge(again, now=self.clock.now())
        return (await self._hear(attempt, outcome, trace)).payment

    with _swapped(Payments, "charge", stubborn):
        yield


@contextmanager
def new_provider_key_per_refund(_town: Town) -> Iterator[None]:
    """Each sending of a refund has a number of its own."""
    order_of = Payments._refund_order

    async def fresh(self: Payments, refund: Any) -> Any:
        connector, order = await order_of(self, refund)
        fields = {name: getattr(order, name) for name in order.__slots__}
        return connector, port.RefundOrder(**{**fields, "refund_id": ids.new_id("re")})

    with _swapped(Payments, "_refund_order", fresh):
        yield


@contextmanager
def missing_row_lock(town: Town) -> Iterator[None]:
    """Payments are read without FOR UPDATE."""
    with _swapped(
        town.shelf,
        "rewrite",
        lambda sql: sql.replace("x.id = w.id FOR UPDATE) p", "x.id = w.id) p"),
    ):
        yield


@contextmanager
def credit_before_the_answer(_town: Town) -> Iterator[None]:
    """The money is booked when the provider is called, not when it has said yes."""
    charge = Payments.charge

    async def hasty(self: Payments, charge_: Any, trace: Any) -> Any:
        attempt = charge_.attempt
        if attempt.capture:
            paid = port.Paid(f"hasty-{attempt.id}", Money(attempt.amount, CNY))
            await self._hear(attempt, paid, trace)
        return await charge(self, charge_, trace)

    with _swapped(Payments, "charge", hasty):
        yield


@contextmanager
def refund_cap_only_at_the_api(_town: Town) -> Iterator[None]:
    """The cap is looked at before the lock, and not under it."""
    refund = Payments.refund

    async def looks_first(self: Payments, order: Any, trace: Any) -> Any:
        async with self.db.transaction(readonly=True) as tx:
            row = await tx.one(
                "SELECT amount_received - amount_refunded AS rest FROM payments.payments"
                " WHERE id = $1",
                order.payment_id,
            )
        if row["rest"] < (order.amount or 1):
            raise refunds.RefundTooLarge(order.amount or 0, row["rest"])
        return await refund(self, order, trace)

    def decide(self: Any, books: Any) -> Any:
        order = self._item.order
        payment = self._desk.payments[order.merchant_id, order.payment_id]
        chart = booking.Chart(books, self._attempt, payment)
        amount = order.amount or payment.amount_received
        return self._open(books, payment, chart, amount)

    with _swapped(Payments, "refund", looks_first), _swapped(refunds._Order, "_decide", decide):
        yield


@contextmanager
def commits_not_durable(town: Town) -> Iterator[None]:
    """A process that is about to die is told that its last commits are safe, and they are not."""

    def say(_session: Any) -> str:
        return "ROLLBACK" if town.crash_chance.random() < 0.01 else "COMMIT"

    with _swapped(town.shelf, "commit_as", say):
        yield


@contextmanager
def notice_applied_each_time(_town: Town) -> Iterator[None]:
    """A second notice of a payment books it a second time."""
    hear = outcomes._hear

    def again(desk: Any, item: Heard, look_ups: Any) -> Any:
        attempt = desk.attempts.get((item.merchant_id, item.attempt_id))
        was_paid = attempt is not None and attempt.status == "paid"
        if was_paid and item.notice_id and isinstance(item.outcome, port.Paid):
            cause = f"payment:{attempt.id}:{item.notice_id}"
            payment = desk.payment_of(attempt)

            def settle(books: Any) -> Any:
                chart = booking.Chart(books, attempt, payment)
                journal = booking.settlement(payment, attempt, chart)
                return type(journal)(journal.merchant_id, cause, journal.lines)

            desk.book(attempt, payment, cause, settle)
        return hear(desk, item, look_ups)

    with _swapped(outcomes, "_hear", again):
        yield


@contextmanager
def unknown_ages_into_declined(_town: Town) -> Iterator[None]:
    """After three look-ups without an answer the attempt is called declined."""

    async def impatient(tx: Any, items: Any, *, at: Any, look_ups: Any) -> Any:
        rows = await tx.all(
            "SELECT id, look_ups FROM payments.attempts WHERE id = ANY($1::text[])",
            [item.attempt_id for item in items],
        )
        tries = {row["id"]: row["look_ups"] for row in rows}
        heard = [
            Heard(
                merchant_id=item.merchant_id,
                attempt_id=item.attempt_id,
                outcome=port.Declined("processing_error", "no answer"),
                trace=item.trace,
            )
            if isinstance(item.outcome, port.Unknown) and tries.get(item.attempt_id, 0) >= 2
            else item
            for item in items
        ]
        return await record_outcomes(tx, heard, at=at, look_ups=look_ups)

    with _swapped(outcomes, "record_outcomes", impatient):
        yield


_CAP = "payments_check"
MUTANTS = {
    "new_provider_key_per_try": Mutant(new_provider_key_per_try),
    "new_provider_key_per_refund": Mutant(new_provider_key_per_refund),
    "missing_row_lock": Mutant(missing_row_lock),
    "credit_before_the_answer": Mutant(credit_before_the_answer),
    "refund_cap_only_at_the_api": Mutant(
        refund_cap_only_at_the_api,
        prepare=f"ALTER TABLE payments.payments DROP CONSTRAINT IF EXISTS {_CAP}",
        undo=(
            f"DELETE FROM payments.payments; ALTER TABLE payments.payments ADD CONSTRAINT {_CAP}"
            " CHECK (amount_refunded >= 0 AND amount_refunded <= amount_received)"
        ),
    ),
    "commits_not_durable": Mutant(commits_not_durable),
    "notice_applied_each_time": Mutant(notice_applied_each_time),
    "unknown_ages_into_declined": Mutant(unknown_ages_into_declined),
}
