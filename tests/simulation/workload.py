"""What those who pay do in a seed. The checker knows nothing of this."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from tests.simulation.processes import Died, Town
from tests.simulation.wallet_life import HORIZON, MERCHANT, PROMOTIONS, Purse, Spenders
from tillgate.kernel import ids
from tillgate.kernel.errors import Refusal
from tillgate.payments import queries
from tillgate.payments.flows import NO_TRACE, Payments
from tillgate.payments.model import Confirmation, Gift, NewPayment, NewRefund, Payment

METHODS = ("alipay", "card")


class Crowd:
    """The customers of one seed."""

    def __init__(self, town: Town, rng: random.Random, purses: list[Purse]) -> None:
        self._town = town
        self._rng = rng
        self._purses = purses

    async def live(self) -> None:
        """Everybody does what they do until the horizon."""
        journeys = [self._buy() for _ in range(self._rng.randint(3, 9))]
        spenders = Spenders(self._town, self._rng, self._purses)
        await asyncio.gather(*journeys, *spenders.journeys())

    # A payment's life --------------------------------------------------------------------------

    async def _buy(self) -> None:
        rng = self._rng
        await asyncio.sleep(rng.choice([0.0, rng.uniform(0, 200)]))
        order = self._order()
        await self._try("create", order.id, lambda p: p.create(order, NO_TRACE))
        while self._town.clock.elapsed < HORIZON:
            await asyncio.sleep(rng.choice([0.0, rng.uniform(0.1, 3), rng.uniform(1, 150)]))
            payment = await self._read(order.id)
            if payment is None:
                await self._try("create", order.id, lambda p: p.create(order, NO_TRACE))
            elif not await self._go_on(payment):
                return

    async def _go_on(self, payment: Payment) -> bool:
        rng = self._rng
        match payment.status:
            case "requires_payment_method" | "requires_confirmation":
                if rng.random() < 0.3:
                    return False
                confirmation = _confirmation(rng.choice(METHODS))
                await self._several(
                    "confirm", payment.id, lambda p: p.confirm(payment, confirmation, NO_TRACE)
                )
            case "requires_capture":
                if rng.random() < 0.15:
                    await self._cancel(payment)
                elif rng.random() < 0.6:
                    amount = rng.choice([None, payment.amount, payment.amount // 2 + 1])
                    await self._several(
                        "capture",
                        payment.id,
                        lambda p: p.capture(MERCHANT, payment.id, amount, NO_TRACE),
                    )
            case "requires_action" | "processing":
                if rng.random() < 0.12:
                    await self._cancel(payment)
            case "succeeded":
                return await self._refund(payment)
            case _:
                return rng.random() < 0.4
        return True

    async def _cancel(self, payment: Payment) -> None:
        await self._several(
            "cancel", payment.id, lambda p: p.cancel(MERCHANT, payment.id, None, NO_TRACE)
        )

    async def _refund(self, payment: Payment) -> bool:
        rng = self._rng
        if rng.random() < 0.3:
            return False
        amounts = [
            rng.choice([None, payment.amount, payment.amount // 2, payment.amount // 3 + 1])
            for _ in range(rng.choice([1, 1, 2, 3]))
        ]
        await asyncio.gather(*(self._refund_one(payment, amount) for amount in amounts))
        return rng.random() < 0.6

    async def _refund_one(self, payment: Payment, amount: int | None) -> None:
        order = NewRefund(
            merchant_id=MERCHANT, id=ids.new_id("re"), payment_id=payment.id, amount=amount
        )
        await self._try("refund", order.id, lambda p: p.refund(order, NO_TRACE))

    # Pieces ------------------------------------------------------------------------------------

    def _order(self) -> NewPayment:
        rng = self._rng
        amount = rng.choice([100, 999, 5_000, 10_000])
        manual = rng.random() < 0.3
        method = "card" if manual else rng.choice(METHODS)
        into_wallet = rng.random() < 0.6
        policy = rng.choice(["block", "partial", "receivable"])
        purse = rng.choice(self._purses)
        gifts = [Gift(PROMOTIONS, purse.bonus, amount // 7 + 1)]
        return NewPayment(
            merchant_id=MERCHANT,
            id=ids.new_id("pi"),
            amount=amount,
            currency="cny",
            method_types=list(METHODS),
            capture_method="manual" if manual else "automatic",
            pay_into=purse.principal if into_wallet else None,
            gifts=gifts if into_wallet and rng.random() < 0.5 else [],
            refund_policy=policy,
            owed_account=purse.owed if policy == "receivable" else None,
            confirmation=None if rng.random() < 0.2 else _confirmation(method),
        )

    async def _several(
        self, deed: str, thing: str, do: Callable[[Payments], Awaitable[Any]]
    ) -> None:
        """Impatient people press twice, and a load balancer sends each press elsewhere."""
        times = self._rng.choice([1, 1, 2, 3])
        await asyncio.gather(*(self._try(deed, thing, do) for _ in range(times)))

    async def _try(self, deed: str, thing: str, do: Callable[[Payments], Awaitable[Any]]) -> None:
        try:
            result = await self._town.ask(do)
        except (Died, Refusal) as trouble:
            self._town.say(f"{deed} {thing}: {type(trouble).__name__}")
        except Exception as trouble:  # noqa: BLE001  a bug would be answered with 500
            self._town.say(f"{deed} {thing}: {type(trouble).__name__}: {trouble}")
            if deed != "create":  # a second try finds the first one's rows, and says so rudely
                self._town.acknowledged.append(
                    ("bug", thing, f"{type(trouble).__name__} {trouble}")
                )
        else:
            status = getattr(result, "status", None) or getattr(
                getattr(result, "refund", None), "status", "done"
            )
            self._town.say(f"{deed} {thing}: {status}")
            self._town.acknowledged.append((deed, thing, status))

    async def _read(self, payment_id: str) -> Payment | None:
        async def read(payments: Payments) -> Payment:
            async with payments.db.transaction(readonly=True) as tx:
                return await queries.payment(tx, MERCHANT, payment_id)

        while True:
            try:
                return await self._town.ask(read)
            except Died:
                continue
            except Refusal:
                return None


def _confirmation(method: str) -> Confirmation:
    card = method == "card"
    return Confirmation(
        method=method,
        presentation="card" if card else "qr",
        payment_method="pm_card" if card else None,
    )
