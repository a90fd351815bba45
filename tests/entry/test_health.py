"""Alive, ready, and metrics for those who may see them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest_asyncio

from tillgate.entry.health import Health
from tillgate.kernel.clock import FixedClock, SystemClock
from tillgate.runtime import heartbeats
from tillgate.runtime.db import Database
from tillgate.runtime.settings import DatabaseSettings


async def not_ours(scope: Any, _: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


async def ask(
    health: Health, path: str, *, client: str = "127.0.0.1", headers: dict[str, str] | None = None
) -> tuple[int, str]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "path": path, "client": (client, 1), "headers": raw}
    await health(scope, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


@pytest_asyncio.fixture
async def db(app_db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(app_db_url, size=2)
    yield database
    await database.close()


async def test_ready_needs_database_migrations_and_a_living_worker(
    db: Database, app_db_url: str, db_url: str
) -> None:
    clock = FixedClock(SystemClock().now())
    health = Health(not_ours, clock, database=DatabaseSettings(url=app_db_url, role=""))
    assert await ask(health, "/healthz") == (200, '{"status":"alive"}')
    assert (await ask(health, "/readyz"))[0] == 503

    async with db.transaction() as tx:
        await heartbeats.beat(tx, "worker:1", "worker", at=clock.now())
    assert await ask(health, "/readyz") == (200, '{"status":"ready","problems":[]}')

    clock.advance(seconds=31)
    status, body = await ask(health, "/readyz")
    assert (status, json.loads(body)["problems"]) == (
        503,
        ["no worker has been seen for 31 seconds"],
    )
    owner = await asyncpg.connect(db_url)
    await owner.execute("DELETE FROM runtime.migrations WHERE name LIKE '0002%'")
    await owner.close()
    status, body = await ask(health, "/readyz")
    assert (status, json.loads(body)["problems"]) == (
        503,
        ["The database lacks migration 0002_webhooks. Run `tillgate migrate`."],
    )


async def test_a_database_without_tillgate_is_named(empty_db_url: str) -> None:
    health = Health(not_ours, SystemClock(), database=DatabaseSettings(url=empty_db_url, role=""))

    status, body = await ask(health, "/readyz")

    assert (status, json.loads(body)["problems"]) == (
        503,
        ["Tillgate has not been set up in this database. Run `tillgate migrate`."],
    )


async def test_a_database_that_refuses_us_is_not_said_to_be_away(app_db_url: str) -> None:
    nobody = DatabaseSettings(url=app_db_url, role="nobody_at_all")
    status, body = await ask(Health(not_ours, SystemClock(), database=nobody), "/readyz")

    assert status == 503
    assert "the database refuses" in body


async def test_a_database_that_says_nothing_is_not_waited_for() -> None:
    hung_up = asyncio.Semaphore(0)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        hung_up.release()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    database = DatabaseSettings(url=f"postgresql://li@127.0.0.1:{port}/books", role="")
    health = Health(not_ours, SystemClock(), database=database)
    health.patience_seconds = 0.2

    async with asyncio.timeout(5):
        status, body = await ask(health, "/readyz")

    assert (status, "the database does not answer" in body) == (503, True)
    silent.close()
    await asyncio.wait_for(hung_up.acquire(), 5)


async def test_many_who_ask_at_once_cost_one_look(db: Database, app_db_url: str) -> None:
    """Anybody may ask: a crowd must not use the database's connections up."""
    database = DatabaseSettings(url=app_db_url, role="")
    health = Health(not_ours, SystemClock(), database=database)
    most = 0

    async def count() -> None:
        nonlocal most
        async with db.transaction(readonly=True) as tx:
            open_now = await tx.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            )
        most = max(most, open_now)

    crowd = [asyncio.create_task(ask(health, "/readyz")) for _ in range(40)]
    while not all(task.done() for task in crowd):
        await count()

    assert {(await task)[0] for task in crowd} == {503}
    assert most <= 2 + 2, "ours, and those of one look"


async def test_a_database_that_is_away_is_said_to_be(app_db_url: str) -> None:
    health = Health(
        not_ours,
        SystemClock(),
        database=DatabaseSettings(url="postgresql://nobody@127.0.0.1:1/none"),
    )

    status, body = await ask(health, "/readyz")

    assert status == 503
    assert "the database does not answer" in body
    assert "nobody" not in body
    assert (await ask(health, "/healthz"))[0] == 200
    assert app_db_url


async def test_metrics_are_for_this_machine_or_with_the_token(app_db_url: str) -> None:
    health = Health(
        not_ours,
        SystemClock(),
        database=DatabaseSettings(url=app_db_url, role=""),
        metrics_token="m3trics",
    )
    token = {"authorization": "Bearer m3trics"}

    assert "tillgate_request_seconds" in (await ask(health, "/metrics"))[1]
    assert (await ask(health, "/metrics", client="203.0.113.9"))[0] == 403
    forwarded = await ask(health, "/metrics", headers={"x-forwarded-for": "203.0.113.9"})
    assert forwarded[0] == 403
    assert (await ask(health, "/metrics", client="203.0.113.9", headers=token))[0] == 200
    assert (await ask(health, "/other"))[0] == 404
