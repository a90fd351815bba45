"""Breaks, as a person settles them: listed, asked about once more, resolved with a note.

A person never says that money came: only a provider does. What a person may say is that it went
back, which ends the payment it was meant for.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from tillgate.payments import break_store, machine, refunds, store
from tillgate.payments.desk import Desk
from tillgate.payments.errors import (
    BreakNotFound,
    BreakResolved,
    NothingToAsk,
    NothingToReturn,
    StillMismatched,
)
from tillgate.payments.machine import PaymentStatus, RefundStatus, Status
from tillgate.payments.model import Attempt, Break, Payment, Trace
from tillgate.runtime.db import Tx

#: More than this nobody reads at a time.
_PAGE = 500
_WORDS = {
    "type": "invalid_request_error",
    "code": "payment_intent_payment_attempt_failed",
    "decline_code": None,
    "message": "What was paid was not what was asked for, and has been given back.",
    "provider_code": None,
}


async def listed(tx: Tx, *, with_resolved: bool = False) -> list[Break]:
    """Return the breaks that are open, or all, newest first."""
    return await break_store.select_breaks(tx, with_resolved=with_resolved, limit=_PAGE)


async def resolve(tx: Tx, break_id: str, note: str, *, returned: bool, at: datetime) -> Break:
    """Note what was found. `returned`: the payer has back what was paid wrongly.

    A payment that is still mismatched is not resolved by words: the provider would be asked, and
    the break opened, again and again.
    """
    found = await _open_break(tx, break_id)
    desk = await _desk(tx, found, at)
    attempt = desk.attempts.get((found.merchant_id, found.attempt_id or ""))
    is_mismatched = attempt is not None and attempt.status == Status.MISMATCHED
    if is_mismatched and not returned:
        raise StillMismatched(break_id)
    if returned and not is_mismatched:
        raise NothingToReturn(break_id)
    if attempt is not None and is_mismatched:
        _end(desk, attempt, desk.payment_of(attempt))
    found = msgspec.structs.replace(found, resolved_at=at, resolution=note)
    await break_store.update_break(tx, found)
    await desk.close(tx)
    return found


async def ask_again(tx: Tx, break_id: str, *, at: datetime) -> Break:
    """Let the worker ask the provider now about what the break is about, and do what follows."""
    found = await _open_break(tx, break_id)
    desk = await _desk(tx, found, at)
    attempt = desk.attempts.get((found.merchant_id, found.attempt_id or ""))
    refund = desk.refunds.get((found.merchant_id, found.refund_id or ""))
    if attempt is not None and attempt.status in machine.OPEN:
        desk.change_attempt(attempt, look_up_at=at, look_ups=0)
    elif refund is not None and (
        refund.status in refunds.OPEN or (refund.surplus and refund.status == RefundStatus.FAILED)
    ):
        desk.change_refund(refund, look_up_at=at, look_ups=0)
    else:
        raise NothingToAsk(break_id)
    await desk.close(tx)
    return found


async def _open_break(tx: Tx, break_id: str) -> Break:
    merchant_id = await break_store.find_merchant(tx, break_id)
    if merchant_id is None:
        raise BreakNotFound(break_id)
    found = await break_store.lock_break(tx, merchant_id, break_id)
    assert found is not None, "breaks are never deleted"
    if found.resolved_at is not None:
        raise BreakResolved(break_id)
    return found


async def _desk(tx: Tx, found: Break, at: datetime) -> Desk:
    """Lay what a break is about on a desk. Who opens breaks never waits for one that is open."""
    desk = Desk(at)
    if found.attempt_id is not None:
        attempts = [(found.merchant_id, found.attempt_id)]
        desk.take_in(payments=await store.attempts.lock_payments(tx, attempts))
        desk.take_in(attempts=await store.attempts.select(tx, attempts))
    if found.refund_id is not None:
        given_back = [(found.merchant_id, found.refund_id)]
        desk.take_in(payments=await store.refunds.lock_payments(tx, given_back))
        desk.take_in(refunds=await store.refunds.select(tx, given_back))
    return desk


def _end(desk: Desk, attempt: Attempt, payment: Payment) -> None:
    """End a mismatched attempt, and its payment where that waits for nothing else."""
    desk.change_attempt(
        attempt, status=Status.RETURNED.value, error=_WORDS, look_up_at=None, look_ups=0
    )
    if payment.open_attempt != attempt.id:
        return
    payment = desk.change_payment(
        payment,
        status=PaymentStatus.CANCELED.value,
        open_attempt=None,
        next_action=None,
        amount_capturable=0,
        canceled_at=desk.at,
        cancellation_reason=payment.cancellation_reason or "automatic",
    )
    desk.say_payment("payment.canceled", payment, Trace())
