"""Events and webhook endpoints, over the wire."""


async def test_endpoints_live_and_keep_their_secret(client, db) -> None:
    body = {"url": "http://127.0.0.1:9/hooks", "enabled_events[]": "*", "metadata[a]": "b"}
    made = await client.post("/v1/webhook_endpoints", body, key="we")
    assert made.json["secret"].startswith("whsec_"), made.body
    assert (await client.post("/v1/webhook_endpoints", body, key="we")).body == made.body
    url = f"/v1/webhook_endpoints/{made.json['id']}"
    assert "secret" not in (await client.get(url)).json
    async with db.transaction() as tx:
        kept = await tx.all("SELECT * FROM runtime.idempotency")
        assert made.json["secret"].encode() not in kept[0]["body"]
    changed = await client.post(url, {"disabled": "true", "enabled_events[0]": "refund.created"})
    assert changed.json["status"] == "disabled"
    assert changed.json["enabled_events"] == ["refund.created"]
    assert (await client.post(f"{url}/roll_secret")).json["secret"] != made.json["secret"]
    assert len((await client.get("/v1/webhook_endpoints")).json["data"]) == 1
    refused = await client.post(url, {"url": "ftp://example.com"})
    assert refused.error["param"] == "url"
    assert (await client.get(f"{url}/deliveries")).json["data"] == []
    assert (await client.delete(url)).json["deleted"] is True
    assert (await client.get(url)).status == 404


async def test_one_endpoint_too_many_is_refused_with_a_code(client) -> None:
    body = {"url": "http://127.0.0.1:9/hooks", "enabled_events[]": "*"}
    for _ in range(16):
        assert (await client.post("/v1/webhook_endpoints", body)).status == 200

    refused = await client.post("/v1/webhook_endpoints", body)

    assert (refused.status, refused.error["code"]) == (400, "webhook_endpoint_limit_exceeded")
    assert len((await client.get("/v1/webhook_endpoints?limit=100")).json["data"]) == 16


async def test_events_say_what_happened(client) -> None:
    paid = await client.post(
        "/v1/payment_intents",
        {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"},
        key="e1",
    )
    events = (await client.get("/v1/events?limit=100")).json["data"]
    by_type = {event["type"]: event for event in events}
    assert set(by_type) == {
        "payment_intent.succeeded", "charge.succeeded", "payment_intent.created"
    }  # fmt: skip
    event = by_type["payment_intent.succeeded"]
    assert event["data"]["object"]["id"] == paid.json["id"]
    assert event["data"]["object"]["status"] == "succeeded"
    assert event["data"]["sequence"] > by_type["payment_intent.created"]["data"]["sequence"]
    assert event["request"]["idempotency_key"] == "e1"
    assert (await client.get(f"/v1/events/{event['id']}")).json == event
    only = (await client.get("/v1/events?type=charge.*")).json["data"]
    assert [one["type"] for one in only] == ["charge.succeeded"]
    assert (await client.get("/v1/events/evt_nothing")).status == 404
