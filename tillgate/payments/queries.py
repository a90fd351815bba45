"""Read-only questions about payments, attempts and refunds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tillgate.kernel.paging import Page, Rows
from tillgate.payments import store
from tillgate.payments.errors import ChargeNotFound, PaymentNotFound, RefundNotFound
from tillgate.payments.model import Attempt, Charge, Payment, Refund, RefundView
from tillgate.runtime.db import Tx


async def payment(tx: Tx, merchant_id: int, payment_id: str) -> Payment:
    """Return one payment."""
    found = await store.select_payment(tx, merchant_id, payment_id)
    if found is None:
        raise PaymentNotFound(payment_id)
    return found


async def is_payment(tx: Tx, merchant_id: int, payment_id: str, *, customer_id: str | None) -> bool:
    """Whether there is such a payment, of this customer if one is named."""
    found = await store.select_payment(tx, merchant_id, payment_id)
    return found is not None and customer_id in {None, found.customer_id}


async def payments(tx: Tx, merchant_id: int, payment_ids: list[str]) -> dict[str, Payment]:
    """Return these payments, by id."""
    found = await store.select_payments_by_id(tx, [(merchant_id, one) for one in payment_ids])
    return {one.id: one for one in found}


async def sequences(tx: Tx, keys: Collection[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """Return how often payments (merchant_id, id) have changed: what a watcher compares."""
    return await store.select_sequences(tx, keys)


async def charge(tx: Tx, merchant_id: int, attempt_id: str) -> Charge:
    """Return one attempt with its payment."""
    attempts = await store.attempts.select(tx, [(merchant_id, attempt_id)])
    if not attempts:
        raise ChargeNotFound(attempt_id)
    return Charge(attempts[0], await payment(tx, merchant_id, attempts[0].payment_id))


async def is_charge(
    tx: Tx,
    merchant_id: int,
    attempt_id: str,
    *,
    statuses: Collection[str],
    payment_id: str | None,
    customer_id: str | None,
) -> bool:
    """Whether there is such an attempt in one of these states, of those who are named."""
    found = await store.attempts.select(tx, [(merchant_id, attempt_id)])
    if (
        not found
        or found[0].status not in statuses
        or payment_id not in {None, found[0].payment_id}
    ):
        return False
    return customer_id is None or await is_payment(
        tx, merchant_id, found[0].payment_id, customer_id=customer_id
    )


async def attempts_of(tx: Tx, merchant_id: int, payment_id: str) -> list[Attempt]:
    """Return a payment's attempts, oldest first."""
    return await store.attempts.select_of_payment(tx, merchant_id, payment_id)


async def refund(tx: Tx, merchant_id: int, refund_id: str) -> RefundView:
    """Return one refund with its payment."""
    refunds = await store.refunds.select(tx, [(merchant_id, refund_id)])
    if not refunds:
        raise RefundNotFound(refund_id)
    return RefundView(refunds[0], await payment(tx, merchant_id, refunds[0].payment_id))


async def is_refund(
    tx: Tx, merchant_id: int, refund_id: str, *, payment_id: str | None, attempt_id: str | None
) -> bool:
    """Whether there is such a refund, of the payment and of the attempt that are named."""
    found = await store.refunds.select(tx, [(merchant_id, refund_id)])
    if not found or payment_id not in {None, found[0].payment_id}:
        return False
    return attempt_id in {None, found[0].attempt_id}


async def refunds_of(tx: Tx, merchant_id: int, payment_id: str) -> list[Refund]:
    """Return a payment's refunds, oldest first."""
    return await store.refunds.select_of_payment(tx, merchant_id, payment_id)


async def payment_page(
    tx: Tx, merchant_id: int, page: Page, *, customer_id: str | None = None
) -> Rows[Payment]:
    """Return a page of payments, newest first."""
    return await store.select_payment_page(tx, merchant_id, page, customer_id=customer_id)


async def charge_page(
    tx: Tx,
    merchant_id: int,
    page: Page,
    *,
    statuses: Sequence[str],
    payment_id: str | None = None,
    customer_id: str | None = None,
) -> Rows[Charge]:
    """Return a page of attempts in one of these states with their payments, newest first."""
    found = await store.select_attempt_page(
        tx, merchant_id, page, statuses=statuses, payment_id=payment_id, customer_id=customer_id
    )
    theirs = await payments(tx, merchant_id, [one.payment_id for one in found.data])
    return Rows([Charge(one, theirs[one.payment_id]) for one in found.data], found.has_more)


async def refund_page(
    tx: Tx,
    merchant_id: int,
    page: Page,
    *,
    payment_id: str | None = None,
    attempt_id: str | None = None,
) -> Rows[RefundView]:
    """Return a page of refunds with their payments, newest first."""
    found = await store.select_refund_page(
        tx, merchant_id, page, payment_id=payment_id, attempt_id=attempt_id
    )
    theirs = await payments(tx, merchant_id, [one.payment_id for one in found.data])
    return Rows([RefundView(one, theirs[one.payment_id]) for one in found.data], found.has_more)
