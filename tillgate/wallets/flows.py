"""Journeys of wallets: orders through a lane, and the sweep of holds whose time is over."""

from __future__ import annotations

from collections.abc import Sequence

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Refusal
from tillgate.ledger import queries as ledger
from tillgate.ledger.commands import Memory
from tillgate.runtime.ahead import AheadLane
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.lane import Lane
from tillgate.wallets import commands
from tillgate.wallets.foresight import OrdersAhead
from tillgate.wallets.model import AnyOrder, Held, Moved, ReleaseHold, Told

#: Orders of any kind share one lane, so that what was asked first is decided first.
WalletLane = Lane[AnyOrder, Told | Moved | Held]

_SWEEP = 200


def open_lane(db: Database, *, max_items: int = 500) -> WalletLane:
    """Return the lane this process sends its orders through: `await lane.submit(order)`."""
    memory = Memory()

    async def carry_out(tx: Tx, orders: Sequence[AnyOrder]) -> list[Told | Moved | Held | Refusal]:
        return await commands.carry_out(tx, orders, memory)

    return AheadLane(db, carry_out, OrdersAhead(), max_items=max_items)


async def order(db: Database, item: AnyOrder) -> Told | Moved | Held:
    """Carry out one order in a transaction of its own (for tools and tests)."""
    async with db.transaction() as tx:
        result = (await commands.carry_out(tx, [item]))[0]
        if isinstance(result, Refusal):
            raise result
    return result


async def expire_holds(db: Database, clock: Clock) -> int:
    """Free the holds whose time is over; return how many. Several sweeps at once do no harm."""
    async with db.transaction(readonly=True) as tx:
        merchants = await ledger.merchants_with_expired_holds(tx, clock.now())
    return sum([await _expire_holds_of(db, clock, merchant_id) for merchant_id in merchants])


async def _expire_holds_of(db: Database, clock: Clock, merchant_id: int) -> int:
    expired = 0
    while True:
        at = clock.now()
        async with db.transaction() as tx:
            due = await ledger.expired_holds(tx, merchant_id, at, limit=_SWEEP)
            orders = [
                ReleaseHold(merchant_id=merchant_id, at=at, hold_id=hold_id, expired=True)
                for hold_id in due
                if hold_id.startswith("hold_")
            ]
            results = await commands.release(tx, orders) if orders else []
        ended = [result for result in results if isinstance(result, Held) and not result.repeated]
        expired += len(ended)
        if len(due) < _SWEEP or not ended:
            return expired
