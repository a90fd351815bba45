"""Customers and their payment methods, over the wire."""


async def test_customer_lives_and_is_deleted(client) -> None:
    made = await client.post(
        "/v1/customers", {"name": "Li Lei", "email": "li@example.com", "metadata[order]": "7"}
    )
    assert made.status == 200, made.body
    cus = made.json
    assert cus["id"].startswith("cus_")
    assert cus["object"] == "customer"
    assert cus["metadata"] == {"order": "7"}
    assert cus["livemode"] is False

    changed = await client.post(
        f"/v1/customers/{cus['id']}",
        {"metadata[order]": "", "metadata[table]": "4", "email": "", "name": "Li"},
    )
    assert changed.json["metadata"] == {"table": "4"}
    assert changed.json["email"] is None
    assert changed.json["sequence"] == 2
    cleared = await client.post(f"/v1/customers/{cus['id']}", {"metadata": ""})
    assert cleared.json["metadata"] == {}
    assert (await client.get(f"/v1/customers/{cus['id']}")).json == cleared.json

    gone = await client.delete(f"/v1/customers/{cus['id']}")
    assert gone.json == {"id": cus["id"], "object": "customer", "deleted": True}
    assert (await client.get(f"/v1/customers/{cus['id']}")).json["deleted"] is True
    again = await client.delete(f"/v1/customers/{cus['id']}")
    assert again.status == 404
    assert again.error["code"] == "resource_missing"


async def test_json_and_form_say_the_same(client) -> None:
    address = {"line1": "1 Tea Street", "country": "CN"}
    made = await client.ask(
        "POST", "/v1/customers", json={"name": "Wang", "address": address, "metadata": {"n": 1}}
    )
    assert made.json["address"]["line1"] == "1 Tea Street"
    assert made.json["metadata"] == {"n": "1"}


async def test_lists_go_both_ways(client) -> None:
    names = [f"c{index}" for index in range(5)]
    ids = [(await client.post("/v1/customers", {"name": name})).json["id"] for name in names]
    newest = ids[::-1]
    first = (await client.get("/v1/customers?limit=2")).json
    assert [one["id"] for one in first["data"]] == newest[:2]
    assert first["has_more"] is True
    assert first["url"] == "/v1/customers"
    second = (await client.get(f"/v1/customers?limit=3&starting_after={newest[1]}")).json
    assert [one["id"] for one in second["data"]] == newest[2:]
    assert second["has_more"] is False
    back = (await client.get(f"/v1/customers?limit=2&ending_before={newest[3]}")).json
    assert [one["id"] for one in back["data"]] == newest[1:3]
    assert back["has_more"] is True
    created = first["data"][0]["created"]
    assert len((await client.get(f"/v1/customers?created[gte]={created - 60}")).json["data"]) == 5
    assert (await client.get(f"/v1/customers?created[gt]={created + 60}")).json["data"] == []
    for query in ("limit=0", "limit=101", f"starting_after={ids[0]}&ending_before={ids[1]}"):
        refused = await client.get(f"/v1/customers?{query}")
        assert refused.status == 400
        assert refused.error["param"] in {"limit", "ending_before"}


async def test_payment_methods_attach_and_detach(client) -> None:
    cus = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    card = (await client.post("/v1/payment_methods/pm_card_visa/attach", {"customer": cus})).json
    assert card["id"].startswith("pm_0")
    assert card["card"]["last4"] == "4242"
    made = await client.post(
        "/v1/payment_methods",
        {"type": "card", "card[number]": "5555555555554444", "card[exp_month]": 8,
         "card[exp_year]": 2031, "card[cvc]": "314"},
    )  # fmt: skip
    assert made.json["card"]["brand"] == "mastercard"
    assert "5555555555554444" not in made.body.decode()
    pm = made.json["id"]
    attached = await client.post(f"/v1/payment_methods/{pm}/attach", {"customer": cus})
    assert attached.json["customer"] == cus
    listed = (await client.get(f"/v1/customers/{cus}/payment_methods?type=card")).json
    assert [one["id"] for one in listed["data"]] == [pm, card["id"]]
    expanded = await client.get(f"/v1/payment_methods/{pm}?expand[]=customer")
    assert expanded.json["customer"]["name"] == "Li"
    unknown = await client.get(f"/v1/payment_methods/{pm}?expand[]=nothing")
    assert unknown.status == 400
    assert unknown.error["param"] == "expand"
    await client.post(f"/v1/customers/{cus}", {"invoice_settings[default_payment_method]": pm})
    detached = await client.post(f"/v1/payment_methods/{pm}/detach")
    assert detached.json["customer"] is None
    shown = (await client.get(f"/v1/customers/{cus}")).json
    assert shown["invoice_settings"]["default_payment_method"] is None
    alipay = await client.post("/v1/payment_methods", {"type": "alipay"})
    assert alipay.json["alipay"] == {}


async def test_no_card_number_gets_in(client, teahouse) -> None:
    refused = await client.post(
        "/v1/payment_methods", {"type": "card", "card[number]": "4111111111111111"}
    )
    assert refused.error["param"] == "card[number]"
    live = client.with_key(teahouse.live_secret)
    refused = await live.post(
        "/v1/payment_methods", {"type": "card", "card[number]": "4242424242424242"}
    )
    assert refused.error["code"] == "card_number_refused"
    for field in ("description", "metadata[note]", "name"):
        refused = await client.post("/v1/customers", {field: "my card is 4242 4242-4242 4242, ok?"})
        assert refused.status == 400
        assert refused.error["param"] == field
        assert "4242424242424242" not in refused.body.decode()


async def test_a_key_reaches_its_own_mode_only(client, teahouse) -> None:
    cus = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    live = client.with_key(teahouse.live_secret)
    assert (await live.get(f"/v1/customers/{cus}")).status == 404
    assert (await live.get("/v1/customers")).json["data"] == []
    assert (await live.post(f"/v1/customers/{cus}", {"name": "x"})).status == 404
    assert (await live.delete(f"/v1/customers/{cus}")).status == 404
    theirs = (await live.post("/v1/customers", {"name": "Wang"})).json
    assert theirs["livemode"] is True
    assert (await client.get(f"/v1/customers/{theirs['id']}")).status == 404


async def test_payment_methods_are_listed_by_whether_they_may_be_offered(client) -> None:
    customer = (await client.post("/v1/customers", {"name": "Li Lei"})).json["id"]
    made = {}
    for redisplay in ("always", "limited"):
        card = {"type": "card", "card[token]": "tok_visa", "allow_redisplay": redisplay}
        method = (await client.post("/v1/payment_methods", card)).json["id"]
        await client.post(f"/v1/payment_methods/{method}/attach", {"customer": customer})
        made[redisplay] = method
    for url in (
        f"/v1/payment_methods?customer={customer}&",
        f"/v1/customers/{customer}/payment_methods?",
    ):
        found = (await client.get(f"{url}allow_redisplay=always")).json["data"]
        assert [method["id"] for method in found] == [made["always"]]
        assert len((await client.get(url)).json["data"]) == 2
