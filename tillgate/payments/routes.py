"""HTTP: payment_intents, charges and refunds."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.ids import new_id
from tillgate.ledger import queries as ledger
from tillgate.payments import queries, refunds, shown, wire
from tillgate.payments.errors import (
    ChargeNotFound,
    PaymentFailed,
    PaymentNotFound,
    RefundNotCancelable,
    UnexpectedState,
)
from tillgate.payments.flows import Payments
from tillgate.payments.machine import CONFIRMABLE, PaymentStatus, Status
from tillgate.payments.methods import Methods, confirmation_changes, confirmation_of
from tillgate.payments.model import Charge, NewPayment, NewRefund, Payment, RefundView
from tillgate.payments.providers import payable
from tillgate.runtime.db import Tx
from tillgate.web.auth import Caller, KeyMayNot
from tillgate.web.listing import ListOf, read_page, show_list
from tillgate.web.operation import Answer, Call, Operation, operation
from tillgate.web.reading import Nothing, given, read_metadata, read_metadata_change
from tillgate.web.refusals import Envelope, error_of

_encode = msgspec.json.Encoder().encode

#: How a payment stands whose capture came to nothing: still reserved, or let go since.
_NOT_CAPTURED = CONFIRMABLE | {PaymentStatus.REQUIRES_CAPTURE, PaymentStatus.CANCELED}
#: Attempts that can be asked for as charges, though not all of them are listed.
_EVER_CHARGED = (*shown.CHARGED, Status.CLOSED.value, Status.RETURNED.value)


class Routes:
    """The handlers, over the money path."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments
        self._db = payments.db
        self._methods = Methods(payments)

    # Payment intents ---------------------------------------------------------------------------

    async def create(self, call: Call, body: wire.CreateIntent) -> shown.ShownIntent | Answer:
        unit = payable(body.currency)
        options = wire.read_options(body.payment_method_options)
        customer_id = body.customer or None
        method = await self._methods.named(
            call, body.payment_method or None, body.payment_method_data
        )
        await self._methods.require_customer(call, customer_id, method)
        types = await self._methods.types(call, unit, wire.read_types(body), method)
        types = wire.without_redirects(types, body, method.kind if method else None)
        order = NewPayment(
            merchant_id=call.merchant_id,
            id=new_id("pi"),
            amount=body.amount,
            currency=unit,
            method_types=types,
            capture_method=body.capture_method,
            confirmation_method=body.confirmation_method,
            customer_id=customer_id,
            payment_method=method.name if method else None,
            method_options=options,
            return_url=body.return_url,
            shipping=msgspec.to_builtins(body.shipping) if body.shipping else None,
            metadata=read_metadata(body.metadata),
            confirmation=confirmation_of(call, body, method, types, options),
            **wire.read_terms(body),
        )
        return await self._shown(call, self._payments.create(order, wire.trace_of(call)))

    async def confirm(self, call: Call, body: wire.ConfirmIntent) -> shown.ShownIntent | Answer:
        return await self._shown(call, self._confirm(call, body))

    async def _confirm(self, call: Call, body: wire.ConfirmIntent) -> Payment:
        payment = await self._readable(call, body.client_secret)
        if is_publishable(call.caller) and body.capture_method is not None:
            raise KeyMayNot
        if payment.status not in CONFIRMABLE or payment.open_attempt is not None:
            raise UnexpectedState("confirm", payment.status, payment)
        given_options = wire.read_options(body.payment_method_options)
        options = {**payment.method_options, **given_options}
        given = body.payment_method or (
            None if body.payment_method_data else payment.payment_method
        )
        method = await self._methods.named(call, given, body.payment_method_data)
        await self._methods.require_customer(call, None, method, payment.customer_id)
        confirmation = confirmation_of(call, body, method, payment.method_types, options, must=True)
        assert confirmation is not None, "a method is required"
        changes = confirmation_changes(payment, body, method, given_options)
        return await self._payments.confirm(payment, confirmation, wire.trace_of(call), changes)

    async def update(self, call: Call, body: wire.ChangeIntent) -> shown.ShownIntent | Answer:
        payment = await self._payment(call, call.id)
        method = await self._methods.named(
            call, body.payment_method or None, body.payment_method_data
        )
        if body.customer is not UNSET:
            await self._methods.require_customer(call, body.customer, method)
        changes = wire.read_changes(body)
        if body.currency is not None:
            changes["currency"] = payable(body.currency)
        if method is not None:
            changes["payment_method"] = method.name
        updating = self._payments.update(call.merchant_id, payment.id, changes, wire.trace_of(call))
        return await self._shown(call, updating)

    async def capture(self, call: Call, body: wire.CaptureIntent) -> shown.ShownIntent | Answer:
        if not body.final_capture:
            raise FieldRefused("final_capture", "There is one capture; it releases the rest.")
        amount, words, trace = (
            given(body.amount_to_capture),
            wire.read_words(body),
            wire.trace_of(call),
        )
        capturing = self._payments.capture(call.merchant_id, call.id, amount, trace, words)
        return await self._shown(call, capturing)

    async def cancel(self, call: Call, body: wire.CancelIntent) -> shown.ShownIntent | Answer:
        reason = body.cancellation_reason or "requested"
        canceling = self._payments.cancel(call.merchant_id, call.id, reason, wire.trace_of(call))
        return await self._shown(call, canceling)

    async def retrieve(self, call: Call, body: wire.RetrieveIntent) -> shown.ShownIntent:
        payment = await self._readable(call, body.client_secret)
        return shown.show_intent(payment, livemode=call.livemode)

    async def show(self, call: Call, payment_id: str) -> shown.ShownIntent:
        """Show one payment of the caller."""
        return shown.show_intent(await self._payment(call, payment_id), livemode=call.livemode)

    async def list(self, call: Call, body: wire.ListIntents) -> ListOf[shown.ShownIntent]:
        async with self._db.transaction(readonly=True) as tx:
            page = await read_page(
                body,
                "pi",
                "payment_intent",
                lambda one: queries.is_payment(
                    tx, call.merchant_id, one, customer_id=body.customer
                ),
            )
            rows = await queries.payment_page(tx, call.merchant_id, page, customer_id=body.customer)
        return show_list(call, rows, lambda one: shown.show_intent(one, livemode=call.livemode))

    async def resume(self, call: Call, object_id: str) -> shown.ShownIntent | Answer:
        """Finish a request whose process died: ask the provider, show what is true."""
        settled = await self._payments.settle(call.merchant_id, object_id)
        assert isinstance(settled, Payment), "payments are attached to these requests"
        return await self.answer(call, settled)

    async def resume_cancel(self, call: Call, object_id: str) -> shown.ShownIntent | Answer:
        """Finish a cancellation whose process died; one that came too late is refused."""
        payment = await self._payments.settle(call.merchant_id, object_id)
        assert isinstance(payment, Payment), "payments are attached to these requests"
        if payment.status == PaymentStatus.SUCCEEDED:
            return refused(UnexpectedState("cancel", payment.status, payment), payment, call)
        return shown.show_intent(payment, livemode=call.livemode)

    async def resume_capture(self, call: Call, object_id: str) -> shown.ShownIntent | Answer:
        """Finish a capture whose process died; one that the provider refused stays refused."""
        payment = await self._payments.settle(call.merchant_id, object_id)
        assert isinstance(payment, Payment), "payments are attached to these requests"
        return await self.answer(call, payment, _NOT_CAPTURED)

    async def answer(
        self, call: Call, payment: Payment, failed_in: Collection[str] = CONFIRMABLE
    ) -> shown.ShownIntent | Answer:
        """Show a payment as the request that charged it would have been answered.

        What went wrong its latest attempt knows, whatever else of the payment was changed since.
        """
        charge = None
        if payment.status in failed_in and payment.latest_attempt is not None:
            async with self._db.transaction(readonly=True) as tx:
                charge = await queries.charge(tx, call.merchant_id, payment.latest_attempt)
        error = payment.last_error or (charge.attempt.error if charge else None)
        if charge is None or error is None:
            return shown.show_intent(payment, livemode=call.livemode)
        return failed(charge, error, call)

    async def _shown(self, call: Call, work: Any) -> shown.ShownIntent | Answer:
        try:
            payment: Payment = await work
        except PaymentFailed as failure:
            if not isinstance(failure.payment, Charge):
                raise
            return failed(failure.payment, failure.error, call)
        except UnexpectedState as refusal:
            if not isinstance(refusal.payment, Payment):
                raise
            return refused(refusal, refusal.payment, call)
        return shown.show_intent(payment, livemode=call.livemode)

    async def _payment(self, call: Call, payment_id: str) -> Payment:
        async with self._db.transaction(readonly=True) as tx:
            return await queries.payment(tx, call.merchant_id, payment_id)

    async def _readable(self, call: Call, client_secret: str | None) -> Payment:
        """Return the payment in the path; who holds a publishable key must know its secret."""
        payment = await self._payment(call, call.id)
        if is_publishable(call.caller):
            given = wire.read_client_secret(client_secret)
            if not hmac.compare_digest(given.encode(), payment.client_secret.encode()):
                raise PaymentNotFound(call.id)
        elif client_secret is not None and client_secret != payment.client_secret:
            raise FieldRefused(
                "client_secret", "The client_secret provided does not match this PaymentIntent."
            )
        return payment

    # Charges -----------------------------------------------------------------------------------

    async def retrieve_charge(self, call: Call, _: Nothing) -> shown.ShownCharge:
        return await self.show_charge(call, call.id)

    async def show_charge(self, call: Call, charge_id: str) -> shown.ShownCharge:
        """Show one charge of the caller."""
        async with self._db.transaction(readonly=True) as tx:
            charge = await self._charge(tx, call, charge_id)
            booked = await ledger.journals_of(
                tx, call.merchant_id, [f"payment:{charge.attempt.id}"]
            )
        return _show_charge(charge, booked, call)

    async def list_charges(self, call: Call, body: wire.ListCharges) -> ListOf[shown.ShownCharge]:
        async with self._db.transaction(readonly=True) as tx:
            page = await read_page(
                body,
                "ch",
                "charge",
                lambda one: queries.is_charge(
                    tx,
                    call.merchant_id,
                    _attempt_of(one),
                    statuses=_EVER_CHARGED,
                    payment_id=body.payment_intent,
                    customer_id=body.customer,
                ),
            )
            rows = await queries.charge_page(
                tx,
                call.merchant_id,
                page.under("att"),
                statuses=shown.CHARGED,
                payment_id=body.payment_intent,
                customer_id=body.customer,
            )
            causes = [f"payment:{one.attempt.id}" for one in rows.data]
            booked = await ledger.journals_of(tx, call.merchant_id, causes)
        return show_list(call, rows, lambda one: _show_charge(one, booked, call))

    async def _charge(self, tx: Tx, call: Call, charge_id: str, param: str = "id") -> Charge:
        if not charge_id.startswith("ch_"):
            raise ChargeNotFound(charge_id, param=param)
        try:
            charge = await queries.charge(tx, call.merchant_id, _attempt_of(charge_id))
        except ChargeNotFound:
            raise ChargeNotFound(charge_id, param=param) from None
        if charge.attempt.status not in _EVER_CHARGED:
            raise ChargeNotFound(charge_id, param=param)
        return charge

    # Refunds -----------------------------------------------------------------------------------

    async def create_refund(
        self, call: Call, body: wire.CreateRefund
    ) -> shown.ShownRefund | Answer:
        payment_id, attempt_id = await self._what_to_refund(call, body)
        order = NewRefund(
            merchant_id=call.merchant_id,
            id=new_id("re"),
            payment_id=payment_id,
            attempt_id=attempt_id,
            amount=given(body.amount),
            reason=body.reason,
            metadata=read_metadata(body.metadata),
        )
        view = await self._payments.refund(order, wire.trace_of(call))
        return await self._shown_refund(call, view)

    async def _what_to_refund(self, call: Call, body: wire.CreateRefund) -> tuple[str, str | None]:
        if body.payment_intent is None and body.charge is None:
            raise FieldRefused(
                "payment_intent",
                "One of the following params should be provided for this request: payment_intent or"
                " charge.",
                code="parameter_missing",
            )
        if body.charge is None:
            return body.payment_intent or "", None
        async with self._db.transaction(readonly=True) as tx:
            charge = await self._charge(tx, call, body.charge, "charge")
        if body.payment_intent not in {None, charge.payment.id}:
            raise FieldRefused("charge", "The charge does not belong to this payment_intent.")
        return charge.payment.id, charge.attempt.id

    async def update_refund(self, call: Call, body: wire.ChangeRefund) -> shown.ShownRefund:
        async with self._db.transaction() as tx:
            view = await refunds.annotate(
                tx,
                call.merchant_id,
                call.id,
                read_metadata_change(body.metadata),
                wire.trace_of(call),
                at=self._payments.clock.now(),
            )
        return await self._shown_refund(call, view)

    async def cancel_refund(self, call: Call, _: Nothing) -> shown.ShownRefund:
        async with self._db.transaction(readonly=True) as tx:
            view = await queries.refund(tx, call.merchant_id, call.id)
        raise RefundNotCancelable(view.refund.status)

    async def retrieve_refund(self, call: Call, _: Nothing) -> shown.ShownRefund:
        return await self.show_refund(call, call.id)

    async def show_refund(self, call: Call, refund_id: str) -> shown.ShownRefund:
        """Show one refund of the caller."""
        async with self._db.transaction(readonly=True) as tx:
            view = await queries.refund(tx, call.merchant_id, refund_id)
        return await self._shown_refund(call, view)

    async def list_refunds(self, call: Call, body: wire.ListRefunds) -> ListOf[shown.ShownRefund]:
        attempt_id = None if body.charge is None else _attempt_of(body.charge)
        async with self._db.transaction(readonly=True) as tx:
            page = await read_page(
                body,
                "re",
                "refund",
                lambda one: queries.is_refund(
                    tx,
                    call.merchant_id,
                    one,
                    payment_id=body.payment_intent,
                    attempt_id=attempt_id,
                ),
            )
            rows = await queries.refund_page(
                tx,
                call.merchant_id,
                page,
                payment_id=body.payment_intent,
                attempt_id=attempt_id,
            )
            causes = [cause for one in rows.data for cause in shown.causes_of(one)]
            booked = await ledger.journals_of(tx, call.merchant_id, causes)
        return show_list(call, rows, lambda one: _show_refund(one, booked, call))

    async def resume_refund(self, call: Call, object_id: str) -> shown.ShownRefund:
        """Finish a refund whose process died."""
        settled = await self._payments.settle(call.merchant_id, object_id)
        assert isinstance(settled, RefundView), "refunds are attached to these requests"
        return await self._shown_refund(call, settled)

    async def resume_update_refund(self, call: Call, _: str) -> shown.ShownRefund:
        return await self.show_refund(call, call.id)

    async def _shown_refund(self, call: Call, view: RefundView) -> shown.ShownRefund:
        async with self._db.transaction(readonly=True) as tx:
            booked = await ledger.journals_of(tx, call.merchant_id, shown.causes_of(view))
        return _show_refund(view, booked, call)

    def operations(self) -> Sequence[Operation]:
        return (*self._intents(), *self._charges(), *self._refunds())

    def _intents(self) -> Sequence[Operation]:
        one, all_ = "/v1/payment_intents/{intent}", "/v1/payment_intents"
        view = shown.ShownIntent
        return (
            operation(
                "POST", all_, wire.CreateIntent, view, self.create, "Create a payment",
                description="With confirm=true it is charged at once. alipay and wechat_pay answer"
                " with a next_action: a QR code to show or an address to go to.",
                resume=self.resume, takes_key=True,
                example={"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa",
                         "payment_method_types": ["card"], "confirm": True},
            ),
            operation("GET", all_, wire.ListIntents, ListOf[view], self.list, "List payments"),
            operation(
                "GET", one, wire.RetrieveIntent, view, self.retrieve, "Retrieve a payment",
                publishable=True,
            ),
            operation(
                "POST", one, wire.ChangeIntent, view, self.update, "Update a payment",
                resume=self.show, example={"metadata": {"order": "6735"}},
            ),
            operation(
                "POST", f"{one}/confirm", wire.ConfirmIntent, view, self.confirm,
                "Confirm a payment", publishable=True, resume=self.resume,
                example={"payment_method": "pm_card_visa"},
            ),
            operation(
                "POST", f"{one}/capture", wire.CaptureIntent, view, self.capture,
                "Capture a payment", resume=self.resume_capture, example={"amount_to_capture": 800},
            ),
            operation(
                "POST", f"{one}/cancel", wire.CancelIntent, view, self.cancel, "Cancel a payment",
                description="An order that could still be paid is closed at the provider first.",
                resume=self.resume_cancel, example={"cancellation_reason": "abandoned"},
            ),
        )  # fmt: skip

    def _charges(self) -> Sequence[Operation]:
        view = shown.ShownCharge
        return (
            operation(
                "GET", "/v1/charges", wire.ListCharges, ListOf[view], self.list_charges,
                "List charges",
            ),
            operation(
                "GET", "/v1/charges/{charge}", Nothing, view, self.retrieve_charge,
                "Retrieve a charge",
            ),
        )  # fmt: skip

    def _refunds(self) -> Sequence[Operation]:
        one, all_, view = "/v1/refunds/{refund}", "/v1/refunds", shown.ShownRefund
        return (
            operation(
                "POST", all_, wire.CreateRefund, view, self.create_refund, "Create a refund",
                resume=self.resume_refund, takes_key=True,
                example={"payment_intent": "pi_…", "amount": 500},
            ),
            operation("GET", all_, wire.ListRefunds, ListOf[view], self.list_refunds, "List refunds"),
            operation("GET", one, Nothing, view, self.retrieve_refund, "Retrieve a refund"),
            operation(
                "POST", one, wire.ChangeRefund, view, self.update_refund, "Update a refund",
                resume=self.resume_update_refund, example={"metadata": {"case": "17"}},
            ),
            operation(
                "POST", f"{one}/cancel", Nothing, view, self.cancel_refund, "Cancel a refund",
                description="Always refused: what has been ordered from the provider stands.",
                resume=self.resume_update_refund,
            ),
        )  # fmt: skip


def is_publishable(caller: Caller) -> bool:
    """Whether the key may stand in a browser."""
    return caller.kind == "publishable"


def failed(charge: Charge, error: dict[str, Any], call: Call) -> Answer:
    """Answer 402 with the payment inside."""
    return Answer(402, _encode(shown.show_failure(charge, error, call)))


def refused(refusal: UnexpectedState, payment: Payment, call: Call) -> Answer:
    """Answer 400 with the payment as it stands inside."""
    status, error = error_of(refusal, call.request_id)
    intent = msgspec.to_builtins(shown.show_intent(payment, livemode=call.livemode))
    return Answer(status, _encode(Envelope(msgspec.structs.replace(error, payment_intent=intent))))


def _attempt_of(charge_id: str) -> str:
    return f"att_{charge_id.removeprefix('ch_')}"


def _transaction_id(booked: dict[str, int], cause: str) -> str | None:
    return f"txn_{booked[cause]:012d}" if cause in booked else None


def _show_charge(charge: Charge, booked: dict[str, int], call: Call) -> shown.ShownCharge:
    name = _transaction_id(booked, f"payment:{charge.attempt.id}")
    return shown.show_charge(charge, livemode=call.livemode, balance_transaction=name)


def _show_refund(view: RefundView, booked: dict[str, int], call: Call) -> shown.ShownRefund:
    made, failed = (_transaction_id(booked, cause) for cause in shown.causes_of(view))
    return shown.show_refund(
        view, livemode=call.livemode, balance_transaction=made, failure_balance_transaction=failed
    )
