"""Payments, charges and refunds, over the wire."""

import asyncio

import pytest

from simulators.common.faults import Fault, FaultKind, Rule
from tests.worlds import MERCHANT
from tillgate.api.recovery import Recovery

CARD = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}


async def test_a_card_payment_and_its_refunds(client, world) -> None:
    paid = await client.post("/v1/payment_intents", CARD, key="k1")
    assert paid.status == 200, paid.body
    intent = paid.json
    assert intent["status"] == "succeeded"
    assert intent["amount_received"] == 1200
    charge = (await client.get(f"/v1/charges/{intent['latest_charge']}")).json
    assert charge["paid"] is True
    assert charge["payment_method_details"]["card"]["last4"] == "4242"
    assert charge["balance_transaction"].startswith("txn_")
    assert (await client.post("/v1/payment_intents", CARD, key="k1")).body == paid.body

    first = await client.post(
        "/v1/refunds", {"payment_intent": intent["id"], "amount": 500, "metadata[case]": "17"}
    )
    assert first.json["status"] == "succeeded", first.body
    over = await client.post("/v1/refunds", {"charge": charge["id"], "amount": 701})
    assert over.status == 400
    assert over.error["param"] == "amount"
    rest = await client.post("/v1/refunds", {"charge": charge["id"]})
    assert rest.json["amount"] == 700
    again = await client.post("/v1/refunds", {"charge": charge["id"]})
    assert again.error["code"] == "charge_already_refunded"
    listed = (await client.get(f"/v1/refunds?payment_intent={intent['id']}")).json
    assert [one["amount"] for one in listed["data"]] == [700, 500]
    changed = await client.post(f"/v1/refunds/{first.json['id']}", {"metadata[case]": "18"})
    assert changed.json["metadata"] == {"case": "18"}
    refused = await client.post(f"/v1/refunds/{first.json['id']}/cancel")
    assert refused.status == 400
    charge = (await client.get(f"/v1/charges/{charge['id']}")).json
    assert charge["refunded"] is True
    await world.assert_books_hold()


@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_charge_shows_the_card_that_the_provider_named(
    client, world, *, is_answered: bool
) -> None:
    """The holder is asked to authenticate first, and the payment is then told by a notice."""
    if not is_answered:
        world.running.simulators["card"].plan.add(
            Rule("create", Fault(FaultKind.RESET_AFTER), next=1)
        )
    card = {**CARD, "payment_method": "pm_card_authenticationRequired"}
    intent = (await client.post("/v1/payment_intents", card)).json

    async def known() -> bool:
        async with world.db.transaction(readonly=True) as tx:
            return bool(await tx.value("SELECT instrument <> '{}' FROM payments.attempts"))

    await world.until(known, sweep=not is_answered)
    await world.phone_pays("card", await world.payment(intent["id"]))
    paid = await world.until_paid(await world.payment(intent["id"]))

    intent = (await client.get(f"/v1/payment_intents/{paid.id}")).json
    charge = (await client.get(f"/v1/charges/{intent['latest_charge']}")).json
    shown = charge["payment_method_details"]["card"]
    assert (shown["brand"], shown["last4"], shown["network"]) == ("visa", "3184", "visa")
    assert (shown["exp_month"], shown["exp_year"], shown["country"]) == (12, 2034, "US")


async def test_a_decline_is_402_with_the_payment_inside(client) -> None:
    declined = await client.post(
        "/v1/payment_intents", {**CARD, "payment_method": "pm_card_chargeDeclined"}, key="d"
    )
    assert declined.status == 402
    error = declined.error
    assert error["type"] == "card_error"
    assert error["code"] == "card_declined"
    assert error["decline_code"] == "generic_decline"
    intent = error["payment_intent"]
    assert intent["status"] == "requires_payment_method"
    assert intent["last_payment_error"]["code"] == "card_declined"
    again = await client.post(
        "/v1/payment_intents", {**CARD, "payment_method": "pm_card_chargeDeclined"}, key="d"
    )
    assert again.body == declined.body
    charges = (await client.get(f"/v1/charges?payment_intent={intent['id']}")).json["data"]
    assert [one["status"] for one in charges] == ["failed"]
    assert charges[0]["id"] == error["charge"]
    told = await client.post(f"/v1/payment_intents/{intent['id']}", {"metadata[order]": "6735"})
    assert told.json["latest_charge"] == error["charge"]
    paid = await client.post(
        f"/v1/payment_intents/{intent['id']}/confirm", {"payment_method": "pm_card_visa"}
    )
    assert paid.json["status"] == "succeeded"
    assert paid.json["last_payment_error"] is None
    twice = await client.post(f"/v1/payment_intents/{intent['id']}/confirm")
    assert twice.error["code"] == "payment_intent_unexpected_state"


async def test_reserve_capture_and_release(client) -> None:
    held = (await client.post("/v1/payment_intents", {**CARD, "capture_method": "manual"})).json
    assert held["status"] == "requires_capture"
    assert held["amount_capturable"] == 1200
    over = await client.post(
        f"/v1/payment_intents/{held['id']}/capture", {"amount_to_capture": 1201}
    )
    assert over.error["param"] == "amount_to_capture"
    taken = await client.post(
        f"/v1/payment_intents/{held['id']}/capture", {"amount_to_capture": 800}
    )
    assert taken.json["status"] == "succeeded", taken.body
    assert taken.json["amount_received"] == 800
    other = (await client.post("/v1/payment_intents", {**CARD, "capture_method": "manual"})).json
    canceled = await client.post(
        f"/v1/payment_intents/{other['id']}/cancel", {"cancellation_reason": "abandoned"}
    )
    assert canceled.json["status"] == "canceled", canceled.body
    assert canceled.json["cancellation_reason"] == "abandoned"


async def test_wechat_shows_a_code_and_is_paid_on_the_phone(client, world) -> None:
    made = await client.post(
        "/v1/payment_intents",
        {"amount": 5000, "currency": "cny", "payment_method_types[]": "wechat_pay",
         "payment_method_data[type]": "wechat_pay", "confirm": "true"},
    )  # fmt: skip
    intent = made.json
    assert intent["status"] == "requires_action", made.body
    action = intent["next_action"]
    assert action["type"] == "wechat_pay_display_qr_code"
    shown = action["wechat_pay_display_qr_code"]
    assert shown["data"].startswith("weixin://")
    page = f"http://127.0.0.1:8080/pay/for/{MERCHANT}.{intent['id']}."
    assert shown["hosted_instructions_url"].startswith(page)
    again = await client.get(f"/v1/payment_intents/{intent['id']}")
    assert again.json["next_action"] == action
    await world.phone_pays("wechat_pay", await world.payment(intent["id"]))

    async def paid() -> bool:
        got = await client.get(f"/v1/payment_intents/{intent['id']}")
        return got.json["status"] == "succeeded"

    await world.until(paid)


async def test_an_intent_is_made_changed_and_listed(client, teahouse) -> None:
    cus = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    made = await client.post(
        "/v1/payment_intents", {"amount": 700, "currency": "USD", "customer": cus}
    )
    intent = made.json
    assert intent["status"] == "requires_payment_method"
    assert intent["currency"] == "usd"
    changed = await client.post(
        f"/v1/payment_intents/{intent['id']}",
        {"amount": 900, "metadata[order]": "6735", "payment_method": "pm_card_visa"},
    )
    assert changed.json["amount"] == 900
    assert changed.json["status"] == "requires_confirmation"
    listed = await client.get(f"/v1/payment_intents?customer={cus}&expand[]=data.customer")
    assert listed.json["data"][0]["customer"]["name"] == "Li"
    no_method = await client.post(
        "/v1/payment_intents", {"amount": 700, "currency": "usd", "confirm": "true"}
    )
    assert no_method.error["param"] == "payment_method"
    publishable = client.with_key(teahouse.publishable)
    secret = intent["client_secret"]
    seen = await publishable.get(f"/v1/payment_intents/{intent['id']}?client_secret={secret}")
    assert seen.status == 200
    unseen = await publishable.get(f"/v1/payment_intents/{intent['id']}?client_secret=guess")
    assert unseen.status == 404
    assert (await publishable.get("/v1/payment_intents")).status == 403
    confirmed = await publishable.post(
        f"/v1/payment_intents/{intent['id']}/confirm", {"client_secret": secret}
    )
    assert confirmed.json["status"] == "succeeded"


async def test_a_request_whose_worker_died_is_finished_by_the_truth(client, db) -> None:
    paid = await client.post("/v1/payment_intents", CARD, key="crash")
    async with db.transaction() as tx:
        # As if the process had died right before it could store the answer.
        await tx.run(
            "UPDATE runtime.idempotency SET status = NULL, body = NULL,"
            " locked_at = locked_at - interval '1 hour' WHERE key = 'crash'"
        )
    again = await client.post("/v1/payment_intents", CARD, key="crash")
    assert again.status == 200
    assert again.json["id"] == paid.json["id"]
    assert again.json["status"] == "succeeded"
    async with db.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM payments.payments") == 1
        await tx.run(
            "UPDATE runtime.idempotency SET status = NULL, body = NULL WHERE key = 'crash'"
        )
    in_use = await client.post("/v1/payment_intents", CARD, key="crash")
    assert in_use.status == 409
    assert in_use.error["code"] == "idempotency_key_in_use"


async def test_fifty_at_once_charge_once(client, db) -> None:
    async def ask() -> int:
        for _ in range(200):
            got = await client.post("/v1/payment_intents", CARD, key="once")
            if got.status != 409:
                return got.status
            await asyncio.sleep(0.02)
        raise AssertionError("never answered")

    assert set(await asyncio.gather(*(ask() for _ in range(50)))) == {200}
    async with db.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM payments.attempts") == 1


async def test_fifty_refunds_never_exceed_the_payment(client, world) -> None:
    intent = (await client.post("/v1/payment_intents", CARD)).json["id"]
    body = {"payment_intent": intent, "amount": 100}
    answers = await asyncio.gather(*(client.post("/v1/refunds", body) for _ in range(50)))
    assert sum(answer.status == 200 for answer in answers) == 12
    assert {answer.status for answer in answers} == {200, 400}
    await world.assert_books_hold()


async def test_the_worker_finishes_what_nobody_asks_about_again(client, db, application) -> None:
    declined = {**CARD, "payment_method": "pm_card_chargeDeclined"}
    paid = await client.post("/v1/payment_intents", CARD, key="k1")
    failed = await client.post("/v1/payment_intents", declined, key="k2")
    intent = paid.json["id"]
    refund = await client.post("/v1/refunds", {"payment_intent": intent, "amount": 5}, key="k3")
    async with db.transaction() as tx:
        await tx.run(
            "UPDATE runtime.idempotency SET status = NULL, body = NULL,"
            " locked_at = locked_at - interval '1 hour'"
        )
    recovery = Recovery(application.api)

    assert await recovery.run() == 3
    assert await recovery.run() == 0

    again = await client.post("/v1/payment_intents", CARD, key="k1")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["latest_charge"] == paid.json["latest_charge"]
    again = await client.post("/v1/payment_intents", declined, key="k2")
    assert again.status == 402
    assert again.error["decline_code"] == failed.error["decline_code"]
    again = await client.post("/v1/refunds", {"payment_intent": intent, "amount": 5}, key="k3")
    assert again.json["id"] == refund.json["id"]


async def test_a_capture_may_change_words_and_is_the_last(client) -> None:
    held = (await client.post("/v1/payment_intents", {**CARD, "capture_method": "manual"})).json
    url = f"/v1/payment_intents/{held['id']}/capture"
    more = await client.post(url, {"final_capture": "false"})
    assert (more.status, more.error["param"]) == (400, "final_capture")
    refused = {"amount_to_capture": 99_999, "metadata[parcel]": "8"}
    assert (await client.post(url, refused)).status == 400
    assert (await client.get(f"/v1/payment_intents/{held['id']}")).json["metadata"] == {}

    words = {"metadata[parcel]": "7", "statement_descriptor_suffix": "PARCEL 7"}
    captured = (await client.post(url, words, key="k-capture")).json

    assert captured["status"] == "succeeded"
    assert captured["metadata"] == {"parcel": "7"}
    assert captured["statement_descriptor_suffix"] == "PARCEL 7"


async def test_types_go_by_either_name_of_stripes(client) -> None:
    new, old = (
        {"amount": 1200, "currency": "usd", f"{name}[]": "card"}
        for name in ("allowed_payment_method_types", "payment_method_types")
    )
    for terms in (new, old):
        made = (await client.post("/v1/payment_intents", terms)).json
        assert made["payment_method_types"] == ["card"]
        assert made["allowed_payment_method_types"] == ["card"]
    both = await client.post("/v1/payment_intents", {**new, **old})
    assert (both.status, both.error["param"]) == (400, "payment_method_types")


async def test_without_redirects_alipay_is_not_offered(client) -> None:
    never = {"automatic_payment_methods[enabled]": "true",
             "automatic_payment_methods[allow_redirects]": "never"}  # fmt: skip
    terms = {"amount": 1200, "currency": "cny", **never}
    assert (
        "alipay"
        not in (await client.post("/v1/payment_intents", terms)).json["payment_method_types"]
    )
    refused = await client.post("/v1/payment_intents", {**terms, "payment_method": "alipay"})
    assert refused.error["param"] == "automatic_payment_methods[allow_redirects]"


async def test_what_would_change_nothing_is_refused(client) -> None:
    """Rather than charging at once where a hold was meant."""
    options = {"payment_method_options[card][capture_method]": "manual"}
    refused = await client.post("/v1/payment_intents", {**CARD, **options})

    assert refused.error["code"] == "parameter_unknown"


async def test_refused_confirmation_changes_nothing(client) -> None:
    order = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa"}
    made = (await client.post("/v1/payment_intents", order)).json
    url = f"/v1/payment_intents/{made['id']}"

    answers = await asyncio.gather(
        *(client.post(f"{url}/confirm", {"receipt_email": f"{n}@tea.test"}) for n in range(12))
    )

    [won] = [number for number, answer in enumerate(answers) if answer.status == 200]
    assert (await client.get(url)).json["receipt_email"] == f"{won}@tea.test"


@pytest.mark.parametrize("confirm", ["true", "false"])
async def test_nothing_is_paid_in_points(client, db, confirm) -> None:
    points = {**CARD, "currency": "pts", "confirm": confirm}
    refused = await client.post("/v1/payment_intents", points)
    assert (refused.status, refused.error["param"]) == (400, "currency")
    assert refused.error["code"] == "currency_not_supported"

    made = await client.post("/v1/payment_intents", {"amount": 5, "currency": "usd"})
    changed = await client.post(f"/v1/payment_intents/{made.json['id']}", {"currency": "pts"})
    assert (changed.status, changed.error["param"]) == (400, "currency")
    top_up = {**points, "wallet": "wal_none"}
    refused = await client.post("/v1/top_ups", top_up)
    assert (refused.status, refused.error["param"]) == (400, "currency")
    async with db.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM payments.payments") == 1
