"""Hearing of providers' notices: each is applied, stored as applied, and only then answered.

Where that takes long, is refused or fails, the notice is stored raw and answered all the same: it is
applied later, by what is under way here or by the worker. A provider is never answered for a notice
that is in no committed row. Of a large amount a notice alone is not believed: the provider is asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any, Final

from tillgate.connectors import port
from tillgate.kernel import ids
from tillgate.kernel.clock import Clock
from tillgate.payments import foreign, machine, outcomes, queries
from tillgate.payments.errors import ChargeNotFound, NotConfirmed, RefundNotFound
from tillgate.payments.machine import Status
from tillgate.payments.model import Charge, Heard, RefundHeard, RefundView
from tillgate.payments.orders import money
from tillgate.payments.providers import Providers, account_of, read_notice
from tillgate.runtime import notices, telemetry
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.lane import Lane
from tillgate.runtime.notices import RawNotice

_log = logging.getLogger("tillgate.payments")

#: How long a notice may take to be applied before it is stored raw and answered.
PATIENCE_SECONDS: Final = 1.0
#: Notices under way; what comes past that is only stored, and the worker takes it up.
MOST_UNDER_WAY: Final = 2_000
#: How old a notice is when the worker takes it up.
APPLY_BY: Final = timedelta(seconds=10)
#: Between tries of one that cannot be applied, twice as long each time.
FIRST_WAIT_SECONDS: Final = 10.0
LONGEST_WAIT_SECONDS: Final = 3_600.0


class Hearing:
    """The notices that come to one process."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        providers: Providers,
        hearings: Lane[Heard, Charge],
        refund_hearings: Lane[RefundHeard, RefundView],
    ) -> None:
        self._db = db
        self._clock = clock
        self._providers = providers
        self._hearings = hearings
        self._refund_hearings = refund_hearings
        self._inbox = Lane(db, self._store_notices)
        self._under_way: set[asyncio.Task[None]] = set()
        self.patience_seconds = PATIENCE_SECONDS
        #: Minor units. Whoever got hold of a key could sign a notice, but not make the provider say so.
        self.ask_from: int | None = None

    async def receive(
        self, merchant_id: int, account_id: str, headers: Mapping[str, str], body: bytes
    ) -> port.Ack:
        """Answer a notice; a genuine one has had its effect by then, or is stored to have it."""
        connector = await self._providers.connector(merchant_id, account_id)
        assert port.can(connector, port.Notifying), "every connector of ours sends notices"
        now = self._clock.now()
        try:
            notice = await read_notice(connector, headers, body, received_at=now, now=now)
        except port.BadNotice as error:
            telemetry.count_notice(connector.name, "refused")
            _log.warning("refused a notice of %s: %s", connector.name, error)
            return connector.ack(accepted=False)
        telemetry.count_notice(connector.name, "accepted")
        raw = RawNotice(
            merchant_id=merchant_id,
            id=ids.new_id("ntc"),
            provider_account_id=account_id,
            headers=notices.kept_headers(headers),
            body=body,
            received_at=now,
        )
        await self._apply_or_store(raw, notice, account_of(connector))
        return connector.ack(accepted=True)

    async def apply(self, raw: RawNotice) -> None:
        """Apply a stored notice, whose signature is checked again as of when it came."""
        connector = await self._providers.connector(raw.merchant_id, raw.provider_account_id)
        assert port.can(connector, port.Notifying), "every connector of ours sends notices"
        notice = await read_notice(
            connector, raw.headers, raw.body, received_at=raw.received_at, now=self._clock.now()
        )
        await self._hear(raw, notice, account_of(connector))

    async def finish(self) -> None:
        """Wait for what is under way, so that the process can end."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=10)

    # Pieces ------------------------------------------------------------------------------------

    async def _apply_or_store(
        self, raw: RawNotice, notice: port.Notice, account: str | None
    ) -> None:
        if len(self._under_way) >= MOST_UNDER_WAY:
            await self._inbox.submit(raw)
            return
        applying = self._start(self._hear(raw, notice, account))
        await asyncio.wait((applying,), timeout=self.patience_seconds)
        if _has_worked(applying):
            return
        # What is still under way may commit at any moment: whoever comes second finds the row.
        await self._inbox.submit(raw)
        self._start(self._follow(raw, applying))

    async def _follow(self, raw: RawNotice, applying: asyncio.Task[None]) -> None:
        """The worker tries again what fails here; the stored notice says why."""
        try:
            await applying
        except Exception as error:  # noqa: BLE001  whatever it was, a person may want to read it
            await self._put_off(raw, error)

    async def _put_off(self, raw: RawNotice, error: Exception) -> None:
        until = self._clock.now() + wait_after(raw.tries)
        try:
            async with self._db.transaction() as tx:
                await notices.put_off(
                    tx,
                    raw.merchant_id,
                    raw.id,
                    until=until,
                    note=f"{type(error).__name__}: {error}",
                )
        except Exception as failure:  # noqa: BLE001  the database is away; the notice is due by itself
            _log.warning("a notice is left for the worker: %s: %s", type(failure).__name__, failure)

    async def _hear(self, raw: RawNotice, notice: port.Notice, account: str | None) -> None:
        """Give a notice its effect, and store it as applied, in one transaction."""
        match notice:
            case port.AttemptNotice(attempt_id, outcome, told_of):
                if isinstance(outcome, port.Paid) and self._is_large(outcome.amount.minor):
                    outcome = await self._asked(raw, notice)
                heard = Heard(
                    merchant_id=raw.merchant_id,
                    attempt_id=attempt_id,
                    outcome=outcome,
                    account=account,
                    heard_by=raw.provider_account_id,
                    notice=raw,
                    told_of=told_of,
                )
                await outcomes.record(self._hearings, heard)
            case port.RefundNotice(refund_id, outcome, told_of):
                if self._may_be_large(outcome):
                    outcome = await self._asked_of_refund(raw, notice)
                await self._refund_hearings.submit(
                    RefundHeard(
                        merchant_id=raw.merchant_id,
                        refund_id=refund_id,
                        outcome=outcome,
                        heard_by=raw.provider_account_id,
                        notice=raw,
                        told_of=told_of,
                    )
                )
            case port.ForeignRefund():
                async with self._db.transaction() as tx:
                    await foreign.record(tx, raw, notice, at=self._clock.now())
            case port.OtherNotice(kind):
                async with self._db.transaction() as tx:
                    notices.insert_applied(tx, [raw], at=self._clock.now(), note=kind)

    def _is_large(self, minor: int) -> bool:
        return self.ask_from is not None and minor >= self.ask_from

    def _may_be_large(self, outcome: port.RefundOutcome) -> bool:
        if isinstance(outcome, port.RefundFailed):
            return self.ask_from is not None  # it does not say of how much
        return isinstance(outcome, port.Refunded) and self._is_large(outcome.amount.minor)

    async def _asked(
        self, raw: RawNotice, notice: port.AttemptNotice
    ) -> port.Outcome | port.Closed:
        """Return what the provider says itself; raise `NotConfirmed` unless it has the money.

        It is not asked where the notice can book nothing: of what is paid already, or of an order
        that is not the attempt's.
        """
        async with self._db.transaction(readonly=True) as tx:
            attempt = (await queries.charge(tx, raw.merchant_id, notice.attempt_id)).attempt
        if attempt.provider_account_id != raw.provider_account_id:
            raise ChargeNotFound(notice.attempt_id)
        is_of_another = notice.reference and attempt.reference not in {None, notice.reference}
        if is_of_another or attempt.status == Status.PAID:
            return notice.outcome
        outcome = await self._providers.look_up(attempt)
        if not isinstance(outcome, port.Paid):
            raise NotConfirmed(attempt.id, notice.outcome, outcome)
        return outcome

    async def _asked_of_refund(
        self, raw: RawNotice, notice: port.RefundNotice
    ) -> port.RefundOutcome:
        """Return what the provider says itself of a large refund; raise `NotConfirmed` unless it has
        decided: one that has failed is given to the customer again.

        It is not asked where the notice can book nothing: of what is known already, of another
        amount, or of an order that is not the refund's.
        """
        async with self._db.transaction(readonly=True) as tx:
            refund = (await queries.refund(tx, raw.merchant_id, notice.refund_id)).refund
            attempt = (await queries.charge(tx, raw.merchant_id, refund.attempt_id)).attempt
        if attempt.provider_account_id != raw.provider_account_id:
            raise RefundNotFound(notice.refund_id)
        told, ours = notice.outcome, money(refund.amount, refund.currency)
        is_of_another = notice.order_reference not in {None, attempt.reference} or (
            isinstance(told, port.Refunded) and told.amount != ours
        )
        is_known = machine.refund_news_of(told).value == refund.status
        if is_of_another or is_known or not self._is_large(refund.amount):
            return told
        outcome = await self._providers.look_up_refund(refund, attempt)
        if not isinstance(outcome, port.Refunded | port.RefundFailed):
            raise NotConfirmed(refund.id, told, outcome)
        return outcome

    async def _store_notices(self, tx: Tx, items: Any) -> list[None]:
        notices.insert(tx, items, apply_by=APPLY_BY)
        return [None] * len(items)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        _has_worked(task)  # one that failed has been seen, even where nobody is left to ask


def wait_after(tries: int) -> timedelta:
    """How long a notice waits that could not be applied, after so many tries before."""
    return timedelta(seconds=min(FIRST_WAIT_SECONDS * 2 ** min(tries, 20), LONGEST_WAIT_SECONDS))


def _has_worked(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
