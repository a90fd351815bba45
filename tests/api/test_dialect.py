"""What a client of Stripe's expects of requests and refusals, over the wire."""

import pytest

CARD = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}


async def _wallet(client) -> str:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    made = await client.post("/v1/wallets", {"customer": customer, "currency": "cny"})
    return made.json["id"]


def told(answered) -> tuple[int, str | None, str | None]:
    """Status, code and parameter of a refusal."""
    return answered.status, answered.error.get("code"), answered.error.get("param")


@pytest.mark.parametrize("amount", ["10.00", "1e3", "5.000e2", "1E3", "+10", " 10", "0x10"])
async def test_a_form_writes_an_integer_in_digits(client, amount: str) -> None:
    """Or a client that sends major units would be off by a hundred, silently."""
    refused = await client.post("/v1/payment_intents", {**CARD, "amount": amount})

    assert told(refused) == (400, "parameter_invalid_integer", "amount")
    assert (await client.get("/v1/payment_intents")).json["data"] == []


@pytest.mark.parametrize("amount", [10.0, 1e3, "10.00", True])
async def test_json_writes_an_integer_as_one(client, amount: object) -> None:
    refused = await client.ask(
        "POST", "/v1/payment_intents", json={**CARD, "confirm": False, "amount": amount}
    )

    assert told(refused) == (400, "parameter_invalid_integer", "amount")


async def test_json_takes_an_integer_and_its_digits(client) -> None:
    for amount in (1200, "1200"):
        order = {"amount": amount, "currency": "usd"}
        made = await client.ask("POST", "/v1/payment_intents", json=order)
        assert made.json["amount"] == 1200


async def test_an_integer_below_a_parameter_is_one_too(client) -> None:
    wallet = f"/v1/wallets/{await _wallet(client)}"
    card = {"type": "card", "card[token]": "tok_visa", "card[exp_month]": "8.0"}
    for refused, param in (
        (await client.post(wallet, {"limits[single]": "50.00"}), "limits[single]"),
        (await client.post(wallet, {"limits[single]": "abc"}), "limits[single]"),
        (await client.get("/v1/customers?limit=1e1"), "limit"),
        (await client.get("/v1/customers?created[gte]=1e9"), "created[gte]"),
        (await client.get("/v1/customers?created=1.7e9"), "created"),
        (await client.get("/v1/customers?created=yesterday"), "created"),
        (await client.post("/v1/payment_methods", card), "card[exp_month]"),
    ):
        assert told(refused) == (400, "parameter_invalid_integer", param)
    assert (await client.get("/v1/customers?created[gte]=1000000000")).status == 200


async def test_what_is_no_text_is_refused_as_that(client) -> None:
    for name in (5, 1.5, True):
        refused = await client.ask("POST", "/v1/customers", json={"name": name})

        assert told(refused) == (400, "parameter_invalid_string", "name")
        assert refused.error["message"].startswith("Invalid string: ")
