"""Metadata is merged key by key, and under the object's lock: no change is lost to another."""

import asyncio

import pytest

from tests.api.test_payments import CARD


async def _refund(client) -> str:
    intent = (await client.post("/v1/payment_intents", CARD)).json["id"]
    return (await client.post("/v1/refunds", {"payment_intent": intent})).json["id"]


@pytest.mark.parametrize("kind", ["payment_intents", "refunds"])
async def test_twenty_changes_at_once_all_stay(client, kind: str) -> None:
    if kind == "refunds":
        name = await _refund(client)
    else:
        name = (await client.post("/v1/payment_intents", {"amount": 100, "currency": "usd"})).json[
            "id"
        ]
    path = f"/v1/{kind}/{name}"

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


@pytest.mark.parametrize("kind", ["payment_intents", "refunds"])
async def test_the_fifty_first_key_is_refused_and_empty_deletes(client, kind: str) -> None:
    if kind == "refunds":
        name = await _refund(client)
    else:
        name = (await client.post("/v1/payment_intents", CARD)).json["id"]
    path = f"/v1/{kind}/{name}"
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
