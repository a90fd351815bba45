"""Wallets, top-ups, the books and the balance, over the wire."""

import asyncio

from tillgate.web.reading import MAX_UNIX


async def _wallet(client, **more) -> dict:
    cus = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    made = await client.post("/v1/wallets", {"customer": cus, "currency": "cny", **more})
    assert made.status == 200, made.body
    return made.json


async def _filled(client, world, amount: int = 10_000, bonus: int = 0, **more) -> dict:
    wallet = await _wallet(client, **more)
    made = await client.post(
        "/v1/top_ups",
        {"wallet": wallet["id"], "amount": amount, "currency": "cny", "bonus_amount": bonus,
         "payment_method": "alipay", "payment_method_options[alipay][presentation]": "qr"},
    )  # fmt: skip
    assert made.json["status"] == "requires_action", made.body
    await world.phone_pays("alipay", await world.payment(made.json["payment_intent"]))

    async def there() -> bool:
        return (await client.get(f"/v1/wallets/{wallet['id']}")).json["balance"] > 0

    await world.until(there)
    return {**wallet, "top_up": made.json["id"]}


async def test_a_top_up_fills_the_wallet_and_spending_empties_it(client, world) -> None:
    wallet = await _filled(client, world, bonus=1_000)
    url = f"/v1/wallets/{wallet['id']}"
    now = (await client.get(url)).json
    assert (now["balance"], now["principal_balance"], now["bonus_balance"]) == (
        11_000,
        10_000,
        1_000,
    )
    spent = await client.post(f"{url}/spend", {"amount": 10_500, "currency": "cny"}, key="s1")
    assert spent.json["object"] == "wallet_transaction"
    assert (spent.json["principal_amount"], spent.json["bonus_amount"]) == (-10_000, -500)
    again = await client.post(f"{url}/spend", {"amount": 10_500, "currency": "cny"}, key="s1")
    assert again.body == spent.body
    poor = await client.post(f"{url}/spend", {"amount": 501, "currency": "cny"}, key="s2")
    # Not a card's decline: the SDKs raise it as InvalidRequestError.
    assert (poor.status, poor.error["type"]) == (400, "invalid_request_error")
    assert poor.error["code"] == "balance_insufficient"
    assert (
        await client.post(f"{url}/spend", {"amount": 501, "currency": "cny"}, key="s2")
    ).body == poor.body
    wrong = await client.post(f"{url}/spend", {"amount": 1, "currency": "usd"})
    assert wrong.error["param"] == "currency"
    back = await client.post(f"{url}/transactions/{spent.json['id']}/refund", {"amount": 500})
    assert back.json["bonus_amount"] == 500, back.body
    statement = (await client.get(f"{url}/transactions")).json["data"]
    assert [one["amount"] for one in statement] == [500, -10_500, 11_000]
    assert [one["balance_after"] for one in statement] == [1_000, 500, 11_000]
    page = (
        await client.get(f"{url}/transactions?limit=1&starting_after={statement[0]['id']}")
    ).json
    assert (page["data"][0]["id"], page["has_more"]) == (spent.json["id"], True)
    top_up = (await client.get(f"/v1/top_ups/{wallet['top_up']}?expand[]=wallet.customer")).json
    assert top_up["status"] == "succeeded"
    assert top_up["wallet"]["customer"]["name"] == "Li"
    assert (await client.get(f"/v1/top_ups?wallet={wallet['id']}")).json["data"][0]["id"] == top_up[
        "id"
    ]
    await world.assert_books_hold()


async def test_holds_and_freezing(client, world) -> None:
    wallet = await _filled(client, world)
    url = f"/v1/wallets/{wallet['id']}"
    held = await client.post(f"{url}/holds", {"amount": 4_000, "currency": "cny"})
    assert held.json["status"] == "open", held.body
    assert (await client.get(url)).json["available"] == 6_000
    taken = await client.post(f"{url}/holds/{held.json['id']}/capture", {"amount": 1_000})
    assert taken.json["amount"] == -1_000, taken.body
    assert (await client.get(url)).json["available"] == 9_000
    ended = await client.post(f"{url}/holds/{held.json['id']}/release")
    assert ended.status == 400
    other = await client.post(f"{url}/holds", {"amount": 100, "currency": "cny"})
    assert (await client.post(f"{url}/holds/{other.json['id']}/release")).json[
        "status"
    ] == "released"
    assert (await client.post(f"{url}/freeze")).json["status"] == "frozen"
    frozen = await client.post(f"{url}/spend", {"amount": 1, "currency": "cny"})
    assert (frozen.status, frozen.error["code"]) == (400, "wallet_frozen")
    assert (await client.post(f"{url}/unfreeze")).json["status"] == "open"


async def test_fifty_spends_never_exceed_the_balance(client, world) -> None:
    wallet = await _filled(client, world, amount=1_000)
    url = f"/v1/wallets/{wallet['id']}"
    answers = await asyncio.gather(
        *(client.post(f"{url}/spend", {"amount": 100, "currency": "cny"}) for _ in range(50))
    )
    assert sorted(answer.status for answer in answers) == [200] * 10 + [400] * 40
    assert (await client.get(url)).json["balance"] == 0
    await world.assert_books_hold()


async def test_limits_and_words(client) -> None:
    wallet = await _wallet(client, **{"limits[single]": 500, "metadata[shelf]": "2"})
    url = f"/v1/wallets/{wallet['id']}"
    assert wallet["limits"] == {"single": 500, "daily": None, "balance": None}
    changed = (await client.post(url, {"limits[single]": "", "metadata[shelf]": ""})).json
    assert changed["limits"]["single"] is None
    assert changed["metadata"] == {}
    twice = await client.post("/v1/wallets", {"customer": wallet["customer"], "currency": "cny"})
    assert twice.error["code"] == "resource_already_exists"
    nobody = await client.post("/v1/wallets", {"customer": "cus_nobody", "currency": "cny"})
    assert nobody.error["param"] == "customer"


async def test_the_books_and_the_balance_can_be_read(client) -> None:
    paid = await client.post(
        "/v1/payment_intents",
        {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true",
         "expand[]": "latest_charge.balance_transaction"},
    )  # fmt: skip
    charge = paid.json["latest_charge"]
    assert charge["balance_transaction"]["amount"] == 1200
    refund = (await client.post("/v1/refunds", {"charge": charge["id"], "amount": 200})).json
    balance = (await client.get("/v1/balance")).json
    assert [funds["amount"] for funds in balance["available"]] == [0] * len(balance["pending"])
    assert balance["pending"] == [
        {"amount": 1000, "currency": "usd", "source_types": {"card": 1000}}
    ]
    listed = (await client.get("/v1/balance_transactions")).json["data"]
    assert [(one["amount"], one["type"], one["source"]) for one in listed] == [
        (-200, "refund", refund["id"]),
        (1200, "charge", charge["id"]),
    ]
    one = (
        await client.get(f"/v1/balance_transactions?limit=1&starting_after={listed[0]['id']}")
    ).json
    assert [txn["id"] for txn in one["data"]] == [listed[1]["id"]]
    assert (await client.get(f"/v1/balance_transactions/{listed[0]['id']}")).json == listed[0]
    assert (await client.get("/v1/balance_transactions/txn_000000000999")).status == 404
    assert {(txn["status"], txn["available_on"]) for txn in listed} == {("pending", None)}
    at = listed[1]["created"]
    for created, found in (
        (f"created={at}", [txn for txn in listed if txn["created"] == at]),
        (f"created[lt]={at}", []),
        (f"created[gte]={at}", listed),
        (f"created[gt]={at + 3600}", []),
        (f"created[lte]={at + 3600}&limit=1", listed[:1]),
        (f"created[gte]={at}&limit=1&ending_before={listed[1]['id']}", listed[:1]),
        (f"created[lt]={at}&ending_before={listed[1]['id']}", []),
    ):
        page = (await client.get(f"/v1/balance_transactions?{created}")).json
        assert page["data"] == found, created
    accounts = (await client.get("/v1/ledger_accounts?code=provider:")).json["data"]
    receivable = next(a for a in accounts if a["code"].endswith(":receivable"))
    assert receivable["balance"] == -1000
    entries = (await client.get(f"/v1/ledger_entries?account={receivable['id']}")).json["data"]
    assert [entry["amount"] for entry in entries] == [200, -1200]
    for url in (
        "balance_transactions?",
        "ledger_accounts?",
        f"ledger_entries?account={receivable['id']}&",
    ):
        for cursor in ("starting_after", "ending_before"):
            refused = await client.get(f"/v1/{url}{cursor}=txn_x")
            assert (refused.status, refused.error["param"]) == (400, cursor), url
    assert entries[0]["balance_after"] == -1000
    await _balances_of_the_past_add_up(client, receivable, entries)


async def _balances_of_the_past_add_up(client, account, entries) -> None:
    place = f"/v1/ledger_accounts/{account['id']}/balance"
    last = entries[0]["created"]
    for at in (
        0,
        entries[-1]["created"] - 1,
        *(one["created"] for one in entries),
        last + 9,
        MAX_UNIX,
    ):
        standing = (await client.get(f"{place}?at={at}")).json
        past = [one for one in entries if one["created"] <= at]
        assert standing["object"] == "ledger_balance"
        assert (standing["account"], standing["at"]) == (account["id"], at)
        assert standing["balance"] == sum(one["amount"] for one in past)
        assert standing["journal"] >= max((one["journal"] for one in past), default=0)
        assert {name: standing[name] for name in ("code", "currency", "livemode")} == {
            name: account[name] for name in ("code", "currency", "livemode")
        }
    for query, code in (("", "parameter_missing"), ("?at=noon", "parameter_invalid_integer")):
        refused = await client.get(place + query)
        assert (refused.status, refused.error["code"], refused.error["param"]) == (400, code, "at")
    assert (await client.get(f"/v1/ledger_accounts/la_00099999/balance?at={last}")).status == 404


async def test_a_link_is_given_once_under_a_key_and_kept_sealed(client, db) -> None:
    wallet = await _wallet(client)
    url = f"/v1/wallets/{wallet['id']}/link"
    given = await client.post(url, {"expires_in": 3600}, key="link")
    assert given.status == 200, given.body
    again = await client.post(url, {"expires_in": 3600}, key="link")
    assert again.body == given.body
    assert again.headers["idempotent-replayed"] == "true"
    other = await client.post(url, {"expires_in": 7200}, key="link")
    assert other.status == 400
    assert other.json["error"]["type"] == "idempotency_error"
    for _ in range(2):
        assert (await client.post("/v1/wallets/wal_none/link", {}, key="none")).status == 404
    async with db.transaction(readonly=True) as tx:
        kept = await tx.value("SELECT body FROM runtime.idempotency WHERE key = 'link'")
    assert given.json["url"].encode() not in kept
    assert wallet["id"].encode() not in kept
