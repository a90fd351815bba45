"""`tillgate replay endpoint`: what happened in a span of time is owed once more."""

import json
from datetime import timedelta

import pytest

from tests.entry.processes import tillgate
from tests.webhooks.conftest import Merchant, clock, db, teahouse, vault
from tillgate.entry import replay
from tillgate.kernel.clock import FixedClock
from tillgate.runtime.db import Database
from tillgate.runtime.settings import load
from tillgate.webhooks import commands

__all__ = ["clock", "db", "teahouse", "vault"]


async def _owed(db: Database) -> list[str]:
    async with db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT event_id FROM webhooks.deliveries ORDER BY event_id")
    return [row["event_id"] for row in rows]


async def test_a_span_is_owed_page_by_page(
    environment: dict[str, str],
    db: Database,
    clock: FixedClock,
    teahouse: Merchant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await teahouse.happen()
    clock.advance(hours=1)
    since = clock.now()
    facts = await teahouse.happen(count=5)
    clock.advance(hours=1)
    endpoint, _ = await teahouse.listen("https://example.com/", "payment_intent.succeeded")
    monkeypatch.setattr(commands, "MOST_REPLAYED", 2)

    until = since + timedelta(minutes=30)
    done = await replay.endpoint(load(environment), endpoint.id, since=since, until=until)

    assert done == {"endpoint": endpoint.id, "events": 5}
    assert await _owed(db) == sorted(fact.id for fact in facts)


async def test_the_command_says_how_many(
    environment: dict[str, str], db: Database, clock: FixedClock, teahouse: Merchant
) -> None:
    await teahouse.happen(count=3)
    endpoint, _ = await teahouse.listen("https://example.com/")
    since = (clock.now() - timedelta(hours=1)).isoformat()

    done = tillgate(environment, "replay", "endpoint", endpoint.id, "--since", since, "--json")

    assert json.loads(done.stdout) == {"endpoint": endpoint.id, "events": 3}
    assert len(await _owed(db)) == 3
