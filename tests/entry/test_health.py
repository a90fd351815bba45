"""Alive, ready, and metrics for those who may see them."""

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
    assert "0002_webhooks has not been applied" in (await ask(health, "/readyz"))[1]


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
