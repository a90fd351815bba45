"""The page of one payment, for whoever is to pay it: the code, the time left, the live result.

Its address is `next_action.…hosted_instructions_url` of the payment (`payments.hosted`). Nothing
can be changed here; at the end the customer goes on to the payment's `return_url`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tillgate.kernel.clock import Clock
from tillgate.merchants import queries as merchants
from tillgate.payments import hosted
from tillgate.payments import queries as payments
from tillgate.payments.errors import PaymentNotFound
from tillgate.payments.model import Payment
from tillgate.runtime.db import Database, Tx
from tillgate.topup_app.door import Door
from tillgate.topup_app.links import PREFIX as WALLETS
from tillgate.topup_app.links import LinkExpired, LinkUnknown
from tillgate.topup_app.live import Live, code_of
from tillgate.topup_app.orders import Order, Stage, payment_order
from tillgate.topup_app.rendering import Renderer

LIFETIME: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Bill:
    """What a token opens."""

    token: str
    payment: Payment

    @property
    def path(self) -> str:
        """Where its page is."""
        return f"{hosted.PREFIX}/{self.token}"

    @property
    def holder(self) -> str:
        """The same for every token of a payment."""
        return f"{self.payment.merchant_id}:{self.payment.id}"

    @property
    def home(self) -> None:
        """There is no other page of ours to go to."""
        return


class HostedPages:
    """The pages of payments."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        renderer: Renderer,
        door: Door,
        live: Live,
        *,
        base_url: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._renderer = renderer
        self._door = door
        self._live = live
        self._base_url = base_url

    def routes(self) -> list[BaseRoute]:
        """Return the routes, to be mounted at the root before the wallets'."""
        page = f"{hosted.PREFIX}/{{token}}"
        handlers = {
            page: self._page,
            f"{page}/code.svg": self._code,
            f"{page}/state": self._state,
            f"{page}/events": self._events,
        }
        return [
            Route(path, self._door.guarded(self._open, handler))
            for path, handler in handlers.items()
        ]

    async def _open(self, request: Request) -> Bill:
        token = request.path_params["token"]
        named = hosted.named_in(token)
        if named is None:
            raise LinkUnknown
        try:
            async with self._db.transaction(readonly=True) as tx:
                payment = await payments.payment(tx, *named)
        except PaymentNotFound:
            raise LinkUnknown from None
        if not hosted.opens(token, payment):
            raise LinkUnknown
        if payment.created_at + LIFETIME <= self._clock.now():
            raise LinkExpired
        return Bill(token, payment)

    async def _page(self, request: Request, bill: Bill) -> Response:
        async with self._db.transaction(readonly=True) as tx:
            merchant = await merchants.merchant(tx, bill.payment.merchant_id)
            order = await _order(tx, bill.payment)
        return self._renderer.page(
            request,
            "hosted.html",
            path=bill.path,
            merchant=merchant,
            payment=bill.payment,
            order=order,
            way_back=way_back(bill.payment, order, self._base_url),
            now=self._clock.now(),
        )

    async def _code(self, request: Request, bill: Bill) -> Response:
        return code_of(await self._read(bill.payment))

    async def _state(self, request: Request, bill: Bill) -> Response:
        return self._live.state(await self._read(bill.payment))

    async def _events(self, request: Request, bill: Bill) -> Response:
        async def again() -> Order:
            return await self._read_anew(bill.payment)

        order = await self._read(bill.payment)
        return self._live.events(bill.payment.merchant_id, order, again)

    async def _read(self, payment: Payment) -> Order:
        async with self._db.transaction(readonly=True) as tx:
            return await _order(tx, payment)

    async def _read_anew(self, payment: Payment) -> Order:
        async with self._db.transaction(readonly=True) as tx:
            return await _order(tx, await payments.payment(tx, payment.merchant_id, payment.id))


async def _order(tx: Tx, payment: Payment) -> Order:
    if payment.latest_attempt is None:
        return payment_order(payment)
    found = await payments.charge(tx, payment.merchant_id, payment.latest_attempt)
    return payment_order(payment, found.attempt)


def way_back(payment: Payment, order: Order, base_url: str) -> str | None:
    """Return where the customer goes on, with the result, in Stripe's words.

    The pages of a wallet are no such place: their address opens them to whoever has it.
    """
    target = payment.return_url
    if target is None or target.startswith(f"{base_url}{WALLETS}/"):
        return None
    status = "succeeded" if order.stage == Stage.PAID else "failed"
    result = {"payment_intent": payment.id}
    if not order.is_open:
        result["redirect_status"] = status
    address, mark, fragment = target.partition("#")
    return f"{address}{'&' if '?' in address else '?'}{urlencode(result)}{mark}{fragment}"
