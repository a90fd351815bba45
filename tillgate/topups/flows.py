"""The journey of a top-up: open it with its payment, then charge, as any payment."""

from __future__ import annotations

from typing import Any

from tillgate.kernel.errors import Refusal
from tillgate.payments.flows import Payments, claim_of
from tillgate.payments.model import Charge, Payment, Trace
from tillgate.runtime import idempotency
from tillgate.runtime.db import Tx
from tillgate.runtime.keyed import KeyedLane
from tillgate.topups import commands
from tillgate.topups.commands import TopUpOpening
from tillgate.topups.model import NewTopUp, TopUp, TopUpView


class TopUps:
    """Top-ups of one process, on its money path."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments
        self._openings = KeyedLane(payments.db, self._open_batch, claim_of)

    async def create(self, order: NewTopUp, trace: Trace) -> TopUpView:
        """Open a top-up; charge it at once where the order carries a confirmation.

        Raises `PaymentFailed` on a decline; an unknown outcome is a top-up in `processing`.
        """
        route = None
        if order.confirmation is not None:
            route = await self._payments.route(order.merchant_id, order.confirmation, order)
        top_up, opened = await self._openings.submit(TopUpOpening(order, route, trace))
        if isinstance(opened, Payment):
            return TopUpView(top_up, opened)
        return TopUpView(top_up, await self._payments.charge(opened, trace))

    async def _open_batch(
        self, tx: Tx, items: Any
    ) -> list[tuple[TopUp, Payment | Charge] | Refusal]:
        at = self._payments.clock.now()
        opened = await commands.open_top_ups(tx, items, at=at, look_ups=self._payments.look_ups)
        idempotency.attach(
            tx,
            [
                (item.trace.claim, item.order.id)
                for item, result in zip(items, opened, strict=True)
                if not isinstance(result, Refusal)
            ],
            at,
        )
        return opened
