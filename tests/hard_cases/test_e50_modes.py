"""Case 50: what belongs to another tenant, or to the other mode, is not found."""

import pytest

from tests.hard_cases.deeds import nothing_moves, paid
from tests.serving import Client, Teahouse
from tests.worlds import MERCHANT, World
from tillgate.kernel import ids
from tillgate.payments import queries
from tillgate.payments.errors import ChargeNotFound, PaymentNotFound, RefundNotFound
from tillgate.payments.flows import NO_TRACE
from tillgate.payments.model import NewRefund

LIVE = MERCHANT - 1


async def test_nothing_of_test_mode_is_found_from_live_mode(world: World) -> None:
    payment = await paid(world, "alipay")
    view = await world.refund(payment, 1)

    async with nothing_moves(world):
        async with world.db.transaction(readonly=True) as tx:
            with pytest.raises(PaymentNotFound):
                await queries.payment(tx, LIVE, payment.id)
            with pytest.raises(ChargeNotFound):
                await queries.charge(tx, LIVE, payment.latest_attempt or "")
            with pytest.raises(RefundNotFound):
                await queries.refund(tx, LIVE, view.refund.id)
        order = NewRefund(merchant_id=LIVE, id=ids.new_id("re"), payment_id=payment.id, amount=1)
        with pytest.raises(PaymentNotFound):
            await world.payments.refund(order, NO_TRACE)
        with pytest.raises(PaymentNotFound):
            await world.payments.cancel(LIVE, payment.id, None, NO_TRACE)
        with pytest.raises(PaymentNotFound):
            await world.payments.capture(LIVE, payment.id, None, NO_TRACE)


async def test_mode_stands_in_every_unique_key(world: World) -> None:
    async with world.db.transaction(readonly=True) as tx:
        rows = await tx.all(
            """
            SELECT n.nspname || '.' || t.relname AS name, c.conname FROM pg_index i
            JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
            JOIN pg_class x ON x.oid = i.indexrelid
            LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid
            WHERE i.indisunique AND n.nspname IN ('payments', 'ledger', 'wallets', 'topups',
                'customers', 'webhooks', 'merchants')
            AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid
                AND a.attnum = ANY(i.indkey) AND a.attname = 'merchant_id')
            """
        )
    assert [tuple(row) for row in rows] == []


async def test_live_key_does_not_see_what_the_test_key_made(
    world: World, client: Client, teahouse: Teahouse
) -> None:
    made = await client.post("/v1/payment_intents", "amount=5000&currency=usd")
    live = client.with_key(teahouse.live_secret)

    async with nothing_moves(world):
        path = f"/v1/payment_intents/{made.json['id']}"
        assert (await live.get(path)).status == 404
        assert (await live.post(f"{path}/cancel", "")).status == 404
        listed = await live.get("/v1/payment_intents")
    assert listed.json["data"] == []
