"""Changing customers and payment methods, a batch at a time, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from tillgate.customers import store
from tillgate.customers.errors import (
    CustomerNotFound,
    MethodAttached,
    MethodDetached,
    MethodNotAttached,
    MethodNotFound,
    NotOfCustomer,
)
from tillgate.customers.machine import card_details
from tillgate.customers.model import Change, Customer, PaymentMethod
from tillgate.kernel import metadata
from tillgate.kernel.errors import Refusal
from tillgate.kernel.facts import Fact
from tillgate.kernel.ids import new_id
from tillgate.runtime import outbox
from tillgate.runtime.db import Tx

Thing = Customer | PaymentMethod
Key = tuple[int, str]
Value = TypeVar("Value", Customer, PaymentMethod)

#: What the API calls a customer's default payment method.
_DEFAULT: Final = "invoice_settings[default_payment_method]"
_encode = msgspec.json.Encoder().encode


class _Desk:
    """Locked customers and methods of a batch, changed in memory and written once."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.customers: dict[Key, Customer] = {}
        self.methods: dict[Key, PaymentMethod] = {}
        self.new: set[Key] = set()
        self.changed: set[Key] = set()
        self.facts: list[Fact] = []

    async def load(self, tx: Tx, changes: Sequence[Change]) -> None:
        """Lock what the batch names, customers before methods."""
        customers, methods = _named(changes)
        detached = {(one.merchant_id, one.id) for one in changes if one.attach_to == ""}
        if detached:
            customers |= await store.select_owners(tx, detached)
        if customers:
            found = await store.lock_customers(tx, customers)
            self.customers.update({(one.merchant_id, one.id): one for one in found})
        if methods:
            rows = await store.lock_methods(tx, methods)
            self.methods.update({(one.merchant_id, one.id): one for one in rows})

    async def save(self, tx: Tx) -> None:
        """Write everything."""
        new_customers, changed_customers = self._parts(self.customers)
        new_methods, changed_methods = self._parts(self.methods)
        if new_customers:
            await store.insert_customers(tx, new_customers)
        if changed_customers:
            await store.update_customers(tx, changed_customers)
        if new_methods:
            await store.insert_methods(tx, new_methods)
        if changed_methods:
            await store.update_methods(tx, changed_methods)
        outbox.publish(tx, self.facts)

    def customer(self, merchant_id: int, customer_id: str, *, param: str | None = None) -> Customer:
        """Return a customer that is there and not deleted, or refuse."""
        customer = self.customers.get((merchant_id, customer_id))
        if customer is None or customer.deleted_at is not None:
            raise CustomerNotFound(customer_id, param=param)
        return customer

    def put(
        self,
        thing: Thing,
        name: str | None,
        change: Change,
        previous: dict[str, Any] | None = None,
        told: Thing | None = None,
    ) -> None:
        """Take in a new or changed thing and say so (of `told`, where that is another view)."""
        key = (thing.merchant_id, thing.id)
        if isinstance(thing, Customer):
            is_new = key not in self.customers
            self.customers[key] = thing
        else:
            is_new = key not in self.methods
            self.methods[key] = thing
        (self.new if is_new else self.changed).add(key)
        if name is not None:
            self._say(told or thing, name, change, previous)

    def _say(
        self, thing: Thing, name: str, change: Change, previous: dict[str, Any] | None
    ) -> None:
        self.facts.append(
            Fact(
                merchant_id=thing.merchant_id,
                id=new_id("evt"),
                name=name,
                object_id=thing.id,
                sequence=thing.sequence,
                data=_encode(thing),
                at=self.at,
                request_id=change.trace.request_id,
                idempotency_key=change.trace.idempotency_key,
                previous=_encode(previous) if previous else None,
            )
        )

    def _parts(self, things: dict[Key, Value]) -> tuple[list[Value], list[Value]]:
        new = [thing for key, thing in things.items() if key in self.new]
        changed = [
            thing for key, thing in things.items() if key in self.changed and key not in self.new
        ]
        return new, changed


async def apply(tx: Tx, changes: Sequence[Change], *, at: datetime) -> list[Thing | Refusal]:
    """Make each change, or refuse it, on what the ones before left."""
    desk = _Desk(at)
    await desk.load(tx, changes)
    results = [_apart(desk, change) for change in changes]
    await desk.save(tx)
    return results


def _apart(desk: _Desk, change: Change) -> Thing | Refusal:
    try:
        return _apply(desk, change)
    except Refusal as refusal:
        return refusal


def _apply(desk: _Desk, change: Change) -> Thing:
    if change.new is not None:
        return _add(desk, change, change.new)
    if change.id.startswith("pm_"):
        if change.attach_to is not None:
            return _move(desk, change)
        return _change_method(desk, change)
    if change.delete:
        return _delete(desk, change)
    return _change_customer(desk, change)


def _add(desk: _Desk, change: Change, new: Thing) -> Thing:
    if isinstance(new, PaymentMethod):
        if new.customer_id is not None:
            desk.customer(new.merchant_id, new.customer_id, param="customer")
        # A method that belongs to nobody is no news to anybody.
        name = "payment_method.attached" if new.customer_id else None
        desk.put(new, name, change)
        return new
    if not change.attach_to:
        desk.put(new, "customer.created", change)
        return new
    # Refused before anything is put on the desk, if it is to be refused.
    method = _to_attach(desk, change.merchant_id, change.attach_to, new.id)
    if new.default_payment_method:
        new = msgspec.structs.replace(new, default_payment_method=method.id)
    desk.put(new, "customer.created", change)
    desk.put(method, "payment_method.attached", change)
    return new


def _change_customer(desk: _Desk, change: Change) -> Customer:
    before = desk.customer(change.merchant_id, change.id)
    default = change.changes.get("default_payment_method")
    if default is not None:
        method = desk.methods.get((change.merchant_id, default))
        if method is None:
            raise MethodNotFound(default, param=_DEFAULT)
        if method.customer_id != change.id:
            raise NotOfCustomer(default, change.id, param=_DEFAULT)
    after = msgspec.structs.replace(before, **_merged(before, change.changes))
    return _put_changed(desk, before, after, "customer.updated", change)


def _change_method(desk: _Desk, change: Change) -> PaymentMethod:
    before = desk.methods.get((change.merchant_id, change.id))
    if before is None:
        raise MethodNotFound(change.id)
    changes = _merged(before, change.changes)
    for name in ("details", "billing_details"):
        if name in changes:
            changes[name] = {**getattr(before, name), **changes[name]}
    after = msgspec.structs.replace(before, **changes)
    return _put_changed(desk, before, after, "payment_method.updated", change)


def _put_changed(desk: _Desk, before: Value, after: Value, name: str, change: Change) -> Value:
    previous = {
        field: getattr(before, field)
        for field in before.__struct_fields__
        if getattr(before, field) != getattr(after, field)
    }
    if not previous:
        return before
    after = msgspec.structs.replace(after, sequence=before.sequence + 1)
    desk.put(after, name, change, previous)
    return after


def _delete(desk: _Desk, change: Change) -> Customer:
    customer = desk.customer(change.merchant_id, change.id)
    # What could identify the person goes; that somebody paid stays in the books.
    gone = Customer(
        merchant_id=customer.merchant_id,
        id=customer.id,
        sequence=customer.sequence + 1,
        created_at=customer.created_at,
        deleted_at=desk.at,
    )
    # The fact carries the customer as it last was.
    last = msgspec.structs.replace(customer, sequence=gone.sequence, deleted_at=desk.at)
    desk.put(gone, "customer.deleted", change, told=last)
    return gone


def _move(desk: _Desk, change: Change) -> PaymentMethod:
    if change.attach_to:
        desk.customer(change.merchant_id, change.attach_to, param="customer")
        method = _to_attach(desk, change.merchant_id, change.id, change.attach_to)
        desk.put(method, "payment_method.attached", change)
        return method
    method = desk.methods.get((change.merchant_id, change.id))
    if method is None:
        raise MethodNotFound(change.id)
    if method.customer_id is None:
        raise MethodNotAttached(change.id)
    owner = desk.customers.get((change.merchant_id, method.customer_id))
    if owner is not None and owner.default_payment_method == method.id:
        cleared = msgspec.structs.replace(owner, default_payment_method=None)
        _put_changed(desk, owner, cleared, "customer.updated", change)
    after = msgspec.structs.replace(
        method, customer_id=None, detached_at=desk.at, sequence=method.sequence + 1
    )
    desk.put(after, "payment_method.detached", change, {"customer_id": method.customer_id})
    return after


def _to_attach(desk: _Desk, merchant_id: int, method_id: str, customer_id: str) -> PaymentMethod:
    """Return a method as the customer's: one of ours, or a fresh one of a test token."""
    method = desk.methods.get((merchant_id, method_id))
    if method is not None:
        if method.detached_at is not None:
            raise MethodDetached(method_id)
        if method.customer_id not in {None, customer_id}:
            raise MethodAttached(method_id)
        return msgspec.structs.replace(
            method, customer_id=customer_id, sequence=method.sequence + 1
        )
    if not method_id.startswith("pm_card_"):
        raise MethodNotFound(method_id)
    return PaymentMethod(
        merchant_id=merchant_id,
        id=new_id("pm"),
        customer_id=customer_id,
        type="card",
        provider_token=method_id,
        details=card_details(method_id),
        created_at=desk.at,
    )


def _merged(before: Thing, changes: dict[str, Any]) -> dict[str, Any]:
    """Metadata is changed key by key, everything else as a whole."""
    merged = dict(changes)
    if "metadata" in merged:
        merged["metadata"] = metadata.merge(before.metadata, merged["metadata"])
    return merged


def _named(changes: Sequence[Change]) -> tuple[set[Key], set[Key]]:
    """Return the customers and methods a batch may touch, the owners of detached ones apart."""
    customers: set[Key] = set()
    methods: set[Key] = set()
    for change in changes:
        merchant = change.merchant_id
        names = [
            change.id,
            change.attach_to or "",
            str(change.changes.get("default_payment_method") or ""),
            getattr(change.new, "customer_id", None) or "",
        ]
        customers.update((merchant, name) for name in names if name.startswith("cus_"))
        methods.update((merchant, name) for name in names if name.startswith("pm_"))
    return customers, methods
