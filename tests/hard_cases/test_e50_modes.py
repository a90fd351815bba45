"""Case 50: what belongs to another tenant, or to the other mode, is not found."""

from typing import Any

from tests.hard_cases.deeds import METHODS, address, nothing_moves, one_of_each, truth
from tests.serving import Client, Teahouse
from tests.worlds import World
from tillgate.api.app import Application
from tillgate.web.operation import Operation


async def test_mode_stands_in_every_unique_key(world: World) -> None:
    async with world.db.transaction(readonly=True) as tx:
        rows = await tx.all(
            """
            SELECT n.nspname || '.' || t.relname AS name, c.conname FROM pg_index i
            JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
            JOIN pg_class x ON x.oid = i.indexrelid
            LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid
            WHERE i.indisunique AND n.nspname IN ('payments', 'ledger', 'wallets', 'topups',
                'customers', 'webhooks', 'merchants')
            AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid
                AND a.attnum = ANY(i.indkey) AND a.attname = 'merchant_id')
            """
        )
    assert [tuple(row) for row in rows] == []


async def test_live_key_finds_nothing_that_the_test_key_made(
    world: World, client: Client, teahouse: Teahouse, application: Application
) -> None:
    """One of everything there is, and every operation of the API about it."""
    made = await one_of_each(world, client)
    live = client.with_key(teahouse.live_secret)
    rows = application.api.table.operations
    about_one = [row for row in rows if "{" in row.path]
    lists = [row for row in rows if row.method == "GET" and row not in about_one]
    assert len(about_one) > 30, len(about_one)

    async with nothing_moves(world):
        for row in about_one:
            asked = await live.ask(row.method, address(row, made), **_body(row))
            assert asked.status == 404, (row.name, asked.body)
            assert not _names(asked.body, made), row.name
        for row in lists:
            listed = await live.get(address(row, made))
            assert not _names(listed.body, made) or listed.status == 404, row.name
            assert listed.json.get("data", []) == [], row.name


def _body(row: Operation) -> dict[str, Any]:
    return {"json": row.example} if row.method == "POST" else {}


def _names(body: bytes, made: dict[str, str]) -> list[str]:
    """Which of those things the answer tells more of than the id that was asked for."""
    return [name for name in made.values() if body.count(name.encode()) > 1]


async def test_things_of_the_other_mode_cannot_be_used_in_a_request(
    world: World, client: Client, teahouse: Teahouse
) -> None:
    made = await one_of_each(world, client)
    live = client.with_key(teahouse.live_secret)
    card = {"amount": 500, "currency": "cny", "payment_method": "alipay"}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/payment_intents", {**card, "customer": made["customers"]}),
        ("/v1/payment_intents", {**card, "payment_method": made["payment_methods"]}),
        ("/v1/refunds", {"payment_intent": made["payment_intents"]}),
        ("/v1/refunds", {"charge": made["charges"]}),
        ("/v1/top_ups", {**card, "wallet": made["wallets"]}),
        ("/v1/wallets", {"customer": made["customers"], "currency": "cny"}),
    ]
    before = [await truth(world, method) for method in METHODS]

    async with nothing_moves(world):
        for path, body in asked:
            refused = await live.post(path, body)
            assert refused.error["code"] == "resource_missing", (path, body, refused.body)

    assert [await truth(world, method) for method in METHODS] == before


async def test_one_idempotency_key_is_another_in_the_other_mode(
    world: World, client: Client, teahouse: Teahouse
) -> None:
    live = client.with_key(teahouse.live_secret)
    made = await client.post("/v1/customers", "name=Li", key="same")

    theirs = await live.post("/v1/customers", "name=Wang", key="same")

    assert (theirs.status, theirs.json["name"], theirs.json["livemode"]) == (200, "Wang", True)
    assert theirs.json["id"] != made.json["id"]
    assert (await client.post("/v1/customers", "name=Li", key="same")).body == made.body
    async with nothing_moves(world):
        assert (await client.post("/v1/customers", "name=Wang", key="same")).status == 400
