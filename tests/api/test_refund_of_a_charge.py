"""A refund names a charge: it is that charge which is given back, or none."""

from tests.hard_cases.deeds import paid_twice
from tillgate.kernel.ids import with_prefix

CARD = {"amount": 1200, "currency": "usd", "confirm": "true"}


async def test_refund_of_a_charge_that_failed_gives_no_other_back(client) -> None:
    made = await client.post(
        "/v1/payment_intents", {**CARD, "payment_method": "pm_card_chargeDeclined"}
    )
    assert made.status == 402
    payment = made.error["payment_intent"]["id"]
    path = f"/v1/payment_intents/{payment}"
    paid = await client.post(f"{path}/confirm", {"payment_method": "pm_card_visa"})
    assert paid.json["status"] == "succeeded"
    charges = (await client.get(f"/v1/charges?payment_intent={payment}")).json["data"]
    failed = next(charge for charge in charges if charge["status"] == "failed")

    refused = await client.post("/v1/refunds", {"charge": failed["id"]})

    assert refused.status == 400, (failed["id"], refused.json["charge"], refused.json["amount"])


async def test_refund_of_a_second_payment_gives_the_first_one_not_back(client, world) -> None:
    """It has gone back by itself already: the customer would have paid nothing."""
    _, first, _ = await paid_twice(world)
    charge = (await client.get(f"/v1/charges/{with_prefix('ch', first.id)}")).json
    assert (charge["refunded"], charge["amount_refunded"]) == (True, 10_000)

    refused = await client.post("/v1/refunds", {"charge": charge["id"]})

    assert refused.status == 400, refused.body
    assert await world.balance(world.wallet) == 10_000
