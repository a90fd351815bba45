"""Case 8: a double click or an impatient client makes one attempt and one charge."""

import asyncio

from tests.hard_cases.deeds import attempts, open_wallet, rule, truth
from tests.serving import Client
from tests.worlds import CONFIRMATIONS, World
from tillgate.payments.errors import UnexpectedState
from tillgate.payments.flows import NO_TRACE


async def test_two_clicks_on_pay_charge_once(world: World) -> None:
    payment = await world.pay("card", confirmation=None)

    clicks = await asyncio.gather(
        *(world.payments.confirm(payment, CONFIRMATIONS["card"], NO_TRACE) for _ in range(10)),
        return_exceptions=True,
    )

    assert sum(isinstance(click, UnexpectedState) for click in clicks) == 9
    assert len(await attempts(world, payment)) == 1
    assert [told.paid for told in (await truth(world, "card")).values()] == [10_000]
    await world.until_paid(payment)
    await world.assert_books_hold()


async def test_two_clicks_over_http_charge_once(world: World, client: Client) -> None:
    made = await client.post("/v1/payment_intents", "amount=5000&currency=usd")
    path = f"/v1/payment_intents/{made.json['id']}/confirm"

    clicks = await asyncio.gather(
        *(client.post(path, "payment_method=pm_card_visa") for _ in range(8))
    )

    assert sorted({click.status for click in clicks}) == [200, 400]
    assert sum(click.status == 200 for click in clicks) == 1
    assert [told.paid for told in (await truth(world, "card")).values()] == [5000]
    await world.assert_books_hold()


async def test_key_is_kept_while_nobody_knows_what_became_of_the_order(
    world: World, client: Client
) -> None:
    """The provider's answer is lost: the customer's retry is the same payment, not another order."""
    rule(world, "card", "create", "timeout_after", next=1)
    body = "amount=5000&currency=usd&payment_method=pm_card_visa&confirm=true"
    first = await client.post("/v1/payment_intents", body, key="order-1")
    again = await client.post("/v1/payment_intents", body, key="order-1")

    assert first.status == 200
    assert first.json["status"] in {"processing", "succeeded"}  # a notice may have told meanwhile
    assert again.json["id"] == first.json["id"]
    payment = await world.payment(first.json["id"])
    await world.until_paid(payment, sweep=True)
    assert len(await attempts(world, payment)) == 1
    assert [told.paid for told in (await truth(world, "card")).values()] == [5000]
    await world.assert_books_hold()


async def test_twenty_clicks_on_top_up_open_one_order_and_credit_once(
    world: World, client: Client
) -> None:
    wallet = await open_wallet(client)
    order = {"wallet": wallet, "amount": 5000, "currency": "cny", "payment_method": "pm_card_visa"}

    clicks = await asyncio.gather(
        *(client.post("/v1/top_ups", order, key="click") for _ in range(20))
    )

    assert {click.status for click in clicks} <= {200, 409}
    assert len({click.json["id"] for click in clicks if click.status == 200}) == 1
    assert [told.paid for told in (await truth(world, "card")).values()] == [5000]
    assert (await client.get(f"/v1/wallets/{wallet}")).json["balance"] == 5000
    assert len((await client.get(f"/v1/top_ups?wallet={wallet}")).json["data"]) == 1
    await world.assert_books_hold()
