"""HTTP: customers and payment methods."""

from __future__ import annotations

from collections.abc import Sequence

from tillgate.customers import commands, queries, wire
from tillgate.customers.machine import test_token
from tillgate.customers.model import Change, Customer, PaymentMethod
from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Refusal
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.once import OnceLane
from tillgate.web.listing import ListOf, read_page, show_list
from tillgate.web.operation import Answer, Call, Operation, operation
from tillgate.web.reading import Nothing


class Routes:
    """The handlers, over one lane of changes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._lane: OnceLane[Change, Customer | PaymentMethod] = OnceLane(db, clock, self._apply)

    async def _apply(
        self, tx: Tx, changes: Sequence[Change]
    ) -> Sequence[Customer | PaymentMethod | Refusal]:
        return await commands.apply(tx, changes, at=self._clock.now())

    async def _change(self, call: Call, change: Change) -> Answer:
        livemode = call.livemode

        def show(thing: Customer | PaymentMethod) -> object:
            if isinstance(thing, PaymentMethod):
                return wire.show_method(thing, livemode=livemode)
            return wire.show_present_or_deleted(thing, livemode=livemode)

        return await call.once(self._lane, change, show)

    async def create(self, call: Call, body: wire.CreateCustomer) -> Answer:
        return await self._change(call, wire.read_new_customer(call, body, self._clock.now()))

    async def update(self, call: Call, body: wire.ChangeCustomer) -> Answer:
        return await self._change(call, wire.read_customer_change(call, body))

    async def delete(self, call: Call, _: Nothing) -> Answer:
        trace = wire.trace_of(call)
        change = Change(merchant_id=call.merchant_id, id=call.id, delete=True, trace=trace)
        return await self._change(call, change)

    async def retrieve(self, call: Call, _: Nothing) -> wire.ShownCustomer | wire.DeletedCustomer:
        return await self.show_customer(call, call.id)

    async def show_customer(
        self, call: Call, customer_id: str
    ) -> wire.ShownCustomer | wire.DeletedCustomer:
        """Show one customer of the caller."""
        async with self._db.transaction(readonly=True) as tx:
            customer = await queries.customer(tx, call.merchant_id, customer_id)
        return wire.show_present_or_deleted(customer, livemode=call.livemode)

    async def list(self, call: Call, body: wire.ListCustomers) -> ListOf[wire.ShownCustomer]:
        async with self._db.transaction(readonly=True) as tx:
            page = await read_page(
                body, "cus", "customer", lambda one: queries.is_customer(tx, call.merchant_id, one)
            )
            rows = await queries.customers(tx, call.merchant_id, page, email=body.email)
        return show_list(call, rows, lambda one: wire.show_customer(one, livemode=call.livemode))

    async def create_method(self, call: Call, body: wire.CreateMethod) -> Answer:
        return await self._change(call, wire.read_new_method(call, body, self._clock.now()))

    async def update_method(self, call: Call, body: wire.ChangeMethod) -> Answer:
        return await self._change(call, wire.read_method_change(call, body))

    async def attach(self, call: Call, body: wire.AttachMethod) -> Answer:
        change = Change(
            merchant_id=call.merchant_id,
            id=wire.read_token(call.id, livemode=call.livemode),
            attach_to=body.customer,
            trace=wire.trace_of(call),
        )
        return await self._change(call, change)

    async def detach(self, call: Call, _: Nothing) -> Answer:
        trace = wire.trace_of(call)
        change = Change(merchant_id=call.merchant_id, id=call.id, attach_to="", trace=trace)
        return await self._change(call, change)

    async def retrieve_method(self, call: Call, _: Nothing) -> wire.ShownMethod:
        return await self.show_method(call, call.id)

    async def show_method(self, call: Call, method_id: str) -> wire.ShownMethod:
        """Show one payment method of the caller; in test mode a test token too."""
        token = None if call.livemode else test_token(method_id)
        if token is not None:
            method = wire.test_method(call.merchant_id, token, self._clock.now())
            return wire.show_method(method, livemode=False)
        async with self._db.transaction(readonly=True) as tx:
            method = await queries.method(tx, call.merchant_id, method_id)
        return wire.show_method(method, livemode=call.livemode)

    async def retrieve_customer_method(self, call: Call, _: Nothing) -> wire.ShownMethod:
        customer_id, method_id = call.ids
        async with self._db.transaction(readonly=True) as tx:
            await queries.present_customer(tx, call.merchant_id, customer_id)
            method = await queries.method(tx, call.merchant_id, method_id)
        if method.customer_id != customer_id:
            raise commands.MethodNotFound(method_id)
        return wire.show_method(method, livemode=call.livemode)

    async def list_methods(self, call: Call, body: wire.ListMethods) -> ListOf[wire.ShownMethod]:
        return await self._methods(call, body.customer, body, "customer")

    async def list_customer_methods(
        self, call: Call, body: wire.ListCustomerMethods
    ) -> ListOf[wire.ShownMethod]:
        return await self._methods(call, call.id, body, "id")

    async def _methods(
        self,
        call: Call,
        customer_id: str,
        body: wire.ListMethods | wire.ListCustomerMethods,
        param: str,
    ) -> ListOf[wire.ShownMethod]:
        async with self._db.transaction(readonly=True) as tx:
            await queries.present_customer(tx, call.merchant_id, customer_id, param=param)
            page = await read_page(
                body,
                "pm",
                "PaymentMethod",
                lambda one: queries.is_method(tx, call.merchant_id, one, customer_id=customer_id),
            )
            rows = await queries.methods(
                tx,
                call.merchant_id,
                customer_id,
                page,
                kind=body.type,
                redisplay=body.allow_redisplay,
            )
        return show_list(call, rows, lambda one: wire.show_method(one, livemode=call.livemode))

    def operations(self) -> Sequence[Operation]:
        """Return the rows of this room."""
        customer = wire.ShownCustomer
        method = wire.ShownMethod
        return (
            operation(
                "POST", "/v1/customers", wire.CreateCustomer, customer, self.create,
                "Create a customer", example={"name": "Li Lei", "email": "li@example.com"},
            ),
            operation(
                "GET", "/v1/customers", wire.ListCustomers, ListOf[customer], self.list,
                "List customers",
            ),
            operation(
                "GET", "/v1/customers/{customer}", Nothing, customer | wire.DeletedCustomer,
                self.retrieve, "Retrieve a customer",
            ),
            operation(
                "POST", "/v1/customers/{customer}", wire.ChangeCustomer, customer, self.update,
                "Update a customer", example={"metadata": {"loyalty": "gold"}},
            ),
            operation(
                "DELETE", "/v1/customers/{customer}", Nothing, wire.DeletedCustomer, self.delete,
                "Delete a customer",
            ),
            operation(
                "GET", "/v1/customers/{customer}/payment_methods", wire.ListCustomerMethods,
                ListOf[method], self.list_customer_methods, "List a customer's payment methods",
            ),
            operation(
                "GET", "/v1/customers/{customer}/payment_methods/{payment_method}", Nothing, method,
                self.retrieve_customer_method, "Retrieve a customer's payment method",
            ),
            operation(
                "POST", "/v1/payment_methods", wire.CreateMethod, method, self.create_method,
                "Create a payment method",
                description="Cards are given by the provider's token. In test mode the documented"
                " test numbers are accepted too and mapped to their tokens.",
                example={"type": "card", "card": {"token": "tok_visa"}},
            ),
            operation(
                "GET", "/v1/payment_methods", wire.ListMethods, ListOf[method], self.list_methods,
                "List payment methods of a customer",
            ),
            operation(
                "GET", "/v1/payment_methods/{payment_method}", Nothing, method,
                self.retrieve_method, "Retrieve a payment method",
            ),
            operation(
                "POST", "/v1/payment_methods/{payment_method}", wire.ChangeMethod, method,
                self.update_method, "Update a payment method",
            ),
            operation(
                "POST", "/v1/payment_methods/{payment_method}/attach", wire.AttachMethod, method,
                self.attach, "Attach a payment method to a customer",
                example={"customer": "cus_…"},
            ),
            operation(
                "POST", "/v1/payment_methods/{payment_method}/detach", Nothing, method,
                self.detach, "Detach a payment method from its customer",
            ),
        )  # fmt: skip
