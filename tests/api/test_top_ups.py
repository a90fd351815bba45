"""Top-ups over the wire: what is refused changes nothing, limits hold."""

import asyncio

import pytest

from tests.api.test_wallets import _wallet as open_wallet

CARD = {"amount": 1000, "currency": "jpy", "payment_method": "pm_card_visa"}
EXTRAS = {"refund_policy": "receivable", "bonus_amount": 5}


async def _accounts(db) -> list[str]:
    async with db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT code, currency FROM ledger.accounts ORDER BY code, currency")
    return [f"{row['code']} {row['currency']}" for row in rows]


@pytest.mark.parametrize("exists", [False, True])
async def test_a_refused_top_up_opens_no_accounts(client, db, exists) -> None:
    wallet = (await open_wallet(client))["id"] if exists else "nonsense-1"
    before = await _accounts(db)

    refused = await client.post("/v1/top_ups", {"wallet": wallet, **CARD, **EXTRAS})

    assert refused.status == (400 if exists else 404)
    assert refused.error["code"] == ("currency_mismatch" if exists else "resource_missing")
    assert await _accounts(db) == before


async def test_top_ups_at_once_open_their_accounts_once(client, db, world) -> None:
    wallet = (await open_wallet(client))["id"]
    body = {"wallet": wallet, **CARD, **EXTRAS, "currency": "cny", "payment_method": "alipay"}

    answers = await asyncio.gather(*(client.post("/v1/top_ups", body) for _ in range(10)))

    assert {answer.status for answer in answers} == {200}
    opened = await _accounts(db)
    assert opened.count(f"wallet:{wallet}:owed cny") == 1
    async with db.transaction(readonly=True) as tx:
        owed = await tx.all("SELECT DISTINCT owed_account, gifts FROM payments.payments")
    assert len(owed) == 1
    assert owed[0]["owed_account"] is not None
    await world.assert_books_hold()


# The balance limit -------------------------------------------------------------------------------


async def _top_up(client, wallet: str, amount: int, **more):
    body = {"wallet": wallet, "amount": amount, "currency": "cny", "payment_method": "alipay"}
    body["payment_method_options[alipay][presentation]"] = "qr"
    return await client.post("/v1/top_ups", {**body, **more})


async def _pay(client, world, made) -> None:
    name = made.json["payment_intent"]
    await world.control("alipay", f"orders/{(await world.payment(name)).latest_attempt}/pay")
    await world.until_paid(await world.payment(name))


def _refused(answer) -> bool:
    return answer.status == 400 and answer.error["code"] == "wallet_limit_exceeded"


async def test_the_bonus_counts_for_the_balance_limit(client) -> None:
    wallet = (await open_wallet(client, **{"limits[balance]": 1_000}))["id"]

    assert _refused(await _top_up(client, wallet, 1_000, bonus_amount=1))
    assert (await _top_up(client, wallet, 999, bonus_amount=1)).status == 200


@pytest.mark.parametrize("confirm", ["true", "false"])
async def test_open_top_ups_share_the_room(client, world, confirm) -> None:
    wallet = (await open_wallet(client, **{"limits[balance]": 10_000}))["id"]

    first = await _top_up(client, wallet, 6_000, bonus_amount=1_000, confirm=confirm)
    assert first.status == 200
    assert _refused(await _top_up(client, wallet, 3_001))
    second = await _top_up(client, wallet, 3_000)
    await _pay(client, world, second)
    assert _refused(await _top_up(client, wallet, 1))
    await client.post(f"/v1/payment_intents/{first.json['payment_intent']}/cancel")

    assert (await _top_up(client, wallet, 7_000)).status == 200


async def test_top_ups_at_once_never_share_more_than_the_room(client, world) -> None:
    wallet = (await open_wallet(client, **{"limits[balance]": 10_000}))["id"]

    answers = await asyncio.gather(*(_top_up(client, wallet, 3_000) for _ in range(12)))

    assert sum(answer.status == 200 for answer in answers) == 3
    assert all(_refused(answer) for answer in answers if answer.status != 200)


async def test_a_declined_top_up_leaves_its_room_and_is_asked_again_for_it(client, world) -> None:
    cus = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    made = {"customer": cus, "currency": "usd", "limits[balance]": 10_000}
    wallet = (await client.post("/v1/wallets", made)).json["id"]
    card = {"wallet": wallet, "amount": 8_000, "currency": "usd"}
    declined = await client.post(
        "/v1/top_ups", {**card, "payment_method": "pm_card_chargeDeclined"}
    )
    assert declined.status == 402
    intent = declined.error["top_up"]["payment_intent"]

    paid = await client.post("/v1/top_ups", {**card, "payment_method": "pm_card_visa"})
    assert paid.json["status"] == "succeeded", paid.body
    again = await client.post(
        f"/v1/payment_intents/{intent}/confirm", {"payment_method": "pm_card_visa"}
    )
    assert _refused(again)
    await client.post(f"/v1/wallets/{wallet}/spend", {"amount": 8_000, "currency": "usd"})
    again = await client.post(
        f"/v1/payment_intents/{intent}/confirm", {"payment_method": "pm_card_visa"}
    )
    assert again.json["status"] == "succeeded", again.body
    assert (await client.get(f"/v1/wallets/{wallet}")).json["balance"] == 8_000


async def test_late_money_and_what_was_spent_come_in_past_the_limit(client, world) -> None:
    wallet = (await open_wallet(client, **{"limits[balance]": 10_000}))["id"]
    path = f"/v1/wallets/{wallet}"
    late = await _top_up(client, wallet, 10_000)
    order = (await world.payment(late.json["payment_intent"])).latest_attempt
    world.running.simulators["alipay"].open_order(order)
    await client.post(f"/v1/payment_intents/{late.json['payment_intent']}/cancel")
    await _pay(client, world, await _top_up(client, wallet, 10_000))
    spent = await client.post(f"{path}/spend", {"amount": 1_000, "currency": "cny"})

    await world.control("alipay", f"orders/{order}/pay", {"late": True})
    await world.until_paid(await world.payment(late.json["payment_intent"]), sweep=True)
    await client.post(f"{path}/transactions/{spent.json['id']}/refund")

    assert (await client.get(path)).json["balance"] == 20_000
    await world.assert_books_hold()


async def test_top_up_nobody_tried_is_not_charged_into_a_wallet_closed_since(client) -> None:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    wallet = await client.post("/v1/wallets", {"customer": customer, "currency": "usd"})
    wallet = wallet.json["id"]
    asked = {"wallet": wallet, "amount": 3000, "currency": "usd"}
    made = (await client.post("/v1/top_ups", {**asked, "confirm": "false"})).json
    assert (await client.post(f"/v1/wallets/{wallet}/close")).json["status"] == "closed"

    path = f"/v1/payment_intents/{made['id'].replace('top_', 'pi_')}"
    refused = await client.post(f"{path}/confirm", {"payment_method": "pm_card_visa"})

    assert (refused.status, refused.error["code"]) == (400, "wallet_closed")
    assert refused.error["param"] == "intent"
    assert (await client.get(path)).json["status"] == "requires_payment_method"


@pytest.mark.parametrize(
    ("amount", "code"), [(10, "amount_too_small"), (99_999_999_999, "amount_too_large")]
)
async def test_an_amount_that_no_provider_takes_is_named(client, amount: int, code: str) -> None:
    """Of a confirmation, which names none, the payment is at fault."""
    wallet = (await open_wallet(client, currency="usd"))["id"]
    order = {"amount": amount, "currency": "usd", "payment_method": "pm_card_visa"}
    waiting = (await client.post("/v1/payment_intents", order)).json["id"]

    top_up = await client.post("/v1/top_ups", {"wallet": wallet, **order})
    paid = await client.post("/v1/payment_intents", {**order, "confirm": "true"})
    confirmed = await client.post(f"/v1/payment_intents/{waiting}/confirm")

    for refused, param in ((top_up, "amount"), (paid, "amount"), (confirmed, "intent")):
        assert refused.status == 402
        assert (refused.error["code"], refused.error["param"]) == (code, param)


async def test_all_top_ups_are_listed_newest_first(client) -> None:
    """A merchant who wants them all need not ask for each wallet."""
    made: list[str] = []
    for _ in range(2):
        wallet = (await open_wallet(client, currency="usd"))["id"]
        for _ in range(2):
            order = {"wallet": wallet, **CARD, "currency": "usd"}
            made.insert(0, (await client.post("/v1/top_ups", order)).json["id"])

    first = (await client.get("/v1/top_ups?limit=3")).json
    rest = (await client.get(f"/v1/top_ups?starting_after={made[2]}")).json
    of_one = (await client.get(f"/v1/top_ups?wallet={wallet}")).json

    assert ([one["id"] for one in first["data"]], first["has_more"]) == (made[:3], True)
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (made[3:], False)
    assert [one["id"] for one in of_one["data"]] == made[:2]
