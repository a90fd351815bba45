"""Case 23: a refund that fails after all gives the money again, exactly once."""

import msgspec

from tests.hard_cases.deeds import journals, paid, refunds, rule, simulator, topped_up, truth
from tests.serving import Client
from tests.worlds import CONFIRMATIONS, World, gift


async def test_refund_that_fails_later_credits_the_wallet_again(world: World) -> None:
    payment = await paid(world, "wechat_pay", 4017, gifts=gift(world, 400))
    assert await world.balance(world.bonus) == 400
    view = await world.refund(payment, 4017)
    assert await world.balance(world.wallet) == 0
    assert await world.balance(world.bonus) == 0

    async def failed() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["failed"]

    await world.until(failed, sweep=True)
    for _ in range(3):
        await world.sweep()
    assert await world.balance(world.wallet) == 4017
    assert await world.balance(world.bonus) == 400
    assert (await world.payment(payment.id)).amount_refunded == 0
    assert (await world.facts(view.refund.id)).count("refund.failed") == 1
    await world.assert_books_hold()


async def test_refunded_top_up_is_spendable_again_exactly_once(
    world: World, client: Client
) -> None:
    """As the merchant sees it: the refund, the wallet, its statement, the top-up and the events."""
    held = await topped_up(world, client, method="wechat_pay", bonus_amount=400)
    rule(world, "wechat_pay", "refund", "refund_fails_later", next=1)
    refund = (await client.post("/v1/refunds", {"payment_intent": held.payment})).json
    assert (await client.get(held.url)).json["balance"] == 0

    async def failed() -> bool:
        return (await client.get(f"/v1/refunds/{refund['id']}")).json["status"] == "failed"

    await world.until(failed, sweep=True)
    await simulator(world, "wechat_pay").sender.settle()
    for _ in range(3):
        await world.sweep()

    now = (await client.get(held.url)).json
    assert (now["principal_balance"], now["bonus_balance"]) == (10_000, 400)
    statement = (await client.get(f"{held.url}/transactions")).json["data"]
    assert [one["amount"] for one in statement] == [10_400, -10_400, 10_400]
    assert (await client.get(f"/v1/top_ups/{held.top_up}")).json["amount_refunded"] == 0
    told = (await client.get("/v1/events?type=refund.failed")).json["data"]
    assert [one["data"]["object"]["id"] for one in told] == [refund["id"]]
    spent = await client.post(f"{held.url}/spend", {"amount": 10_400, "currency": "cny"})
    assert spent.status == 200, spent.body
    assert (await client.post("/v1/refunds", {"payment_intent": held.payment})).status == 400
    await world.assert_books_hold()


async def test_refund_that_had_succeeded_fails_days_later(world: World) -> None:
    card = msgspec.structs.replace(CONFIRMATIONS["card"], payment_method="pm_card_refundFail")
    payment = await paid(world, "card", confirmation=card)
    view = await world.refund(payment, 4_000)
    assert view.refund.status == "succeeded"

    async def failed() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["failed"]

    await world.until(failed, sweep=True)
    assert await world.balance_of("sales", "usd") == 10_000
    assert await journals(world, f"refund_failed:{view.refund.id}") == 2
    assert (await world.payment(payment.id)).amount_refunded == 0
    again = await world.refund(payment, 10_000)
    assert again.refund.amount == 10_000
    await world.assert_books_hold()


async def test_alipay_makes_a_refund_that_failed_when_asked_again(world: World) -> None:
    """Alipay never says that a refund failed, only that it is not made: it is asked again."""
    payment = await paid(world, "alipay", 4017)
    await world.refund(payment, 4017)

    async def made() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(made, sweep=True)
    assert (await truth(world, "alipay"))[payment.latest_attempt or ""].refunds == (4017,)
    assert await world.balance(world.wallet) == 0
    await world.assert_books_hold()


async def test_failed_refund_names_what_its_failure_put_back(client, world: World) -> None:
    form = {"amount": 10_000, "currency": "usd", "confirm": "true"}
    made = await client.post(
        "/v1/payment_intents", {**form, "payment_method": "pm_card_refundFail"}
    )
    intent = {"payment_intent": made.json["id"]}
    refund = (await client.post("/v1/refunds", {**intent, "amount": 4_000})).json
    assert refund["failure_balance_transaction"] is None
    path = f"/v1/refunds/{refund['id']}"

    async def failed() -> bool:
        return (await client.get(path)).json["status"] == "failed"

    await world.until(failed, sweep=True)
    shown = (await client.get(path)).json
    [listed] = (await client.get("/v1/refunds", params=intent)).json["data"]
    changed = (await client.post(path, {"metadata[case]": "23"})).json
    expand = {"expand[]": "failure_balance_transaction"}
    back = (await client.get(path, params=expand)).json["failure_balance_transaction"]
    assert (back["type"], back["source"], back["amount"]) == ("refund_failure", refund["id"], 4_000)
    assert shown["balance_transaction"] not in {None, back["id"]}
    for one in (shown, listed, changed):
        assert one["failure_balance_transaction"] == back["id"]
        assert one["balance_transaction"] == refund["balance_transaction"]
