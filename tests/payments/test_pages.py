"""Pages of payments, charges and refunds: whatever is asked for, the same as filtering all."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from tillgate.kernel.paging import Page
from tillgate.payments import store
from tillgate.payments.model import Attempt, Payment, Refund
from tillgate.payments.queries import charge_page, payment_page, refund_page
from tillgate.runtime.db import BY_INDEX, Database, Tx

TEAHOUSE, BAKERY = 2, 4
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def payment(merchant_id: int, number: int) -> Payment:
    return Payment(
        merchant_id=merchant_id, id=f"pi_{number:02}", amount=10, currency="cny",
        status="succeeded", customer_id=f"cus_{number % 3}", method_types=["alipay"],
        amount_received=10, client_secret="secret", created_at=NOON,
    )  # fmt: skip


def attempt(merchant_id: int, number: int) -> Attempt:
    return Attempt(
        merchant_id=merchant_id, id=f"att_{number:02}", payment_id=f"pi_{number // 2:02}",
        provider_account_id="pa_1", provider="alipay", presentation="qr", amount=10,
        currency="cny", status="paid" if number % 2 else "declined", created_at=NOON,
    )  # fmt: skip


def refund(merchant_id: int, number: int) -> Refund:
    return Refund(
        merchant_id=merchant_id, id=f"re_{number:02}", payment_id=f"pi_{number // 2:02}",
        attempt_id=f"att_{number // 2 * 2 + 1:02}", amount=1, currency="cny", status="succeeded",
        created_at=NOON,
    )  # fmt: skip


@pytest.fixture
async def tx(app_db_url: str) -> AsyncGenerator[Tx]:
    """Two merchants with twelve payments each, two attempts and two refunds of every one."""
    database = await Database.open(app_db_url, size=2, settings=BY_INDEX)
    async with database.transaction() as tx:
        for merchant in (TEAHOUSE, BAKERY):
            store.insert_payments(tx, [payment(merchant, number) for number in range(12)])
            store.attempts.insert(tx, [attempt(merchant, number) for number in range(24)])
            store.refunds.insert(tx, [refund(merchant, number) for number in range(24)])
    async with database.transaction(readonly=True) as tx:
        yield tx
    await database.close()


@pytest.mark.parametrize("customer_id", [None, "cus_1", "cus_9"])
async def test_payments(tx: Tx, customer_id: str | None) -> None:
    fitting = [
        one.id
        for one in (payment(TEAHOUSE, number) for number in range(11, -1, -1))
        if customer_id in {None, one.customer_id}
    ]

    first = await payment_page(tx, TEAHOUSE, Page(limit=2), customer_id=customer_id)
    rest = await payment_page(
        tx, TEAHOUSE, Page(limit=50, after=first.data[-1].id if first.data else None),
        customer_id=customer_id,
    )  # fmt: skip

    assert [one.id for one in [*first.data, *rest.data][: len(fitting)]] == fitting
    assert (first.has_more, rest.has_more) == (len(fitting) > 2, False)


@pytest.mark.parametrize("payment_id", [None, "pi_04", "pi_99"])
@pytest.mark.parametrize("customer_id", [None, "cus_1", "cus_9"])
@pytest.mark.parametrize("statuses", [("paid",), ("paid", "declined"), ("closed",)])
async def test_charges(
    tx: Tx, payment_id: str | None, customer_id: str | None, statuses: tuple[str, ...]
) -> None:
    fitting = [
        one.id
        for one in (attempt(TEAHOUSE, number) for number in range(23, -1, -1))
        if one.status in statuses
        and payment_id in {None, one.payment_id}
        and customer_id in {None, payment(TEAHOUSE, int(one.payment_id[3:])).customer_id}
    ]

    found = await charge_page(
        tx, TEAHOUSE, Page(limit=3), statuses=statuses, payment_id=payment_id,
        customer_id=customer_id,
    )  # fmt: skip

    assert [one.attempt.id for one in found.data] == fitting[:3]
    assert found.has_more == (len(fitting) > 3)
    assert all(one.payment.id == one.attempt.payment_id for one in found.data)


@pytest.mark.parametrize("payment_id", [None, "pi_04", "pi_99"])
@pytest.mark.parametrize("attempt_id", [None, "att_09", "att_11", "att_99"])
async def test_refunds(tx: Tx, payment_id: str | None, attempt_id: str | None) -> None:
    fitting = [
        one.id
        for one in (refund(TEAHOUSE, number) for number in range(23, -1, -1))
        if payment_id in {None, one.payment_id} and attempt_id in {None, one.attempt_id}
    ]

    found = await refund_page(
        tx, TEAHOUSE, Page(limit=1), payment_id=payment_id, attempt_id=attempt_id
    )

    assert [one.refund.id for one in found.data] == fitting[:1]
    assert found.has_more == (len(fitting) > 1)
