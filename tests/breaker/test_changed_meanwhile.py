"""What a payment has been changed to between looking at it and locking it."""

import asyncio
from typing import Any

from tests.hard_cases.deeds import breaks, simulator


async def test_confirmation_of_what_was_dollars_asks_for_no_yuan(
    client, world, monkeypatch
) -> None:
    """The account was chosen for the currency there was; the order is made in the one there is."""
    made = await client.post(
        "/v1/payment_intents",
        {"amount": 1200, "currency": "cny", "payment_method_types[]": "wechat_pay"},
    )
    path = f"/v1/payment_intents/{made.json['id']}"
    route = world.payments.route

    async def slowly(*given: Any) -> Any:
        found = await route(*given)
        changed = await client.post(path, {"currency": "usd"})
        assert changed.status == 200, changed.body
        return found

    monkeypatch.setattr(world.payments, "route", slowly)
    confirmed = await client.post(
        f"{path}/confirm", {"payment_method_data[type]": "wechat_pay"}, key="k"
    )
    ordered = [(o["amount"], o["currency"]) for o in (await world.books("wechat_pay"))["orders"]]
    shown = (await client.get(path)).json
    assert all((shown["amount"], shown["currency"].upper()) == o for o in ordered), (
        ordered,
        shown["currency"],
        confirmed.status,
    )


async def test_late_payment_of_a_smaller_order_does_not_pay_for_a_greater_one(
    client, world
) -> None:
    made = await client.post(
        "/v1/payment_intents",
        {"amount": 1200, "currency": "cny", "payment_method_types[]": "wechat_pay",
         "confirm": "true", "payment_method_data[type]": "wechat_pay"},
    )  # fmt: skip
    assert made.status == 200, made.body
    path = f"/v1/payment_intents/{made.json['id']}"
    first = await world.payment(made.json["id"])
    simulator(world, "wechat_pay").open_order(first.latest_attempt or "")
    async with world.db.transaction() as tx:  # its order runs out
        await tx.run("UPDATE payments.attempts SET expires_at = now() - interval '1 hour'")

    async def ended() -> bool:
        return (await world.payment(first.id)).status == "requires_payment_method"

    await world.until(ended, sweep=True)
    assert (await client.post(path, {"amount": 500_000})).status == 200

    await world.control("wechat_pay", f"orders/{first.latest_attempt}/pay", {"late": True})
    await asyncio.sleep(1)
    await world.sweep()

    shown = (await client.get(path)).json
    paid = (shown["status"], shown["amount"], shown["amount_received"])
    assert paid != ("succeeded", 500_000, 1_200), await breaks(world)
