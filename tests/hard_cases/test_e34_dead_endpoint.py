"""Case 34: a dead endpoint delays nobody, is tried for three days, and is never silently forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.serving import Client, Teahouse
from tests.webhooks.receiver import Receiver, start_receiver
from tests.worlds import World
from tillgate.entry.relay import relay
from tillgate.entry.subscriptions import CATALOGUE, TABLE
from tillgate.kernel.clock import Clock, FixedClock
from tillgate.runtime.secrets import Vault
from tillgate.runtime.settings import WebhookSettings
from tillgate.webhooks.dispatcher import Dispatcher

ENDPOINTS = "/v1/webhook_endpoints"


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with _merchants_server() as started:
        yield started


@asynccontextmanager
async def _merchants_server() -> AsyncIterator[Receiver]:
    started, runner = await start_receiver()
    yield started
    started.gate.set()
    await runner.cleanup()


def _dispatcher(world: World, tmp_path: Path, clock: Clock) -> Dispatcher:
    """A worker's, with the key that the API seals its secrets with."""
    vault = Vault.from_file(tmp_path / "key")
    return Dispatcher(world.db, clock, vault, CATALOGUE, WebhookSettings(timeout_seconds=30.0))


async def _listen(client: Client, url: str) -> str:
    made = await client.post(ENDPOINTS, {"url": url, "enabled_events[]": "customer.created"})
    assert made.status == 200, made.body
    return made.json["id"]


async def _happen(world: World, *clients: Client, times: int) -> None:
    """Customers come, and the endpoints are owed the news."""
    for client in clients:
        for number in range(times):
            assert (await client.post("/v1/customers", {"name": f"Li {number}"})).status == 200
    while await relay(world.db, world.clock, TABLE):
        pass


async def _deliveries(client: Client, endpoint: str) -> list[dict[str, Any]]:
    return (await client.get(f"{ENDPOINTS}/{endpoint}/deliveries")).json["data"]


async def test_dead_endpoints_of_two_merchants_delay_nobody(
    world: World, client: Client, teahouse: Teahouse, receiver: Receiver, tmp_path: Path
) -> None:
    """Thirty of them take every request and never answer; the live one hears all meanwhile."""
    live_mode = client.with_key(teahouse.live_secret)
    dispatcher, stop = _dispatcher(world, tmp_path, world.clock), asyncio.Event()
    async with _merchants_server() as black_hole:
        black_hole.gate.clear()
        for number in range(15):
            await _listen(client, f"{black_hole.url}/{number}")
            await _listen(live_mode, f"{black_hole.url}/{number}")
        alive = await _listen(client, f"{receiver.url}/alive")
        await _happen(world, live_mode, client, times=20)

        running = asyncio.create_task(dispatcher.run(stop))
        await receiver.has_received(20)
        await black_hole.has_received(30)

        async def are_delivered() -> bool:
            found = await _deliveries(client, alive)
            return {one["status"] for one in found} == {"delivered"}

        await world.until(are_delivered)
        assert not black_hole.gate.is_set(), "nobody has been answered there"
        assert len({one.event_id for one in receiver.received}) == len(receiver.received) == 20
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_endpoint_that_comes_back_after_days_is_told_what_it_missed(
    world: World, client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    endpoint = await _listen(client, receiver.url)
    await _happen(world, client, times=1)
    clock = FixedClock(world.clock.now())
    dispatcher = _dispatcher(world, tmp_path, clock)
    receiver.by_path = lambda _: 500
    began = clock.now()

    while (owed := (await _deliveries(client, endpoint))[0])["status"] == "pending":
        due = datetime.fromtimestamp(owed["next_attempt_at"], UTC)
        clock.advance(seconds=max(1.0, (due - clock.now()).total_seconds()))
        await dispatcher.deliver_due()

    # It was not given up in silence: the log says how often, and what it answered.
    assert (clock.now() - began).total_seconds() >= 72 * 3600
    assert (owed["status"], owed["last_response_status"]) == ("abandoned", 500)
    assert owed["attempts"] == len(receiver.received) >= 10
    assert (await client.get(f"{ENDPOINTS}/{endpoint}")).json["status"] == "enabled"

    receiver.by_path = None
    again = await client.post(f"{ENDPOINTS}/{endpoint}/replay", {"event": owed["event"]})
    assert again.status == 200, again.body
    clock.advance(minutes=2)  # an endpoint that keeps failing rests between requests
    await dispatcher.deliver_due()
    await dispatcher.close()

    [owed] = await _deliveries(client, endpoint)
    assert owed["status"] == "delivered"
    assert {one.event_id for one in receiver.received} == {owed["event"]}
    told = msgspec.json.decode(receiver.received[-1].body)
    assert told["id"] == owed["event"]
    assert (await client.get(f"/v1/events/{owed['event']}")).json["data"] == told["data"]


async def test_endpoint_that_says_it_is_gone_is_asked_no_more_and_shown_as_disabled(
    world: World, client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    endpoint = await _listen(client, receiver.url)
    dispatcher = _dispatcher(world, tmp_path, world.clock)
    receiver.by_path = lambda _: 410
    await _happen(world, client, times=3)

    await dispatcher.deliver_due()
    heard = len(receiver.received)
    await _happen(world, client, times=3)
    assert await dispatcher.deliver_due() == 0
    await dispatcher.close()

    assert len(receiver.received) == heard
    assert (await client.get(f"{ENDPOINTS}/{endpoint}")).json["status"] == "disabled"
    assert {one["status"] for one in await _deliveries(client, endpoint)} == {"abandoned"}
