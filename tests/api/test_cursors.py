"""A page begins at an object of its list and nowhere else, in every list there is."""

import re

import msgspec
import pytest

from tests.api.test_wallets import _filled
from tests.serving import Client
from tests.worlds import MERCHANT
from tillgate.kernel.ids import new_id
from tillgate.web.listing import CursorRequest
from tillgate.webhooks import store as webhooks

#: Parameters that say whose objects are listed; others only leave some of them out.
OF_WHOM = {"account", "charge", "customer", "event", "object_id", "payment_intent", "wallet"}


async def _shop(client: Client, world) -> dict[str, str]:
    """Return whose objects there may be lists of: one of each, with an object in every list."""
    wallet = await _filled(client, world)
    holder, place = wallet["customer"], f"/v1/wallets/{wallet['id']}"
    await client.post(f"{place}/holds", {"amount": 10, "currency": "cny"})
    await client.post("/v1/payment_methods/pm_card_visa/attach", {"customer": holder})
    order = {"amount": 900, "currency": "usd", "confirm": "true", "customer": holder}
    card = (await client.get(f"/v1/payment_methods?customer={holder}")).json["data"][0]["id"]
    paid = await client.post("/v1/payment_intents", {**order, "payment_method": card})
    charge = paid.json["latest_charge"]
    await client.post("/v1/refunds", {"charge": charge, "amount": 10})
    hooks = {"url": "http://127.0.0.1:9/hooks", "enabled_events[]": "*"}
    endpoint = (await client.post("/v1/webhook_endpoints", hooks)).json["id"]
    event = (await client.get(f"/v1/events?object_id={holder}")).json["data"][0]["id"]
    accounts = (await client.get(f"/v1/ledger_accounts?code=wallet:{wallet['id']}")).json["data"]
    owed = webhooks.Owed(MERCHANT, new_id("whd"), endpoint, event)
    async with world.db.transaction() as tx:
        await webhooks.insert_deliveries(tx, [owed], at=world.clock.now())
    return {
        "account": next(one["id"] for one in accounts if one["balance"] != 0),
        "charge": charge,
        "customer": holder,
        "event": event,
        "object_id": holder,
        "payment_intent": paid.json["id"],
        "wallet": wallet["id"],
        "webhook_endpoint": endpoint,
    }


def _lists(client: Client) -> list[tuple[str, list[str]]]:
    """Return each list's path, and by whose objects it can be narrowed."""
    assert client.table is not None
    return [
        (row.path, sorted(OF_WHOM & {field.name for field in msgspec.structs.fields(row.request)}))
        for row in client.table.operations
        if row.method == "GET" and issubclass(row.request, CursorRequest)
    ]


def _address(path: str, whose: dict[str, str], *params: str) -> str:
    filled = re.sub(r"\{(\w+)\}", lambda found: whose[found.group(1)], path)
    return f"{filled}?" + "".join(f"{param}={whose[param]}&" for param in params)


async def _needed(client: Client, path: str, whose: dict[str, str], params: list[str]) -> list[str]:
    """Return the parameters without which the list is refused."""
    if (await client.get(_address(path, whose))).status == 200:
        return []
    return params


@pytest.mark.parametrize("param", ["starting_after", "ending_before"])
async def test_every_list_refuses_a_cursor_that_names_nothing(client, world, param: str) -> None:
    whose = await _shop(client, world)
    lists = _lists(client)
    assert len(lists) >= 15

    for path, params in lists:
        url = _address(path, whose, *await _needed(client, path, whose, params))
        newest = (await client.get(url)).json["data"][0]["id"]
        prefix, _, rest = newest.partition("_")
        altered, beside = f"{prefix}_9{rest[1:]}", f"{prefix}_x_{rest}"
        for cursor in (f"{prefix}_nope", f"{prefix}_999999", beside, altered):
            refused = await client.get(f"{url}{param}={cursor}")
            assert refused.status == 400, (url, cursor, refused.body)
            assert (refused.error["code"], refused.error["param"]) == ("resource_missing", param)
            assert re.fullmatch(rf"No such [\w ]+: '{cursor}'", refused.error["message"]), url
        page = await client.get(f"{url}{param}={newest}")
        assert page.status == 200, (url, page.body)
        assert newest not in [one["id"] for one in page.json["data"]]


async def test_every_list_refuses_a_cursor_of_another_merchant(client, world, teahouse) -> None:
    whose = await _shop(client, world)
    other = client.with_key(teahouse.live_secret)
    customer = (await other.post("/v1/customers", {"name": "Wang"})).json["id"]
    wallet = await other.post("/v1/wallets", {"customer": customer, "currency": "cny"})
    hooks = {"url": "https://example.com/hooks", "enabled_events[]": "*"}
    theirs = {
        "account": (await other.get("/v1/ledger_accounts")).json["data"][0]["id"],
        "customer": customer,
        "wallet": wallet.json["id"],
        "webhook_endpoint": (await other.post("/v1/webhook_endpoints", hooks)).json["id"],
    }

    for path, params in _lists(client):
        needed = await _needed(client, path, whose, params)
        foreign = (await client.get(_address(path, whose, *needed))).json["data"][0]["id"]
        refused = await other.get(f"{_address(path, theirs, *needed)}starting_after={foreign}")
        assert refused.status == 400, (path, foreign, refused.body)
        assert refused.error["param"] == "starting_after"
        assert refused.error["message"].endswith(f": '{foreign}'")


async def test_a_list_of_one_things_objects_refuses_a_cursor_of_anothers(client, world) -> None:
    """Of another wallet, customer, payment, charge, account, event or endpoint."""
    first, second = await _shop(client, world), await _shop(client, world)

    for path, params in _lists(client):
        needed = await _needed(client, path, first, params)
        in_path = [()] if "{" in path else []
        for param in [*in_path, *((one,) for one in params)]:
            asked = {*param, *needed}
            own = (await client.get(_address(path, first, *asked))).json["data"][0]["id"]
            same = await client.get(f"{_address(path, first, *asked)}starting_after={own}")
            assert same.status == 200, (path, asked, same.body)
            refused = await client.get(f"{_address(path, second, *asked)}starting_after={own}")
            assert refused.status == 400, (path, asked, refused.body)
            assert refused.error["param"] == "starting_after"


async def test_what_was_deleted_or_detached_meanwhile_is_a_good_cursor(client, world) -> None:
    """Whoever deletes page by page begins the next at what is deleted."""
    whose = await _shop(client, world)
    customer = whose["customer"]
    cards = f"/v1/payment_methods?customer={customer}"
    card = (await client.get(cards)).json["data"][0]["id"]
    gone = (await client.post("/v1/customers", {"name": "Wang"})).json["id"]

    await client.post(f"/v1/payment_methods/{card}/detach")
    await client.ask("DELETE", f"/v1/customers/{gone}")

    assert (await client.get(f"{cards}&starting_after={card}")).json["data"] == []
    rest = (await client.get(f"/v1/customers?starting_after={gone}")).json["data"]
    assert [one["id"] for one in rest] == [customer]
