"""Read-only questions about customers and their payment methods."""

from __future__ import annotations

from tillgate.customers import store
from tillgate.customers.errors import CustomerNotFound, MethodDetached, MethodNotFound
from tillgate.customers.model import Customer, PaymentMethod
from tillgate.kernel.paging import Page, Rows
from tillgate.runtime.db import Tx


async def customer(tx: Tx, merchant_id: int, customer_id: str) -> Customer:
    """Return one customer, a deleted one too."""
    found = await store.select_customer(tx, merchant_id, customer_id)
    if found is None:
        raise CustomerNotFound(customer_id)
    return found


async def present_customer(
    tx: Tx, merchant_id: int, customer_id: str, *, param: str = "customer"
) -> Customer:
    """Return one customer that is not deleted; refuse naming `param`."""
    found = await store.select_customer(tx, merchant_id, customer_id)
    if found is None or found.deleted_at is not None:
        raise CustomerNotFound(customer_id, param=param)
    return found


async def is_customer(tx: Tx, merchant_id: int, customer_id: str) -> bool:
    """Whether there is or was such a customer."""
    return await store.select_customer(tx, merchant_id, customer_id) is not None


async def customers(
    tx: Tx, merchant_id: int, page: Page, *, email: str | None = None
) -> Rows[Customer]:
    """Return a page of customers, newest first."""
    return await store.select_customers(tx, merchant_id, page, email=email)


async def method(tx: Tx, merchant_id: int, method_id: str) -> PaymentMethod:
    """Return one payment method."""
    found = await store.select_method(tx, merchant_id, method_id)
    if found is None:
        raise MethodNotFound(method_id)
    return found


async def is_method(tx: Tx, merchant_id: int, method_id: str, *, customer_id: str) -> bool:
    """Whether there is such a payment method of this customer, or one that was detached."""
    found = await store.select_method(tx, merchant_id, method_id)
    return found is not None and (found.customer_id == customer_id or found.detached_at is not None)


async def usable_method(tx: Tx, merchant_id: int, method_id: str) -> PaymentMethod:
    """Return one payment method to be paid with, which one that was detached never is again."""
    found = await method(tx, merchant_id, method_id)
    if found.detached_at is not None:
        raise MethodDetached(method_id)
    return found


async def methods(
    tx: Tx,
    merchant_id: int,
    customer_id: str,
    page: Page,
    *,
    kind: str | None = None,
    redisplay: str | None = None,
) -> Rows[PaymentMethod]:
    """Return a page of a customer's payment methods, newest first."""
    return await store.select_methods(
        tx, merchant_id, customer_id, page, kind=kind, redisplay=redisplay
    )
