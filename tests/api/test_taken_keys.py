"""Creations take their key with the first thing they commit: one effect, and Stripe's answers."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.hard_cases.deeds import behave, rule
from tests.serving import Client, application_of, served
from tests.worlds import World
from tillgate.api.recovery import Recovery
from tillgate.payments.errors import MethodNotOffered
from tillgate.payments.flows import Payments
from tillgate.runtime import idempotency
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.secrets import Vault

INTENT = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
CREATIONS = ("/v1/payment_intents", "/v1/top_ups", "/v1/refunds")


@pytest.fixture
async def other(
    client: Client, world: World, app_db_url: str, tmp_path: Path
) -> AsyncGenerator[Client]:
    """The API of a second process on the same database."""
    db = await Database.open(app_db_url, size=4)
    first = world.payments
    payments = Payments(db, first.clock, first.providers, first.look_ups, first.lifetime)
    app = application_of(payments, Vault.from_file(tmp_path / "key"))
    async with served(app) as base, aiohttp.ClientSession() as session:
        yield Client(session, base, client.key, app.api.table)
    await payments.finish()
    await db.close()


async def _wallet(client: Client, **more: Any) -> str:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    made = await client.post("/v1/wallets", {"customer": customer, "currency": "usd", **more})
    return made.json["id"]


async def _body(client: Client, path: str) -> dict[str, Any]:
    """A creation that succeeds, and can be done only once or twice."""
    if path == "/v1/payment_intents":
        return INTENT
    if path == "/v1/top_ups":
        card = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa"}
        return {**card, "wallet": await _wallet(client)}
    return {"payment_intent": (await client.post("/v1/payment_intents", INTENT)).json["id"]}


async def _count(db: Database, path: str) -> int:
    table = {"/v1/top_ups": "topups.top_ups", "/v1/refunds": "payments.refunds"}
    async with db.transaction(readonly=True) as tx:
        return await tx.value(f"SELECT count(*) FROM {table.get(path, 'payments.payments')}")  # type: ignore[arg-type]


async def _row(db: Database, key: str) -> Any:
    async with db.transaction(readonly=True) as tx:
        return await tx.maybe(
            "SELECT object_id, status, xmin::text AS made_by FROM runtime.idempotency"
            " WHERE key = $1",
            key,
        )


async def _later(db: Database) -> None:
    """A while later, what was left is abandoned."""
    async with db.transaction() as tx:
        await tx.run(
            "UPDATE runtime.idempotency SET locked_at = locked_at - interval '1 hour'"
            " WHERE status IS NULL"
        )


async def _until_taken(db: Database, key: str) -> Any:
    for _ in range(400):
        if row := await _row(db, key):
            return row
        await asyncio.sleep(0.005)
    raise AssertionError("the key was never taken")


@pytest.mark.parametrize("path", CREATIONS)
async def test_fifty_with_one_key_in_two_processes_have_one_effect(
    world: World, client: Client, other: Client, path: str
) -> None:
    body = await _body(client, path)
    for operation in ("create", "refund"):
        rule(world, "card", operation, "latency", seconds=0.2, probability=1.0)

    answers = await asyncio.gather(
        *([client, other][n % 2].post(path, body, key="k") for n in range(50))
    )

    assert {answer.status for answer in answers} <= {200, 409}
    assert len({answer.json["id"] for answer in answers if answer.status == 200}) == 1
    assert await _count(world.db, path) == 1
    after = await other.post(path, body, key="k")
    assert (after.status, after.headers["Idempotent-Replayed"]) == (200, "true")
    await world.assert_books_hold()


async def test_key_is_taken_by_the_transaction_that_opens(
    world: World, client: Client, other: Client
) -> None:
    body = await _body(client, "/v1/top_ups")
    rule(world, "card", "create", "latency", seconds=0.4, probability=1.0)

    asking = asyncio.create_task(client.post("/v1/top_ups", body, key="k"))
    row = await _until_taken(world.db, "k")
    async with world.db.transaction(readonly=True) as tx:
        opened = await tx.one("SELECT id, xmin::text AS made_by FROM topups.top_ups")
    same = await other.post("/v1/top_ups", body, key="k")
    unlike = await other.post("/v1/top_ups", {**body, "amount": 1}, key="k")
    elsewhere = await client.post("/v1/payment_intents", INTENT, key="k")
    done = await asking

    assert (row["object_id"], row["made_by"]) == (opened["id"], opened["made_by"])
    assert (same.status, same.error["code"]) == (409, "idempotency_key_in_use")
    for refused in (unlike, elsewhere):
        assert (refused.status, refused.error["type"]) == (400, "idempotency_error")
    assert (done.status, done.json["id"]) == (200, opened["id"])
    assert await _count(world.db, "/v1/payment_intents") == 1


async def test_repetition_among_many_disturbs_nobody(world: World, client: Client) -> None:
    body = {"amount": 1200, "currency": "usd"}
    first = await client.post("/v1/payment_intents", body, key="5")

    answers = await asyncio.gather(
        *(client.post("/v1/payment_intents", body, key=str(n)) for n in range(40))
    )

    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["id"] for answer in answers}) == 40
    assert answers[5].body == first.body
    assert await _count(world.db, "/v1/payment_intents") == 40


@pytest.mark.parametrize("path", CREATIONS)
async def test_refusal_is_kept_and_replayed(world: World, client: Client, path: str) -> None:
    body: dict[str, Any] = {
        "/v1/payment_intents": {**INTENT, "payment_method": "pm_0nothing"},
        "/v1/top_ups": {**INTENT, "wallet": "wal_nothing"},
        "/v1/refunds": {"payment_intent": "pi_nothing"},
    }[path]
    body = {
        name: value for name, value in body.items() if (path, name) != ("/v1/top_ups", "confirm")
    }

    first = await client.post(path, body, key="k")
    again = await client.post(path, body, key="k")
    unlike = await client.post(path, {**body, "metadata[a]": "b"}, key="k")

    assert (first.status, first.headers.get("Idempotent-Replayed")) == (404, None)
    assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
    assert unlike.error["type"] == "idempotency_error"
    assert (await _row(world.db, "k"))["object_id"] is None


async def test_refusal_that_was_never_kept_gives_way_to_the_work(
    world: World, client: Client, monkeypatch
) -> None:
    """The process died with the key claimed for a refusal."""
    with monkeypatch.context() as patched:
        patched.setattr(world.payments.providers, "route", _not_offered)
        assert (await client.post("/v1/payment_intents", INTENT, key="k")).status == 400
    async with world.db.transaction() as tx:
        await tx.run("UPDATE runtime.idempotency SET status = NULL, body = NULL")
    assert (await client.post("/v1/payment_intents", INTENT, key="k")).status == 409
    await _later(world.db)

    paid = await client.post("/v1/payment_intents", INTENT, key="k")

    assert (paid.status, paid.json["status"]) == (200, "succeeded")
    row = await _row(world.db, "k")
    assert (row["object_id"], row["status"]) == (paid.json["id"], 200)


async def _not_offered(*_: object, **__: object) -> Any:
    raise MethodNotOffered("card", "card", "usd")


async def test_declined_top_up_is_kept_and_replayed(world: World, client: Client) -> None:
    body = {**await _body(client, "/v1/top_ups"), "payment_method": "pm_card_chargeDeclined"}

    first = await client.post("/v1/top_ups", body, key="k")
    again = await client.post("/v1/top_ups", body, key="k")

    assert (first.status, again.status) == (402, 402)
    assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
    assert await _count(world.db, "/v1/top_ups") == 1


async def test_repetition_of_what_could_not_be_done_twice_is_replayed(
    world: World, client: Client
) -> None:
    """It would be refused for what it has done itself."""
    wallet = await _wallet(client, **{"limits[balance]": 2_000})
    top_up = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "wallet": wallet}
    first = await client.post("/v1/top_ups", top_up, key="top")
    refund = {"payment_intent": first.json["payment_intent"]}
    given = await client.post("/v1/refunds", refund, key="back")
    assert (first.status, given.status) == (200, 200), (first.body, given.body)
    assert (await client.post("/v1/top_ups", top_up, key="top 2")).status == 200

    for path, body, key, told in (
        ("/v1/top_ups", top_up, "top", first),
        ("/v1/refunds", refund, "back", given),
    ):
        again = await client.post(path, body, key=key)
        assert (again.status, again.body) == (200, told.body)
        fresh = await client.post(path, body, key="another")
        assert fresh.status == 400
        async with world.db.transaction() as tx:
            await tx.run("DELETE FROM runtime.idempotency WHERE key = 'another'")


async def test_repetition_is_replayed_though_the_work_would_fail_now(
    client: Client, monkeypatch
) -> None:
    first = await client.post("/v1/payment_intents", INTENT, key="k")

    async def fail(*_: object, **__: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Payments, "route", fail)
    again = await client.post("/v1/payment_intents", INTENT, key="k")
    other = await client.post("/v1/payment_intents", INTENT, key="l")

    assert (again.status, again.body) == (200, first.body)
    assert other.status == 500
    monkeypatch.undo()
    assert (await client.post("/v1/payment_intents", INTENT, key="l")).status == 200


async def test_refused_while_the_first_is_under_way_is_told_to_wait(
    world: World, client: Client
) -> None:
    wallet = await _wallet(client, **{"limits[balance]": 2_000})
    top_up = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "wallet": wallet}
    rule(world, "card", "create", "latency", seconds=0.4, probability=1.0)

    asking = asyncio.create_task(client.post("/v1/top_ups", top_up, key="k"))
    await _until_taken(world.db, "k")
    again = await client.post("/v1/top_ups", top_up, key="k")

    assert (again.status, again.error["code"]) == (409, "idempotency_key_in_use")
    assert (await asking).status == 200


async def test_refusal_that_passes_is_not_kept(world: World, client: Client) -> None:
    lane = world.payments._openings
    lane._max_waiting, most = 0, lane._max_waiting
    busy = await client.post("/v1/payment_intents", INTENT, key="k")
    lane._max_waiting = most

    assert (busy.status, await _row(world.db, "k")) == (429, None)
    assert (await client.post("/v1/payment_intents", INTENT, key="k")).status == 200


@pytest.mark.parametrize("path", CREATIONS)
@pytest.mark.parametrize("came_true", [True, False])
async def test_lost_commit_of_the_opening_is_found_out_by_repeating(
    world: World, client: Client, monkeypatch, path: str, came_true
) -> None:
    body = await _body(client, path)
    commit, insert = Tx.commit, idempotency._insert_taken
    opening: list[Tx] = []

    def note(tx: Tx, *more: Any) -> None:
        opening.append(tx)
        insert(tx, *more)

    async def lost(tx: Tx) -> None:
        if tx not in opening:
            return await commit(tx)
        if came_true:
            await commit(tx)
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "_insert_taken", note)
        patched.setattr(Tx, "commit", lost)
        first = await client.post(path, body, key="k")

    assert (first.status, first.error["code"]) == (503, "commit_unknown")
    row = await _row(world.db, "k")
    assert (row is not None) == came_true
    again = await client.post(path, body, key="k")
    assert again.status == 200, again.body
    assert await _count(world.db, path) == 1
    assert (await _row(world.db, "k"))["object_id"] == again.json["id"]
    assert came_true == (row is not None and row["object_id"] == again.json["id"])


async def _dies(application, monkeypatch, what: str, path: str, body: Any, client: Client) -> None:
    """The process dies at a step of the work: nothing more is done about it."""
    died = asyncio.Event()

    async def die(*_: object) -> Any:
        died.set()
        await asyncio.Event().wait()

    async def receive() -> Any:
        return {"type": "http.request", "body": urlencode(body).encode()}

    headers = {
        b"authorization": f"Bearer {client.key}".encode(),
        b"content-type": b"application/x-www-form-urlencoded",
        b"idempotency-key": b"k",
    }
    scope = {"method": "POST", "path": path, "query_string": b"", "headers": headers.items()}
    with monkeypatch.context() as patched:
        patched.setattr(Payments, what, die)
        asking = asyncio.create_task(application.api(scope, receive, None))
        await asyncio.wait_for(died.wait(), 5)
        asking.cancel()
        await asyncio.wait([asking])
    assert asking.cancelled()


@pytest.mark.parametrize("by", ["caller", "worker"])
async def test_death_after_the_opening_is_taken_up(
    world: World, client: Client, application, monkeypatch, by: str
) -> None:
    body = await _body(client, "/v1/top_ups")
    await _dies(application, monkeypatch, "charge", "/v1/top_ups", body, client)
    row = await _row(world.db, "k")
    assert row["object_id"].startswith("top_")
    assert (await client.post("/v1/top_ups", body, key="k")).status == 409
    await _later(world.db)

    if by == "worker":
        assert await Recovery(application.api).run() == 1
    again = await client.post("/v1/top_ups", body, key="k")

    assert (again.status, again.json["id"]) == (200, row["object_id"])
    assert again.headers.get("Idempotent-Replayed") == ("true" if by == "worker" else None)
    assert await _count(world.db, "/v1/top_ups") == 1
    assert (await _row(world.db, "k"))["status"] == 200


async def test_death_before_the_opening_leaves_nothing(
    world: World, client: Client, application, monkeypatch
) -> None:
    body = await _body(client, "/v1/top_ups")
    await _dies(application, monkeypatch, "route", "/v1/top_ups", body, client)

    assert await _row(world.db, "k") is None
    assert (await client.post("/v1/top_ups", body, key="k")).status == 200


async def test_what_another_left_is_finished_even_where_it_would_be_refused_now(
    world: World, client: Client, application, monkeypatch
) -> None:
    wallet = await _wallet(client, **{"limits[balance]": 2_000})
    body = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "wallet": wallet}
    await _dies(application, monkeypatch, "charge", "/v1/top_ups", body, client)
    await _later(world.db)

    again = await client.post("/v1/top_ups", body, key="k")

    assert (again.status, again.json["id"]) == (200, (await _row(world.db, "k"))["object_id"])


async def test_answer_whose_commit_was_lost_is_found_out_by_repeating(
    world: World, client: Client, application, monkeypatch
) -> None:
    body = await _body(client, "/v1/top_ups")
    finish = application.api.claims.finish

    async def lost(*_: Any) -> None:
        monkeypatch.setattr(application.api.claims, "finish", finish)
        raise ZeroDivisionError

    monkeypatch.setattr(application.api.claims, "finish", lost)
    first = await client.post("/v1/top_ups", body, key="k")
    behave(world, "card")
    again = await client.post("/v1/top_ups", body, key="k")

    assert (first.status, again.status) == (500, 200)
    assert again.json["status"] == "succeeded"
    assert await _count(world.db, "/v1/top_ups") == 1
