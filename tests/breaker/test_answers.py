"""Answers under a key: the same for whoever asks, and what was true."""

import asyncio
from typing import Any

from tillgate.runtime.db import DatabaseUnavailable

CARD = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}


async def _wallet(client: Any) -> str:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    wallet = (await client.post("/v1/wallets", {"customer": customer, "currency": "usd"})).json["id"]
    top_up = {"wallet": wallet, "amount": 5000, "currency": "usd", "payment_method": "pm_card_visa"}
    assert (await client.post("/v1/top_ups", top_up)).status == 200
    return wallet


async def test_answer_that_could_not_be_expanded_is_not_kept(client, application) -> None:
    """The database was away when the charge was to be shown."""
    loaders = application.api.expand._loaders
    load = loaders["charge"]

    async def away(*_: object) -> Any:
        raise DatabaseUnavailable

    loaders["charge"] = away
    asked = {**CARD, "expand[]": "latest_charge"}
    first = await client.post("/v1/payment_intents", asked, key="k")
    loaders["charge"] = load
    again = await client.post("/v1/payment_intents", asked, key="k")

    assert first.status == 503 or isinstance(first.json["latest_charge"], dict)
    assert isinstance(again.json["latest_charge"], dict), again.json["latest_charge"]


async def test_one_spend_asked_for_at_once_is_answered_in_one_way(client) -> None:
    wallet = await _wallet(client)
    body = {"amount": 100, "currency": "usd", "expand[]": "wallet"}

    answers = await asyncio.gather(
        *(client.post(f"/v1/wallets/{wallet}/spend", body, key="s") for _ in range(8))
    )

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1, {a.body for a in answers}


async def test_expanded_answer_whose_process_died_is_the_same(
    client, application, monkeypatch
) -> None:
    wallet = await _wallet(client)
    body = {"amount": 100, "currency": "usd", "expand[]": "wallet"}
    path = f"/v1/wallets/{wallet}/spend"

    async def away(*_: object) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(application.api.claims, "replace", away)
        assert (await client.post(path, body, key="s")).status == 503
    first = await client.post(path, body, key="s")
    await client.post(path, body, key="another")
    again = await client.post(path, body, key="s")

    assert first.headers["Idempotent-Replayed"] == "true"
    assert first.json["wallet"]["balance"] == 4900
    assert again.body == first.body


async def test_key_in_a_browser_takes_no_key_of_the_shop(client, teahouse) -> None:
    browser = client.with_key(teahouse.publishable)
    taken = await browser.post("/v1/payment_intents/pi_0/confirm", {}, key="order-1001")
    assert taken.status >= 400

    bought = await client.post("/v1/payment_intents", CARD, key="order-1001")

    assert (bought.status, bought.json.get("status")) == (200, "succeeded"), bought.body


async def test_answer_for_the_shop_is_not_told_to_a_browser(client, teahouse) -> None:
    made = await client.post(
        "/v1/payment_intents", {key: CARD[key] for key in CARD if key != "confirm"}
    )
    path = f"/v1/payment_intents/{made.json['id']}/confirm"
    assert (await client.post(path, {}, key="confirm-1001")).status == 200

    told = await client.with_key(teahouse.publishable).post(path, {}, key="confirm-1001")

    assert told.status >= 400, told.body


async def test_key_of_one_object_is_not_the_key_of_another(client) -> None:
    """It passes; nothing else notices where the path is no part of what a key stands for."""
    made = [
        (await client.post("/v1/payment_intents", {"amount": 1200, "currency": "usd"})).json["id"]
        for _ in range(2)
    ]
    first = await client.post(f"/v1/payment_intents/{made[0]}/cancel", key="c")
    other = await client.post(f"/v1/payment_intents/{made[1]}/cancel", key="c")

    assert (first.status, first.json["id"]) == (200, made[0])
    assert (other.status, other.error["type"]) == (400, "idempotency_error")


async def test_key_stands_for_what_was_to_be_expanded(client) -> None:
    first = await client.post("/v1/payment_intents", CARD, key="k")
    more = await client.post("/v1/payment_intents", {**CARD, "expand[]": "latest_charge"}, key="k")

    assert first.status == 200
    assert (more.status, more.error["type"]) == (400, "idempotency_error")
