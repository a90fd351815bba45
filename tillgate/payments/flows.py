"""Journeys of the money path: commit, call the provider with nothing locked, commit.

`Payments` holds the lanes through which this process's requests are grouped into transactions.
Whatever happens between the commits (a crash, a lost answer), `sweep` finds what is open and asks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from tillgate.connectors import port
from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Refusal
from tillgate.ledger.commands import Memory
from tillgate.payments import commands, machine, outcomes, queries, refunds, surplus
from tillgate.payments.commands import Canceling, Capturing, Confirming, LookUps, Opening, Route
from tillgate.payments.errors import MethodNotOffered, PaymentFailed, UnexpectedState
from tillgate.payments.hearing import Hearing
from tillgate.payments.machine import PaymentStatus, RefundStatus, Status
from tillgate.payments.model import (
    Attempt,
    Charge,
    Confirmation,
    Heard,
    NewPayment,
    NewRefund,
    Order,
    Payment,
    Refund,
    RefundHeard,
    RefundView,
    Trace,
)
from tillgate.payments.orders import charge_of, money
from tillgate.payments.providers import Providers, account_of
from tillgate.payments.refunds import Refunding
from tillgate.runtime import idempotency, telemetry
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.idempotency import Claim
from tillgate.runtime.keyed import KeyedLane
from tillgate.runtime.lane import Lane

#: Nobody asked: the worker found it.
NO_TRACE = Trace()
_FAILED = frozenset({Status.DECLINED, Status.NOT_SENT})


class Payments:
    """The money path of one process."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        providers: Providers,
        look_ups: LookUps,
        lifetime: timedelta,
        pages_url: str | None = None,
    ) -> None:
        self.db = db
        self.clock = clock
        self.providers = providers
        self.look_ups = look_ups
        self.lifetime = lifetime
        self.pages_url = pages_url
        #: Of this process's accounts; whoever posts through it need not read them again.
        self.memory = Memory()
        self._openings = KeyedLane(db, self._open_batch, claim_of)
        self._confirmings = Lane(db, self._confirm_batch)
        self._hearings: Lane[Heard, Charge] = Lane(db, self._hear_batch)
        self._refundings = KeyedLane(db, self._refund_batch, claim_of)
        self._refund_hearings: Lane[RefundHeard, RefundView] = Lane(db, self._refund_hear_batch)
        self.notices = Hearing(db, clock, providers, self._hearings, self._refund_hearings)

    # Asked by merchants ----------------------------------------------------------------------

    async def create(self, order: NewPayment, trace: Trace) -> Payment:
        """Open a payment; charge it at once where the order carries a confirmation.

        Raises `PaymentFailed` on a decline; an unknown outcome is a payment in `processing`.
        """
        route = None
        if order.confirmation is not None:
            route = await self.route(order.merchant_id, order.confirmation, order)
        opened = await self._openings.submit(Opening(order, route, trace))
        return opened if isinstance(opened, Payment) else await self.charge(opened, trace)

    async def confirm(
        self,
        payment: Payment,
        confirmation: Confirmation,
        trace: Trace,
        changes: dict[str, Any] | None = None,
    ) -> Payment:
        """Charge a payment that has no attempt under way, changing it first, or not at all.

        The route is chosen by the payment as the caller read it; `PaymentChanged` where it has
        become another one since.
        """
        changed = msgspec.structs.replace(payment, **changes or {})
        route = await self.route(payment.merchant_id, confirmation, changed)
        charge = await self._confirmings.submit(
            Confirming(payment, confirmation, route, trace, changes or {})
        )
        return await self.charge(charge, trace)

    async def route(self, merchant_id: int, confirmation: Confirmation, order: Order) -> Route:
        """Return through which account a confirmation of this order goes, or refuse."""
        if confirmation.method not in order.method_types:
            raise MethodNotOffered(confirmation.method, confirmation.presentation, order.currency)
        return await self.providers.route(
            merchant_id,
            confirmation.method,
            confirmation.presentation,
            order.currency,
            lifetime=self.lifetime,
            capture=order.capture_method != "manual",
        )

    async def charge(self, charge: Charge, trace: Trace) -> Payment:
        """Call the provider for an attempt just opened, with nothing locked, and record the outcome."""
        attempt = charge.attempt
        connector = await self.providers.connector(attempt.merchant_id, attempt.provider_account_id)
        outcome = await connector.charge(
            charge_of(attempt, self._notify_url(attempt)), now=self.clock.now()
        )
        heard = await self._hear(attempt, outcome, trace)
        if heard.attempt.status in _FAILED and heard.payment.open_attempt is None:
            raise PaymentFailed(heard.attempt.error or {}, heard)
        return heard.payment

    async def update(
        self, merchant_id: int, payment_id: str, changes: dict[str, Any], trace: Trace
    ) -> Payment:
        """Change what may be changed of a payment (fields of `Payment` by name)."""
        async with self.db.transaction() as tx:
            at = self.clock.now()
            changed = await commands.change(tx, merchant_id, payment_id, changes, at=at)
            if isinstance(changed, Refusal):
                raise changed
            idempotency.attach(tx, [(trace.claim, payment_id)], at)
        return changed

    async def capture(
        self,
        merchant_id: int,
        payment_id: str,
        amount: int | None,
        trace: Trace,
        words: dict[str, Any] | None = None,
    ) -> Payment:
        """Take reserved money, all or part of it; the rest is released.

        The payment's words are changed before the money moves, and stay so where it does not.
        """
        item = Capturing(merchant_id, payment_id, amount, trace, words or {})
        async with self.db.transaction() as tx:
            at = self.clock.now()
            begun = _first(await commands.begin_captures(tx, [item], at=at, look_ups=self.look_ups))
            idempotency.attach(tx, [(trace.claim, payment_id)], at)
        outcome, heard = await self._capture(begun.attempt, trace, is_first=begun.is_first)
        error = outcomes.why_not_captured(outcome, heard)
        if error is not None:
            raise PaymentFailed(error, heard)
        return heard.payment

    async def cancel(
        self, merchant_id: int, payment_id: str, reason: str | None, trace: Trace
    ) -> Payment:
        """End a payment; an order that could still be paid is closed at the provider first."""
        item = Canceling(merchant_id, payment_id, reason, trace)
        async with self.db.transaction() as tx:
            at = self.clock.now()
            begun = _first(await commands.begin_cancels(tx, [item], at=at, look_ups=self.look_ups))
            idempotency.attach(tx, [(trace.claim, payment_id)], at)
        if isinstance(begun, Payment):
            return begun
        payment = (await self._close(begun.attempt, trace)).payment
        if payment.status == PaymentStatus.SUCCEEDED:
            raise UnexpectedState("cancel", payment.status, payment)
        return payment

    async def refund(self, order: NewRefund, trace: Trace) -> RefundView:
        """Give money back, within what is left; a provider that cannot be reached is tried again."""
        view = await self._refundings.submit(Refunding(order, trace))
        return await self._send_refund(view.refund, trace)

    async def settle(self, merchant_id: int, object_id: str) -> Payment | RefundView:
        """Bring a payment or refund left half-done by a dead process to where the provider has it."""
        async with self.db.transaction(readonly=True) as tx:
            if object_id.startswith("re_"):
                view = await queries.refund(tx, merchant_id, object_id)
                attempt = None
            else:
                payment = await queries.payment(tx, merchant_id, object_id)
                if payment.open_attempt is None:
                    return payment
                view = None
                attempt = (await queries.charge(tx, merchant_id, payment.open_attempt)).attempt
        if attempt is not None:
            return (await self.resolve(attempt)).payment
        assert view is not None, "either a payment or a refund"
        return await self.resolve_refund(view.refund) if view.refund.look_up_at else view

    async def finish(self) -> None:
        """Wait for the notices being applied, so that the process can end."""
        await self.notices.finish()

    # Looked up by the worker -------------------------------------------------------------------

    async def resolve(self, attempt: Attempt, trace: Trace = NO_TRACE) -> Charge:
        """Ask the provider where an open attempt stands, close what should be closed, record it."""
        overdue = attempt.expires_at is not None and attempt.expires_at <= self.clock.now()
        unpaid = attempt.status in (Status.CREATED, Status.WAITING, Status.UNKNOWN)
        if attempt.closing or (overdue and unpaid):
            return await self._close(attempt, trace)
        outcome = await self.providers.look_up(attempt)
        called = attempt.status in (Status.CREATED, Status.UNKNOWN)
        if isinstance(outcome, port.NotFound) and called and not self._may_still_arrive(attempt):
            return await self._close(attempt, trace)
        charge = await self._hear(attempt, outcome, trace)
        if charge.attempt.status == Status.AUTHORISED and attempt.amount_to_capture is not None:
            _, charge = await self._capture(charge.attempt, trace)
        return charge

    async def resolve_refund(self, refund: Refund, trace: Trace = NO_TRACE) -> RefundView:
        """Ask the provider where a refund stands; send it where it never arrived."""
        outcome = await self.providers.look_up_refund(refund, await self._refunded(refund))
        if refund.status == RefundStatus.FAILED:
            return await self._give_back_again(refund, outcome, trace)
        if isinstance(outcome, port.NotFound):
            # Asked first even where no call is known of, since a process may have died with the
            # answer and a provider forgets our key after a day; before that, it is sent only once.
            return await self._send_refund(refund, trace)
        return await self._refund_heard(refund, outcome, trace)

    # Pieces ------------------------------------------------------------------------------------

    async def _capture(
        self, attempt: Attempt, trace: Trace, *, is_first: bool = False
    ) -> tuple[port.Outcome | port.CaptureRefused, Charge]:
        connector = await self.providers.connector(attempt.merchant_id, attempt.provider_account_id)
        assert port.can(connector, port.Capturing), "authorised by one that captures"
        assert attempt.reference is not None, "an authorisation has a reference"
        assert attempt.amount_to_capture is not None, "a capture was begun"
        outcome = await connector.capture(
            attempt.id,
            attempt.reference,
            money(attempt.amount_to_capture, attempt.currency),
            now=self.clock.now(),
        )
        sequence = attempt.sequence if is_first else None
        return outcome, await self._hear(
            attempt, outcome, trace, capture=attempt.amount_to_capture, sequence=sequence
        )

    async def _close(self, attempt: Attempt, trace: Trace) -> Charge:
        connector = await self.providers.connector(attempt.merchant_id, attempt.provider_account_id)
        assert port.can(connector, port.Closing), "every connector of ours closes"
        outcome = await connector.close(
            attempt.id,
            attempt.reference,
            money(attempt.amount, attempt.currency),
            since=attempt.created_at,
            now=self.clock.now(),
        )
        overdue = attempt.expires_at is None or attempt.expires_at <= self.clock.now()
        gone = overdue or attempt.status != Status.WAITING
        if isinstance(outcome, port.NotFound) and gone and not self._may_still_arrive(attempt):
            # They know of no such order, and nobody has been shown one that could still be paid.
            outcome = port.Closed()
        return await self._hear(attempt, outcome, trace)

    def _may_still_arrive(self, attempt: Attempt) -> bool:
        """Whether our own call may still be on its way to a provider that does not know of it."""
        age = self.clock.now() - attempt.created_at
        called = attempt.status in (Status.CREATED, Status.UNKNOWN)
        return called and age < timedelta(seconds=2 * self.look_ups.calling_seconds)

    async def _hear(
        self,
        attempt: Attempt,
        outcome: Any,
        trace: Trace,
        *,
        capture: int | None = None,
        sequence: int | None = None,
    ) -> Charge:
        telemetry.count_attempt(attempt.provider, machine.news_of(outcome).value)
        connector = await self.providers.connector(attempt.merchant_id, attempt.provider_account_id)
        heard = Heard(
            merchant_id=attempt.merchant_id,
            attempt_id=attempt.id,
            outcome=outcome,
            account=account_of(connector),
            pages_url=self.pages_url,
            trace=trace,
            capture=capture,
            sequence=sequence,
        )
        return await outcomes.record(self._hearings, heard)

    async def _send_refund(self, refund: Refund, trace: Trace) -> RefundView:
        attempt = await self._refunded(refund)
        connector, order = await self.providers.refunding(refund, attempt)
        outcome = await connector.refund(order, now=self.clock.now())
        return await self._refund_heard(refund, outcome, trace)

    async def _give_back_again(self, refund: Refund, outcome: Any, trace: Trace) -> RefundView:
        """A second payment did not go back: order it anew, if the provider still says so."""
        if not isinstance(outcome, port.RefundFailed | port.NotFound):
            return await self._refund_heard(refund, outcome, trace)
        async with self.db.transaction() as tx:
            return await surplus.order_again(tx, refund, trace, at=self.clock.now())

    async def _refund_heard(self, refund: Refund, outcome: Any, trace: Trace) -> RefundView:
        return await self._refund_hearings.submit(
            RefundHeard(
                merchant_id=refund.merchant_id, refund_id=refund.id, outcome=outcome, trace=trace
            )
        )

    async def _refunded(self, refund: Refund) -> Attempt:
        async with self.db.transaction(readonly=True) as tx:
            return (await queries.charge(tx, refund.merchant_id, refund.attempt_id)).attempt

    def _notify_url(self, attempt: Attempt) -> str:
        return self.providers.notify_url(attempt.merchant_id, attempt.provider_account_id)

    # Batches -----------------------------------------------------------------------------------

    async def _open_batch(self, tx: Tx, items: Any) -> list[Payment | Charge]:
        at = self.clock.now()
        opened = await commands.open_payments(tx, items, at=at, look_ups=self.look_ups)
        idempotency.attach(tx, [(item.trace.claim, item.order.id) for item in items], at)
        return opened

    async def _confirm_batch(self, tx: Tx, items: Any) -> list[Charge | Refusal]:
        at = self.clock.now()
        opened = await commands.open_attempts(tx, items, at=at, look_ups=self.look_ups)
        made = zip(items, opened, strict=True)
        idempotency.attach(
            tx, [(i.trace.claim, i.payment.id) for i, one in made if isinstance(one, Charge)], at
        )
        return opened

    async def _hear_batch(self, tx: Tx, items: Any) -> list[Charge | Refusal]:
        return await outcomes.record_outcomes(
            tx, items, at=self.clock.now(), look_ups=self.look_ups, memory=self.memory
        )

    async def _refund_batch(self, tx: Tx, items: Any) -> list[RefundView | Refusal]:
        at = self.clock.now()
        opened = await refunds.open_refunds(tx, items, at=at, look_ups=self.look_ups)
        made = zip(items, opened, strict=True)
        idempotency.attach(
            tx, [(i.trace.claim, i.order.id) for i, one in made if isinstance(one, RefundView)], at
        )
        return opened

    async def _refund_hear_batch(self, tx: Tx, items: Any) -> list[RefundView | Refusal]:
        return await refunds.record_refund_outcomes(
            tx, items, at=self.clock.now(), look_ups=self.look_ups
        )


def claim_of(item: Any) -> Claim | None:
    """Return what the request behind an item of a lane has of its key."""
    return item.trace.claim


def _first(results: list[Any]) -> Any:
    """The one result of a batch of one; a refusal is raised, and rolls the transaction back."""
    if isinstance(results[0], Refusal):
        raise results[0]
    return results[0]
