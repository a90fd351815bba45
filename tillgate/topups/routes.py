"""HTTP: top-ups."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tillgate.kernel.clock import from_unix
from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.ids import new_id
from tillgate.payments import queries as payments
from tillgate.payments import shown as payment_shown
from tillgate.payments import wire as payment_wire
from tillgate.payments.errors import PaymentFailed
from tillgate.payments.flows import Payments
from tillgate.payments.methods import Methods, confirmation_of
from tillgate.payments.providers import payable
from tillgate.topups import queries, wire
from tillgate.topups.flows import TopUps
from tillgate.topups.model import NewTopUp, TopUpView
from tillgate.wallets import queries as wallets
from tillgate.web.listing import ListOf, read_page, show_list
from tillgate.web.operation import Answer, Call, Operation, operation
from tillgate.web.reading import Nothing, read_metadata

_encode = msgspec.json.Encoder().encode


class Routes:
    """The handlers, over the money path."""

    def __init__(self, payments: Payments, top_ups: TopUps) -> None:
        self._payments = payments
        self._top_ups = top_ups
        self._methods = Methods(payments)
        self._db = payments.db

    async def create(self, call: Call, body: wire.CreateTopUp) -> wire.ShownTopUp | Answer:
        order = await self._order(call, body)
        try:
            view = await self._top_ups.create(order, payment_wire.trace_of(call))
        except PaymentFailed:
            return await self.answer(call, order.id)
        return wire.show_top_up(view, livemode=call.livemode)

    async def _order(self, call: Call, body: wire.CreateTopUp) -> NewTopUp:
        unit = payable(body.currency)
        expires_at = None if body.expires_at is None else from_unix(body.expires_at)
        if expires_at is not None and expires_at <= self._payments.clock.now():
            raise FieldRefused("expires_at", "expires_at must be in the future.")
        options = payment_wire.read_options(body.payment_method_options)
        method = await self._methods.named(call, body.payment_method, body.payment_method_data)
        if method is not None and method.is_ours:
            # Only the wallet's own customer may use it. Whether there is such a wallet is asked
            # with the order's other questions, under its locks.
            async with self._db.transaction(readonly=True) as tx:
                wallet = await wallets.wallet_terms(tx, call.merchant_id, body.wallet)
            await self._methods.require_customer(call, None, method, wallet.customer_id)
        types = await self._methods.types(call, unit, body.payment_method_types, method)
        return NewTopUp(
            merchant_id=call.merchant_id,
            id=new_id("top"),
            wallet_id=body.wallet,
            amount=body.amount,
            currency=unit,
            method_types=types,
            bonus_amount=body.bonus_amount,
            refund_policy=body.refund_policy,
            confirmation=confirmation_of(call, body, method, types, options),
            return_url=body.return_url,
            description=body.description,
            metadata=read_metadata(body.metadata),
            expires_at=expires_at,
        )

    async def retrieve(self, call: Call, _: Nothing) -> wire.ShownTopUp:
        return await self.show(call, call.id)

    async def show(self, call: Call, top_up_id: str) -> wire.ShownTopUp:
        """Show one top-up of the caller."""
        return wire.show_top_up(await self._view(call, top_up_id), livemode=call.livemode)

    async def list(self, call: Call, body: wire.ListTopUps) -> ListOf[wire.ShownTopUp]:
        async with self._db.transaction(readonly=True) as tx:
            if body.wallet is not None:
                await wallets.wallet_terms(tx, call.merchant_id, body.wallet)
            page = await read_page(
                body,
                "top",
                "top_up",
                lambda one: queries.is_top_up(tx, call.merchant_id, one, wallet_id=body.wallet),
            )
            rows = await queries.top_up_page(tx, call.merchant_id, page, wallet_id=body.wallet)
        return show_list(call, rows, lambda one: wire.show_top_up(one, livemode=call.livemode))

    async def resume(self, call: Call, object_id: str) -> wire.ShownTopUp | Answer:
        """Finish a request whose process died: ask the provider, show what is true."""
        view = await self._view(call, object_id)
        await self._payments.settle(call.merchant_id, view.payment.id)
        return await self.answer(call, object_id)

    async def answer(self, call: Call, top_up_id: str) -> wire.ShownTopUp | Answer:
        """Show a top-up as the request that charged it would have been answered."""
        view = await self._view(call, top_up_id)
        payment, charge = view.payment, None
        is_over = payment.open_attempt is None and payment.canceled_at is None
        if payment.latest_attempt is not None and (is_over or payment.last_error is not None):
            async with self._db.transaction(readonly=True) as tx:
                charge = await payments.charge(tx, call.merchant_id, payment.latest_attempt)
        # The payment's last error is gone as soon as anything else of it is changed.
        error = payment.last_error or (charge.attempt.error if charge else None)
        if charge is None or error is None:
            return wire.show_top_up(view, livemode=call.livemode)
        failure = payment_shown.show_failure(charge, error, call)
        return Answer(402, _encode(wire.show_failure(failure, view, livemode=call.livemode)))

    async def _view(self, call: Call, top_up_id: str) -> TopUpView:
        async with self._db.transaction(readonly=True) as tx:
            return await queries.top_up(tx, call.merchant_id, top_up_id)

    def operations(self) -> Sequence[Operation]:
        """Return the rows of this room."""
        shown = wire.ShownTopUp
        return (
            operation(
                "POST", "/v1/top_ups", wire.CreateTopUp, shown, self.create, "Create a top-up",
                description="Opens a payment that pays straight into the wallet and charges it. For"
                " alipay and wechat_pay next_action says what to show the customer.",
                resume=self.resume, takes_key=True,
                example={"wallet": "wal_…", "amount": 10000, "currency": "cny",
                         "payment_method": "wechat_pay"},
            ),
            operation(
                "GET", "/v1/top_ups", wire.ListTopUps, ListOf[shown], self.list,
                "List top-ups",
            ),
            operation("GET", "/v1/top_ups/{top_up}", Nothing, shown, self.retrieve, "Retrieve a top-up"),
        )  # fmt: skip
