"""A request taken up after its process died is answered as it would have been, not as another was."""

from tests.hard_cases.deeds import rule
from tillgate.api.recovery import Recovery
from tillgate.topups.flows import TopUps

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
    client, db, world
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
        recovery = Recovery(
            db, world.clock, world.payments, TopUps(world.payments), abandoned_after_seconds=45
        )
        assert await recovery.run() == 1
        assert (await client.post(path, body, key=key)).status == 200


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
