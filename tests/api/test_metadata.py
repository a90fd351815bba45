"""Metadata is merged key by key, and under the object's lock: no change is lost to another."""

import asyncio

import pytest

from tests.api.test_payments import CARD

AMOUNT = {"amount": 500, "currency": "usd"}


async def _payment(client) -> str:
    intent = (await client.post("/v1/payment_intents", CARD)).json["id"]
    return f"/v1/payment_intents/{intent}"


async def _refund(client) -> str:
    intent = (await client.post("/v1/payment_intents", CARD)).json["id"]
    refund = (await client.post("/v1/refunds", {"payment_intent": intent})).json["id"]
    return f"/v1/refunds/{refund}"


async def _wallet(client) -> str:
    customer = (await client.post("/v1/customers")).json["id"]
    terms = {"customer": customer, "currency": "usd"}
    return f"/v1/wallets/{(await client.post('/v1/wallets', terms)).json['id']}"


async def _transaction(client) -> str:
    wallet = await _wallet(client)
    top_up = {"wallet": wallet.rpartition("/")[2], "payment_method": "pm_card_visa", **AMOUNT}
    assert (await client.post("/v1/top_ups", top_up)).json["status"] == "succeeded"
    spent = await client.post(f"{wallet}/spend", AMOUNT)
    return f"{wallet}/transactions/{spent.json['id']}"


MADE = [_payment, _refund, _wallet, _transaction]


@pytest.mark.parametrize("make", MADE)
async def test_twenty_changes_at_once_all_stay(client, make) -> None:
    path = await make(client)

    answers = await asyncio.gather(
        *(client.post(path, {f"metadata[key{n}]": str(n)}) for n in range(20))
    )

    assert {answer.status for answer in answers} == {200}
    assert (await client.get(path)).json["metadata"] == {f"key{n}": str(n) for n in range(20)}


async def test_options_of_different_methods_given_at_once_all_stay(client) -> None:
    made = await client.post("/v1/payment_intents", {"amount": 100, "currency": "cny"})
    path = f"/v1/payment_intents/{made.json['id']}"
    options = (
        {"payment_method_options[alipay][presentation]": "qr"},
        {"payment_method_options[wechat_pay][client]": "ios"},
        {"payment_method_options[card][request_three_d_secure]": "any"},
    )

    await asyncio.gather(*(client.post(path, one) for one in options * 3))

    kept = (await client.get(path)).json["payment_method_options"]
    assert kept["wechat_pay"]["client"] == "ios"
    assert kept["card"]["request_three_d_secure"] == "any"


@pytest.mark.parametrize("make", MADE)
async def test_the_fifty_first_key_is_refused_and_empty_deletes(client, make) -> None:
    path = await make(client)
    fifty = {f"metadata[key{n}]": str(n) for n in range(50)}

    assert (await client.post(path, fifty)).status == 200
    refused = await client.post(path, {"metadata[one]": "more"})
    assert (refused.status, refused.error["param"]) == (400, "metadata")
    swapped = await client.post(path, {"metadata[one]": "more", "metadata[key0]": ""})
    assert len(swapped.json["metadata"]) == 50
    assert (await client.post(path, {"metadata": ""})).json["metadata"] == {}


async def test_a_capture_whose_words_are_refused_captures_nothing(client) -> None:
    manual = {**CARD, "capture_method": "manual"}
    manual |= {f"metadata[key{n}]": str(n) for n in range(50)}
    made = (await client.post("/v1/payment_intents", manual)).json
    path = f"/v1/payment_intents/{made['id']}"

    refused = await client.post(f"{path}/capture", {"metadata[one]": "more"})

    assert (refused.status, refused.error["param"]) == (400, "metadata")
    assert (await client.get(path)).json["status"] == "requires_capture"
