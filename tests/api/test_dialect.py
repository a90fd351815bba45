"""What a client of Stripe's expects of requests and refusals, over the wire."""

import pytest

from tests.hard_cases.deeds import attempts
from tillgate.connectors import port
from tillgate.payments.flows import NO_TRACE

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


async def _paid(client) -> dict:
    return (await client.post("/v1/payment_intents", CARD)).json


async def test_a_refund_too_many_names_the_charge_as_the_api_does(client) -> None:
    charge = (await _paid(client))["latest_charge"]
    await client.post("/v1/refunds", {"charge": charge})

    again = await client.post("/v1/refunds", {"charge": charge})

    assert again.error["message"] == f"Charge {charge} has already been refunded."


async def test_a_released_authorisation_stays_a_charge_that_succeeded(client) -> None:
    held = (await client.post("/v1/payment_intents", {**CARD, "capture_method": "manual"})).json
    await client.post(f"/v1/payment_intents/{held['id']}/cancel")

    charge = (await client.get(f"/v1/charges/{held['latest_charge']}")).json

    assert (charge["status"], charge["paid"], charge["captured"]) == ("succeeded", True, False)
    assert (charge["refunded"], charge["amount_refunded"]) == (True, 1200)
    assert (charge["amount"], charge["amount_captured"]) == (1200, 0)
    assert (charge["failure_code"], charge["failure_message"]) == (None, None)
    assert charge["outcome"]["type"] == "authorized"
    assert charge["balance_transaction"] is None
    listed = (await client.get(f"/v1/charges?payment_intent={held['id']}")).json["data"]
    assert listed == [charge]


async def test_an_authorisation_that_the_provider_lets_go_is_told_as_it_is_shown(
    client, world
) -> None:
    held = (await client.post("/v1/payment_intents", {**CARD, "capture_method": "manual"})).json
    [attempt] = await attempts(world, await world.payment(held["id"]))
    await world.payments._hear(attempt, port.Closed(), NO_TRACE)

    charge = (await client.get(f"/v1/charges/{held['latest_charge']}")).json

    assert (charge["status"], charge["refunded"], charge["failure_code"]) == (
        "succeeded", True, None
    )  # fmt: skip
    told_of = (await client.get("/v1/events?type=charge.*")).json["data"]
    assert [one["type"] for one in told_of] == ["charge.expired", "charge.succeeded"]
    assert told_of[0]["data"]["object"] == charge


async def test_an_order_that_nobody_paid_is_no_charge_of_a_list(client) -> None:
    order = {"amount": 500, "currency": "cny", "payment_method": "wechat_pay", "confirm": "true"}
    made = (await client.post("/v1/payment_intents", order)).json
    await client.post(f"/v1/payment_intents/{made['id']}/cancel")

    assert (await client.get("/v1/charges")).json["data"] == []


async def test_a_code_to_scan_runs_out_at_a_moment_like_all_others(client, world) -> None:
    order = {"amount": 500, "currency": "cny", "payment_method": "wechat_pay", "confirm": "true"}
    made = (await client.post("/v1/payment_intents", order)).json

    shown = made["next_action"]["wechat_pay_display_qr_code"]

    now = int(world.clock.now().timestamp())
    assert type(shown["expires_at"]) is int
    assert now < shown["expires_at"] <= now + 7200
    event = (await client.get("/v1/events?type=payment_intent.requires_action")).json["data"][0]
    assert event["data"]["object"]["next_action"] == made["next_action"]


@pytest.mark.parametrize(
    ("path", "filters"),
    [
        ("/v1/customers", "created, email"),
        ("/v1/payment_intents", "created, customer"),
        ("/v1/charges", "created, customer, payment_intent"),
    ],
)
async def test_searching_is_not_offered_and_says_what_is(client, path: str, filters: str) -> None:
    refused = await client.get(f"{path}/search?query=email:'li@example.com'")

    assert told(refused) == (404, None, None)
    assert refused.error["type"] == "invalid_request_error"
    assert refused.error["message"].startswith(f"Unrecognized request URL (GET: {path}/search).")
    assert f"GET {path} can be narrowed by {filters}." in refused.error["message"]


async def test_a_method_that_a_path_does_not_have_is_an_unknown_url(client) -> None:
    refused = await client.ask("PUT", "/v1/customers")

    assert told(refused) == (404, None, None)
    assert refused.error["type"] == "invalid_request_error"
    message = refused.error["message"]
    assert message.startswith("Unrecognized request URL (PUT: /v1/customers).")
    assert "GET, POST" in message


_LISTS = {
    "/v1/customers": "cus",
    "/v1/payment_intents": "pi",
    "/v1/charges": "ch",
    "/v1/refunds": "re",
    "/v1/events": "evt",
    "/v1/wallets": "wal",
    "/v1/webhook_endpoints": "we",
    "/v1/balance_transactions": "txn",
    "/v1/ledger_accounts": "la",
    "/v1/ledger_entries?account=la_00000001": "le",
}


@pytest.mark.parametrize("path", _LISTS)
@pytest.mark.parametrize("param", ["starting_after", "ending_before"])
async def test_a_cursor_is_an_id_of_the_lists_objects(client, path: str, param: str) -> None:
    sign = "&" if "?" in path else "?"
    foreign = "pi_01hzzz" if _LISTS[path] != "pi" else "cus_01hzzz"
    for cursor in (foreign, "zzz", "_", _LISTS[path], "%C3%A9"):
        refused = await client.get(f"{path}{sign}{param}={cursor}")
        assert told(refused) == (400, "resource_missing", param), cursor


async def test_a_foreign_cursor_is_refused_in_the_words_of_its_list(client) -> None:
    wallet = await _wallet(client)
    customer = (await client.get(f"/v1/wallets/{wallet}")).json["customer"]
    for path, name in (
        ("/v1/customers", "customer"),
        ("/v1/payment_intents", "payment_intent"),
        (f"/v1/payment_methods?customer={customer}", "PaymentMethod"),
        (f"/v1/top_ups?wallet={wallet}", "top_up"),
        (f"/v1/wallets/{wallet}/transactions", "wallet transaction"),
        (f"/v1/wallets/{wallet}/holds", "wallet hold"),
    ):
        sign = "&" if "?" in path else "?"
        refused = await client.get(f"{path}{sign}starting_after=zzz")
        assert refused.error["message"] == f"No such {name}: 'zzz'"


async def test_a_detached_payment_method_is_not_used_again(client) -> None:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    order = {**CARD, "customer": customer}
    attached = await client.post("/v1/payment_methods/pm_card_visa/attach", {"customer": customer})
    card = attached.json["id"]
    waiting = {"amount": 5, "currency": "usd", "customer": customer, "payment_method": card}
    made = (await client.post("/v1/payment_intents", waiting)).json
    assert (await client.post(f"/v1/payment_methods/{card}/detach")).json["customer"] is None
    wallet = await _wallet(client)
    top_up = {"wallet": wallet, "amount": 5, "currency": "cny", "payment_method": card}

    for path, body in (
        ("/v1/payment_intents", {**order, "payment_method": card}),
        ("/v1/payment_intents", {**CARD, "payment_method": card}),
        (f"/v1/payment_intents/{made['id']}", {"payment_method": card}),
        (f"/v1/payment_intents/{made['id']}/confirm", {}),
        (f"/v1/payment_methods/{card}/attach", {"customer": customer}),
        ("/v1/customers", {"payment_method": card}),
        ("/v1/top_ups", top_up),
    ):
        refused = await client.post(path, body)
        assert told(refused) == (400, "payment_method_unexpected_state", "payment_method"), path
    assert (await client.get(f"/v1/payment_methods/{card}")).json["customer"] is None
    assert (await client.post("/v1/payment_intents", order)).json["status"] == "succeeded"


async def test_a_payment_method_of_nobody_can_be_used(client) -> None:
    card = {"type": "card", "card[token]": "tok_visa"}
    made = (await client.post("/v1/payment_methods", card)).json["id"]

    paid = await client.post("/v1/payment_intents", {**CARD, "payment_method": made})

    assert paid.json["status"] == "succeeded"


async def test_a_refusal_names_the_parameter_as_its_request_does(client) -> None:
    """Not as the room where it was found calls it: the SDKs hand it to who sent it."""
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    other = (await client.post("/v1/customers", {"name": "Wang"})).json["id"]
    attached = await client.post("/v1/payment_methods/pm_card_visa/attach", {"customer": other})
    theirs = attached.json["id"]
    intent = (await client.post("/v1/payment_intents", {"amount": 5, "currency": "usd"})).json["id"]
    endpoint = {"url": "http://127.0.0.1:9/hooks", "enabled_events[]": "*"}
    hook = (await client.post("/v1/webhook_endpoints", endpoint)).json["id"]
    setting = "invoice_settings[default_payment_method]"
    order = {"amount": 5, "currency": "usd"}
    for path, body, status, param in (
        ("/v1/refunds", {"payment_intent": "pi_nope"}, 404, "payment_intent"),
        ("/v1/refunds", {"charge": "ch_nope"}, 404, "charge"),
        ("/v1/refunds", {"charge": "nope"}, 404, "charge"),
        ("/v1/payment_intents", {**order, "customer": "cus_nope"}, 404, "customer"),
        ("/v1/payment_intents", {**order, "payment_method": "pm_nope"}, 404, "payment_method"),
        (f"/v1/payment_intents/{intent}", {"customer": "cus_nope"}, 404, "customer"),
        (f"/v1/payment_intents/{intent}", {"payment_method": "pm_nope"}, 404, "payment_method"),
        (f"/v1/payment_intents/{intent}/confirm", {"payment_method": "x"}, 404, "payment_method"),
        ("/v1/payment_intents/pi_nope/cancel", {}, 404, "intent"),
        ("/v1/customers", {"payment_method": "pm_nope"}, 404, "payment_method"),
        ("/v1/customers", {"payment_method": theirs}, 400, "payment_method"),
        (f"/v1/customers/{customer}", {setting: "pm_nope"}, 404, setting),
        (f"/v1/customers/{customer}", {setting: theirs}, 400, setting),
        (f"/v1/payment_methods/{theirs}/attach", {"customer": customer}, 400, "payment_method"),
        (f"/v1/payment_methods/{theirs}/attach", {"customer": "cus_nope"}, 404, "customer"),
        ("/v1/payment_methods/pm_nope/detach", {}, 404, "payment_method"),
        ("/v1/wallets", {"customer": "cus_nope", "currency": "cny"}, 404, "customer"),
        ("/v1/top_ups", {**CARD, "wallet": "wal_nope"}, 404, "wallet"),
        (f"/v1/webhook_endpoints/{hook}/replay", {"event": "evt_nope"}, 404, "event"),
    ):
        refused = await client.post(path, body)
        assert (refused.status, refused.error["param"]) == (status, param), (path, body)
    for path, param in (
        ("/v1/ledger_entries?account=la_9", "account"),
        ("/v1/ledger_entries?account=nope", "account"),
        ("/v1/payment_methods?customer=cus_nope", "customer"),
        ("/v1/top_ups?wallet=wal_nope", "wallet"),
        ("/v1/ledger_accounts/nope", "id"),
    ):
        refused = await client.get(path)
        assert (refused.status, refused.error["param"]) == (404, param), path
