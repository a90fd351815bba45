"""A request taken up after its process died is answered as it would have been, not as another was."""

import pytest

from tests.hard_cases.deeds import rule
from tillgate.api.recovery import Recovery

DECLINED = {
    "amount": 1200,
    "currency": "usd",
    "payment_method": "pm_card_chargeDeclined",
    "confirm": "true",
}


async def _died(db, key: str) -> None:
    """As if the process had died right before it could store the answer."""
    async with db.transaction() as tx:
        await tx.run(
            "UPDATE runtime.idempotency SET status = NULL, body = NULL,"
            " locked_at = locked_at - interval '1 hour' WHERE key = $1",
            key,
        )


async def test_confirmation_under_way_is_not_answered_with_the_decline_before(
    client, db, world
) -> None:
    declined = await client.post("/v1/payment_intents", DECLINED)
    url = f"/v1/payment_intents/{declined.error['payment_intent']['id']}/confirm"
    rule(world, "card", "create", "reset_before", next=1)
    first = await client.post(url, {"payment_method": "pm_card_visa"}, key="again")
    assert (first.status, first.json.get("status")) == (200, "processing"), first.body
    assert first.json["last_payment_error"] is None

    await _died(db, "again")
    resumed = await client.post(url, {"payment_method": "pm_card_visa"}, key="again")

    assert (resumed.status, resumed.json.get("status")) == (200, "processing")


async def test_change_and_cancellation_are_not_answered_with_the_decline_before(
    client, db, application
) -> None:
    declined = await client.post("/v1/payment_intents", DECLINED)
    url = f"/v1/payment_intents/{declined.error['payment_intent']['id']}"
    for path, body, key in (
        (url, {"metadata[order]": "6735"}, "change"),
        (f"{url}/cancel", {}, "cancel"),
    ):
        assert (await client.post(path, body, key=key)).status == 200
        await _died(db, key)
        assert (await client.post(path, body, key=key)).status == 200
        await _died(db, key)
        recovery = Recovery(application.api)
        assert await recovery.run() == 1
        assert (await client.post(path, body, key=key)).status == 200


@pytest.mark.parametrize("by", ["worker", "caller"])
async def test_cancellation_that_comes_too_late_is_refused_whoever_finishes_it(
    client, db, world, application, by: str
) -> None:
    made = await client.post(
        "/v1/payment_intents",
        {"amount": 1200, "currency": "cny", "payment_method": "wechat_pay", "confirm": "true"},
    )
    rule(world, "wechat_pay", "notice", "lost_notice")
    await world.phone_pays("wechat_pay", await world.payment(made.json["id"]))
    url = f"/v1/payment_intents/{made.json['id']}/cancel"

    late = await client.post(url, {}, key="late")
    await _died(db, "late")
    if by == "worker":
        assert await Recovery(application.api).run() == 1
    again = await client.post(url, {}, key="late")

    assert late.status == again.status == 400
    assert late.error["code"] == "payment_intent_unexpected_state"
    assert late.error["payment_intent"]["status"] == "succeeded"
    if by == "worker":
        assert again.body == late.body
    for told in (late, again):
        told.error.pop("request_id")
    assert again.error == late.error


@pytest.mark.parametrize("verb", ["confirm", "capture", "cancel"])
async def test_what_cannot_be_done_now_is_refused_with_the_payment(client, verb: str) -> None:
    card = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    paid = (await client.post("/v1/payment_intents", card)).json

    told = await client.post(f"/v1/payment_intents/{paid['id']}/{verb}", {}, key=verb)
    again = await client.post(f"/v1/payment_intents/{paid['id']}/{verb}", {}, key=verb)

    assert (told.status, told.error["code"]) == (400, "payment_intent_unexpected_state")
    assert told.error["type"] == "invalid_request_error"
    assert told.error["payment_intent"] == paid
    assert again.body == told.body


async def test_recovered_answers_expand_what_was_asked_for(client, db, application) -> None:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    card = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    asked = {**card, "customer": customer, "expand[0]": "customer", "expand[1]": "latest_charge"}
    paid = await client.post("/v1/payment_intents", asked, key="paid")
    refund = {
        "payment_intent": paid.json["id"],
        "amount": 5,
        "expand[]": "charge.balance_transaction",
    }
    given = await client.post("/v1/refunds", refund, key="given")
    assert paid.json["latest_charge"]["object"] == "charge"
    for key in ("paid", "given"):
        await _died(db, key)

    assert await Recovery(application.api).run() == 2

    again = await client.post("/v1/refunds", refund, key="given")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["charge"]["balance_transaction"]["object"] == "balance_transaction"
    assert again.json == given.json
    again = await client.post("/v1/payment_intents", asked, key="paid")
    assert again.json["customer"]["name"] == "Li"
    assert again.json["latest_charge"]["id"] == paid.json["latest_charge"]["id"]


async def test_claim_of_an_older_version_is_finished_as_the_creation_it_was(
    client, db, application
) -> None:
    card = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    paid = await client.post("/v1/payment_intents", card, key="old")
    await _died(db, "old")
    async with db.transaction() as tx:
        await tx.run("UPDATE runtime.idempotency SET operation = NULL, expand = NULL")

    assert await Recovery(application.api).run() == 1

    again = await client.post("/v1/payment_intents", card, key="old")
    assert (again.status, again.json["id"]) == (200, paid.json["id"])
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_claim_of_something_unknown_does_not_hold_up_the_others(
    client, db, application
) -> None:
    order = {"amount": 1200, "currency": "usd"}
    for key in ("first", "second"):
        await client.post("/v1/payment_intents", order, key=key)
        await _died(db, key)
    async with db.transaction() as tx:
        await tx.run("UPDATE runtime.idempotency SET operation = 'post_gone' WHERE key = 'first'")

    assert await Recovery(application.api).run() == 2

    async with db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT key, status FROM runtime.idempotency ORDER BY key")
    assert [(row["key"], row["status"]) for row in rows] == [("first", None), ("second", 200)]


async def test_publishable_key_reads_no_customer_and_decides_no_capture(client, teahouse) -> None:
    customer = (await client.post("/v1/customers", {"email": "li@teahouse.test"})).json["id"]
    made = await client.post(
        "/v1/payment_intents",
        {"amount": 1200, "currency": "usd", "customer": customer, "payment_method": "pm_card_visa"},
    )
    browser = client.with_key(teahouse.publishable)
    url, secret = f"/v1/payment_intents/{made.json['id']}", made.json["client_secret"]

    seen = await browser.get(f"{url}?client_secret={secret}&expand[]=customer")
    held = await browser.post(
        f"{url}/confirm", {"client_secret": secret, "capture_method": "manual"}
    )

    assert (seen.status, seen.error["code"]) == (403, "secret_key_required")
    assert b"li@teahouse.test" not in seen.body
    assert (held.status, held.error["code"]) == (403, "secret_key_required")
    assert (await client.get(url)).json["status"] == "requires_confirmation"


@pytest.mark.parametrize("path", ["/v1/payment_intents", "/v1/top_ups"])
async def test_decline_whose_answer_was_lost_stays_one_though_the_payment_was_changed(
    client, db, path: str
) -> None:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    wallet = await client.post("/v1/wallets", {"customer": customer, "currency": "usd"})
    body = {**DECLINED}
    if path == "/v1/top_ups":
        del body["confirm"]
        body["wallet"] = wallet.json["id"]
    declined = await client.post(path, body, key="k")
    await _died(db, "k")
    payment = declined.error["payment_intent"]["id"]
    changed = await client.post(f"/v1/payment_intents/{payment}", {"description": "tea"})
    assert (changed.status, changed.json["last_payment_error"]) == (200, None)

    again = await client.post(path, body, key="k")

    assert (again.status, again.error["code"]) == (402, "card_declined"), again.body
