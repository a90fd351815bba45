"""Bugs planted on purpose, each of which the checker must find. Nothing of this is in the product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from tests.simulation.processes import Town
from tillgate.connectors import port
from tillgate.kernel import ids
from tillgate.kernel.money import CNY, Money
from tillgate.payments import booking, outcomes, refunds
from tillgate.payments.flows import Payments
from tillgate.payments.hearing import Hearing
from tillgate.payments.model import Heard
from tillgate.payments.orders import charge_of
from tillgate.payments.outcomes import record_outcomes
from tillgate.payments.providers import Providers
from tillgate.runtime.ahead import AheadLane
from tillgate.runtime.lane import Lane
from tillgate.wallets import decisions, flows
from tillgate.wallets.machine import Status


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
    order_of = Providers.refunding

    async def fresh(self: Providers, refund: Any, attempt: Any) -> Any:
        connector, order = await order_of(self, refund, attempt)
        fields = {name: getattr(order, name) for name in order.__slots__}
        return connector, port.RefundOrder(**{**fields, "refund_id": ids.new_id("re")})

    with _swapped(Providers, "refunding", fresh):
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

    with _forgetful(town, lambda sql: sql == "COMMIT"):
        yield


@contextmanager
def statements_not_durable(town: Town) -> Iterator[None]:
    """The same of what is one statement, and so has no COMMIT of its own."""
    with _forgetful(town, lambda sql: sql != "COMMIT"):
        yield


def _forgetful(town: Town, concerns: Callable[[str], bool]) -> AbstractContextManager[None]:
    def forgets(sql: str) -> bool:
        return concerns(sql) and town.crash_chance.random() < 0.03

    return _swapped(town.shelf, "forgets", forgets)


@contextmanager
def drafts_are_not_checked(town: Town) -> Iterator[None]:
    """A batch decided ahead is written whoever else has written since."""

    def blindly(sql: str) -> str:
        for check in _DRAFT_CHECKS:
            sql = sql.replace(check, "true")
        return sql

    with _swapped(town.shelf, "rewrite", blindly):
        yield


#: What a draft's own statement looks at: the stamp of the books, where each account stood, and
#: which fact was a wallet's last.
_DRAFT_CHECKS = (
    "b.stamp = u.found",
    "a.balance = u.balance_before",
    "a.held = u.held_before",
    "w.sequence = u.read",
)


@contextmanager
def drafts_answered_before_the_commit(_town: Town) -> Iterator[None]:
    """Whoever asked is answered when the batch decided ahead is sent, not when it is written."""
    write_draft = AheadLane._write_draft

    async def hasty(self: Any, drafted: Any) -> bool:
        self._settle(drafted.batch, drafted.draft.results)
        return await write_draft(self, drafted)

    with _swapped(AheadLane, "_write_draft", hasty):
        yield


@contextmanager
def answered_before_the_commit(_town: Town) -> Iterator[None]:
    """The same of a batch decided under the lock."""
    write = Lane._write

    async def hasty(self: Any, batch: Any, **more: Any) -> None:
        lane = copy(self)

        async def handle(tx: Any, items: Any) -> Any:
            results = await self._handle(tx, items)
            self._settle(batch, results)
            return results

        lane._handle = handle
        await write(lane, batch, **more)

    with _swapped(Lane, "_write", hasty):
        yield


@contextmanager
def notice_applied_each_time(_town: Town) -> Iterator[None]:
    """A second notice of a payment books it a second time."""
    hear = outcomes._hear

    def again(desk: Any, item: Heard, look_ups: Any) -> Any:
        attempt = desk.attempts.get((item.merchant_id, item.attempt_id))
        was_paid = attempt is not None and attempt.status == "paid"
        if was_paid and item.notice and isinstance(item.outcome, port.Paid):
            cause = f"payment:{attempt.id}:{item.notice.id}"
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
def notice_answered_before_it_is_kept(_town: Town) -> Iterator[None]:
    """The provider is answered while its notice is being applied, and nothing has been stored."""

    async def hasty(self: Hearing, raw: Any, notice: Any, account: Any) -> None:
        self._start(self._hear(raw, notice, account))

    with _swapped(Hearing, "_apply_or_store", hasty):
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


@contextmanager
def daily_limit_forgets(_town: Town) -> Iterator[None]:
    """What was spent today is not counted when the next spend is looked at."""
    with _swapped(decisions, "spent_on_day", lambda _wallet, _at: 0):
        yield


@contextmanager
def frozen_wallet_spends(_town: Town) -> Iterator[None]:
    """Whether a wallet is frozen is not looked at."""
    may_spend = decisions._may_spend

    def lenient(desk: Any, wallet: Any, order: Any, **more: Any) -> Any:
        return may_spend(desk, replace(wallet, status=Status.OPEN), order, **more)

    with _swapped(decisions, "_may_spend", lenient):
        yield


@contextmanager
def holds_never_expire(_town: Town) -> Iterator[None]:
    """The sweep finds nothing."""

    async def blind(_db: Any, _clock: Any) -> int:
        return 0

    with _swapped(flows, "expire_holds", blind):
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
    "statements_not_durable": Mutant(statements_not_durable),
    "drafts_are_not_checked": Mutant(drafts_are_not_checked),
    "drafts_answered_before_the_commit": Mutant(drafts_answered_before_the_commit),
    "answered_before_the_commit": Mutant(answered_before_the_commit),
    "notice_applied_each_time": Mutant(notice_applied_each_time),
    "notice_answered_before_it_is_kept": Mutant(notice_answered_before_it_is_kept),
    "unknown_ages_into_declined": Mutant(unknown_ages_into_declined),
    "daily_limit_forgets": Mutant(daily_limit_forgets),
    "frozen_wallet_spends": Mutant(frozen_wallet_spends),
    "holds_never_expire": Mutant(holds_never_expire),
}
