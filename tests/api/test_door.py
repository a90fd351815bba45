"""The door of the API: keys, paths, errors, headers, idempotency."""

import asyncio
import base64
import logging

from tillgate.kernel.clock import SystemClock
from tillgate.merchants import commands as merchants
from tillgate.merchants import queries


async def test_only_keys_open(client, teahouse) -> None:
    for headers in (
        {"Authorization": ""},
        {"Authorization": "Bearer sk_test_nobody"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic !!!"},
    ):
        refused = await client.get("/v1/customers", headers=headers)
        assert refused.status == 401
        assert refused.error["type"] == "invalid_request_error"
    basic = "Basic " + base64.b64encode(f"{teahouse.secret}:".encode()).decode()
    assert (await client.get("/v1/customers", headers={"Authorization": basic})).status == 200
    publishable = client.with_key(teahouse.publishable)
    refused = await publishable.get("/v1/customers")
    assert refused.status == 403
    other = await client.get("/v1/customers", headers={"Stripe-Account": "acct_other"})
    assert other.status == 403


async def test_a_revoked_key_stops_working(client, teahouse, db, application) -> None:
    async with db.transaction() as tx:
        made = await merchants.create_key(tx, teahouse.test_id, "secret", at=SystemClock().now())
    second = client.with_key(made.text)
    assert (await second.get("/v1/customers")).status == 200
    async with db.transaction() as tx:
        await merchants.revoke_key(tx, made.key.id, at=SystemClock().now())
        kept = await tx.all("SELECT * FROM merchants.api_keys")
        assert made.text not in str([dict(row) for row in kept])
    application.api.keys.forget()
    assert (await second.get("/v1/customers")).status == 401
    async with db.transaction() as tx:
        assert len(await queries.keys(tx, teahouse.account)) == 4


async def test_a_request_is_logged_under_its_route_and_not_under_ids(client, caplog) -> None:
    with caplog.at_level(logging.INFO, "tillgate.api"):
        await client.get("/v1/customers/cus_nobody")
        await client.get("/v1/nothing/cus_nobody")

    said = [getattr(record, "http.route") for record in caplog.records]
    assert said == ["/v1/customers/{customer}", None]


async def test_unknown_paths_and_methods_are_stripes_json(client) -> None:
    unknown = await client.get("/v1/nothing")
    assert unknown.status == 404
    assert unknown.error["type"] == "invalid_request_error"
    wrong = await client.ask("PUT", "/v1/customers")
    assert wrong.status == 404
    assert "GET, POST" in wrong.error["message"]
    odd = await client.get("/v1/customers/%00%00")
    assert odd.status == 404


async def test_headers_say_who_and_which_version(client) -> None:
    got = await client.post("/v1/customers", {"name": "Li"}, key="k1")
    assert got.headers["Request-Id"].startswith("req_")
    assert got.headers["Stripe-Version"]
    assert got.headers["Idempotency-Key"] == "k1"
    assert "Idempotent-Replayed" not in got.headers
    again = await client.post("/v1/customers", {"name": "Li"}, key="k1")
    assert again.body == got.body
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == got.headers["Request-Id"]


async def test_each_error_names_its_parameter(client) -> None:
    for data, param, code in (
        ({"nmae": "Li"}, "nmae", "parameter_unknown"),
        ({"preferred_locales": "zh"}, "preferred_locales", "parameter_invalid_array"),
        ({"address[planet]": "Mars"}, "address[planet]", "parameter_unknown"),
        ({"metadata[a][b]": "c"}, "metadata", "parameter_invalid_object"),
        ({"name": "x" * 501}, "name", "parameter_too_long"),
    ):
        refused = await client.post("/v1/customers", data)
        assert refused.status == 400
        assert (refused.error["param"], refused.error["code"]) == (param, code)
    missing = await client.post("/v1/payment_methods")
    assert (missing.error["param"], missing.error["code"]) == ("type", "parameter_missing")
    for body, content_type in ((b"[1]", "application/json"), (b"{", "application/json"),
                               (b"name=\xff", "application/x-www-form-urlencoded"),
                               (b"name=Li", "text/plain")):  # fmt: skip
        headers = {"Content-Type": content_type}
        whole = await client.ask("POST", "/v1/customers", data=body, headers=headers)
        assert (whole.status, whole.error["code"]) == (400, "request_unreadable"), body
    assert (await client.post("/v1/customers", "name=%ff")).status == 400
    deep = await client.post("/v1/customers", "a" + "[b]" * 50 + "=1")
    assert deep.status == 400


async def test_a_key_is_one_request(client) -> None:
    first = await client.post("/v1/customers", "name=Li&metadata[a]=1&metadata[b]=2", key="k")
    same = await client.post("/v1/customers", "metadata[b]=2&metadata[a]=1&name=Li", key="k")
    assert same.body == first.body
    other = await client.post("/v1/customers", {"name": "Wang"}, key="k")
    assert other.status == 400
    assert other.error["type"] == "idempotency_error"
    elsewhere = await client.post("/v1/payment_methods", {"type": "alipay"}, key="k")
    assert elsewhere.error["type"] == "idempotency_error"
    refused = await client.post("/v1/customers", {"nmae": "Li"}, key="k2")
    assert refused.status == 400
    assert (await client.post("/v1/customers", {"name": "Li"}, key="k2")).status == 200
    assert (await client.get("/v1/customers", headers={"Idempotency-Key": "k2"})).status == 200


async def test_fifty_at_once_with_one_key_do_it_once(client, db) -> None:
    answers = await asyncio.gather(
        *(client.post("/v1/customers", {"name": "Li"}, key="once") for _ in range(50))
    )
    assert {answer.body for answer in answers} == {answers[0].body}
    assert {answer.status for answer in answers} == {200}
    async with db.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM customers.customers") == 1
        assert await tx.value("SELECT count(*) FROM runtime.facts") == 1
        assert await tx.value("SELECT count(*) FROM runtime.idempotency") == 1


async def test_the_documents_are_there(client) -> None:
    spec = (await client.get("/openapi.json")).json
    assert spec["openapi"] == "3.1.0"
    assert "/v1/customers/{customer}" in spec["paths"]
    async with client.session.get(client.base + "/docs") as page:
        text = await page.text()
        assert "Create a customer" in text
        assert "http" not in page.headers["Content-Security-Policy"]
