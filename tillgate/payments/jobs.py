"""What the worker does for the money path: ask about what is open, apply what was left lying.

Everything due is found by a column of its own row; a lease (the due moment moved on) keeps two
workers from asking at once. Nothing here ever decides that an unknown outcome is a failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from tillgate.connectors.port import BadNotice
from tillgate.kernel.errors import Refusal
from tillgate.payments import hearing, machine, store
from tillgate.payments.errors import ChargeNotFound, NotConfirmed, NotPaid, RefundNotFound
from tillgate.payments.flows import NO_TRACE, Payments
from tillgate.payments.model import Attempt, Refund
from tillgate.runtime import notices
from tillgate.runtime.db import Tx
from tillgate.runtime.notices import RawNotice

Thing = TypeVar("Thing")
Due = TypeVar("Due", Attempt, Refund)

_log = logging.getLogger("tillgate.payments")

#: A genuine notice about nothing we know of, or of money that its provider knows nothing of when it
#: is asked, is a person's business after about half a day.
MOST_TRIES = 20
#: Provider calls of one sweep under way at a time.
AT_ONCE = 32


async def look_up_due(payments: Payments, *, limit: int = 200) -> int:
    """Ask the providers about attempts that are open and due; return how many were."""
    async with payments.db.transaction(readonly=True) as tx:
        due = await store.attempts.select_due(tx, payments.clock.now(), limit)
    return await _resolve_each(payments, due, store.attempts.lease, payments.resolve)


async def look_up_due_refunds(payments: Payments, *, limit: int = 200) -> int:
    """Send or ask about refunds that are open and due; return how many were."""
    async with payments.db.transaction(readonly=True) as tx:
        due = await store.refunds.select_due(tx, payments.clock.now(), limit)
    return await _resolve_each(payments, due, store.refunds.lease, payments.resolve_refund)


async def apply_stored_notices(payments: Payments, *, limit: int = 500) -> int:
    """Apply notices whose process did not get round to it; return how many there were."""
    async with payments.db.transaction(readonly=True) as tx:
        stored = await notices.due(tx, payments.clock.now(), limit)

    async def apply(raw: RawNotice) -> None:
        until = payments.clock.now() + hearing.wait_after(raw.tries)
        await _put_off(payments, raw, until, raw.note or "")
        try:
            await payments.notices.apply(raw)
        except BadNotice as error:
            await _put_off(payments, raw, None, f"unreadable: {error}")
        except (ChargeNotFound, RefundNotFound, NotConfirmed, NotPaid) as refusal:
            if raw.tries >= MOST_TRIES:
                await _put_off(payments, raw, None, refusal.message)

    await _each(stored, apply)
    return len(stored)


async def cancel_overdue(payments: Payments, *, limit: int = 200) -> int:
    """End payments whose deadline has passed with no order left that could be paid."""
    async with payments.db.transaction(readonly=True) as tx:
        overdue = await store.select_overdue_payments(tx, payments.clock.now(), limit)
    await _each(overdue, lambda key: payments.cancel(key[0], key[1], "automatic", NO_TRACE))
    return len(overdue)


async def _resolve_each(
    payments: Payments,
    due: Sequence[Due],
    lease: Callable[[Tx, Due, datetime], Awaitable[bool]],
    resolve: Callable[[Due], Awaitable[object]],
) -> int:
    """Take each that nobody else has taken meanwhile, and ask its provider."""

    async def ask(thing: Due) -> None:
        # A transaction each: whoever holds several rows waits for nobody's second one.
        async with payments.db.transaction() as tx:
            leased = await lease(tx, thing, _lease(payments, thing))
        if leased:
            await resolve(thing)

    await _each(due, ask)
    return len(due)


async def _each(things: Sequence[Thing], do: Callable[[Thing], Awaitable[object]]) -> None:
    """Do it for each, some at once; one that fails is logged and comes round again."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(thing: Thing) -> None:
        async with gate:
            try:
                await do(thing)
            except Refusal as refusal:
                _log.info("left for later: %s", refusal.message)
            except Exception:  # noqa: BLE001  logged with its trace, and due again
                _log.exception("a due item failed and will come round again")

    await asyncio.gather(*(one(thing) for thing in things))


async def _put_off(payments: Payments, raw: RawNotice, until: datetime | None, note: str) -> None:
    async with payments.db.transaction() as tx:
        await notices.put_off(tx, raw.merchant_id, raw.id, until=until, note=note)


def _lease(payments: Payments, thing: Attempt | Refund) -> datetime:
    """Long enough for the call; longer each time, so that what always fails does not storm."""
    policy = payments.look_ups
    wait = machine.next_look_up(
        payments.clock.now(),
        thing.look_ups,
        first_seconds=policy.first_seconds,
        most_seconds=policy.most_seconds,
        deadline=None,
    )
    return max(wait, payments.clock.now() + timedelta(seconds=policy.calling_seconds))
