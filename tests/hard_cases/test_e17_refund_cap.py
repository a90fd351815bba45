"""Case 17: refunds never exceed what was captured, however many come at once."""

import asyncio

import pytest

from tests.hard_cases.deeds import METHODS, paid, refunds, rule, simulator, truth
from tests.serving import Client
from tests.worlds import World
from tillgate.payments.model import Payment


async def _refunded(world: World, payment: Payment) -> None:
    async def settled() -> bool:
        return {r.status for r in await refunds(world, payment)} == {"succeeded"}

    await world.until(settled, sweep=True)


@pytest.mark.parametrize("method", METHODS)
async def test_fifty_refunds_at_once_stay_within_the_cap(
    world: World, client: Client, method: str
) -> None:
    payment = await paid(world, method)
    body = {"payment_intent": payment.id, "amount": 1_000}

    answers = await asyncio.gather(*(client.post("/v1/refunds", body) for _ in range(50)))

    refused = [answer.error["code"] for answer in answers if answer.status == 400]
    assert sorted(answer.status for answer in answers) == [200] * 10 + [400] * 40
    assert set(refused) <= {"amount_too_large", "charge_already_refunded"}
    await _refunded(world, payment)
    told = (await truth(world, method))[payment.latest_attempt or ""]
    assert told.refunds == (1_000,) * 10
    assert await world.balance(world.wallet) == 0
    await world.assert_books_hold()


async def test_refunds_that_may_still_be_made_count_and_notices_of_them_count_once(
    world: World, client: Client
) -> None:
    """Their outcome is unknown, and then told many times over."""
    payment = await paid(world, "wechat_pay")
    sender = simulator(world, "wechat_pay").sender
    rule(world, "wechat_pay", "refund", "reset_after", next=2)
    rule(world, "wechat_pay", "notice", "late_notice", seconds=60.0, next=2)
    body = {"payment_intent": payment.id, "amount": 4_000}
    first, second = [await client.post("/v1/refunds", body) for _ in range(2)]
    assert (first.json["status"], second.json["status"]) == ("pending", "pending")

    over = await client.post("/v1/refunds", body)
    assert (over.status, over.error["param"]) == (400, "amount")
    assert (await client.post("/v1/refunds", {**body, "amount": 2_001})).status == 400
    rule(world, "wechat_pay", "notice", "duplicate_notice", next=1)
    rest = await client.post("/v1/refunds", {**body, "amount": 2_000})
    assert rest.status == 200, rest.body

    await _refunded(world, payment)
    simulator(world, "wechat_pay").renotify(payment.latest_attempt or "", 10)
    await sender.settle()
    await world.payments.finish()
    told = (await truth(world, "wechat_pay"))[payment.latest_attempt or ""]
    assert sorted(told.refunds) == [2_000, 4_000, 4_000]
    assert (await world.payment(payment.id)).amount_refunded == 10_000
    assert (await client.post("/v1/refunds", body)).error["code"] == "charge_already_refunded"
    await world.assert_books_hold()


async def test_database_itself_refuses_more_than_was_received(world: World) -> None:
    payment = await paid(world, "alipay")

    async def overdraw() -> None:
        async with world.db.transaction() as tx:
            await tx.run(
                "UPDATE payments.payments SET amount_refunded = 10001 WHERE id = $1", payment.id
            )

    with pytest.raises(Exception, match="check constraint"):
        await overdraw()
