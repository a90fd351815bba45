"""The queues of all endpoints, kept moving: claim, send, record.

Each endpoint has its own queue and is served by at most one task of a process, so a dead endpoint
delays nobody but itself. Endpoints are served in turn, the longest unserved first; those that fail
share half of the slots, and get one request at a time until one succeeds. The claim is a lease: if
this process dies between sending and recording, the delivery is due again, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from tillgate.kernel.clock import Clock, unix
from tillgate.kernel.errors import Refusal
from tillgate.kernel.facts import Fact
from tillgate.runtime import fact_log, telemetry
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import SecretUnreadable, Vault
from tillgate.runtime.settings import WebhookSettings
from tillgate.webhooks import commands, event, queries, signing
from tillgate.webhooks.client import WebhookClient
from tillgate.webhooks.model import Answer, Catalogue, Delivery, Endpoint

_log = logging.getLogger(__name__)

#: Requests at a time to one healthy endpoint.
BATCH: Final = 16
#: An endpoint gives up its slot after this many batches, so that all get their turn.
BATCHES_A_TURN: Final = 8
_LEASE_MARGIN_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.5

_Key = tuple[int, str]


class Dispatcher:
    """Delivers what is owed, for as long as it runs."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        vault: Vault,
        catalogue: Catalogue,
        settings: WebhookSettings,
    ) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._catalogue = catalogue
        self._settings = settings
        self._client: WebhookClient | None = None
        self._tasks: dict[_Key, asyncio.Task[int]] = {}
        self._failing: set[_Key] = set()
        self._served: dict[_Key, int] = {}
        self._turn = 0
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve the queues until told to stop; requests under way are finished."""
        try:
            while not stop.is_set():
                try:
                    await self.start_due()
                except Refusal as refusal:
                    _log.warning("webhook queues could not be read: %s", refusal.message)
                except Exception:  # noqa: BLE001  a slow query must not end the worker
                    _log.exception("webhook queues could not be read")
                await self._pause(stop)
            await self.finish()
        finally:
            await self.close()

    def nudge(self) -> None:
        """Something may have become due: look at once."""
        self._wake.set()

    async def deliver_due(self) -> int:
        """Serve all queues that are due now, each one turn; return the number of requests."""
        await self.start_due()
        return sum(await asyncio.gather(*self._tasks.values()))

    async def start_due(self) -> int:
        """Start serving queues that are due, as far as there are slots; return how many."""
        async with self._db.transaction(readonly=True) as tx:
            due = await queries.queues_due(tx, at=self._clock.now())
        started = 0
        for endpoint in sorted(due, key=lambda one: self._served.get(_key(one), 0)):
            if self._may_start(endpoint):
                self._start(endpoint)
                started += 1
        return started

    async def finish(self) -> None:
        """Wait until all requests under way have been recorded."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """Drop what is under way, and the connections."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _may_start(self, endpoint: Endpoint) -> bool:
        key, slots = _key(endpoint), self._settings.max_in_flight
        if key in self._tasks or len(self._tasks) >= slots:
            return False
        return endpoint.failures == 0 or len(self._failing) < max(1, slots // 2)

    def _start(self, endpoint: Endpoint) -> None:
        key = _key(endpoint)
        self._turn += 1
        self._served[key] = self._turn
        if endpoint.failures:
            self._failing.add(key)
        task = asyncio.create_task(self._serve(endpoint), name=f"webhooks:{endpoint.id}")
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: _Key, task: asyncio.Task[int]) -> None:
        self._tasks.pop(key, None)
        self._failing.discard(key)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._wake.set()
        elif isinstance(error, Refusal):
            _log.warning("webhook queue put off: %s", error.message)
        else:
            _log.error("webhook queue failed", exc_info=error)

    async def _pause(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(self._wake.wait()), asyncio.create_task(stop.wait())]
        try:
            await asyncio.wait(waits, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._wake.clear()

    async def _serve(self, endpoint: Endpoint) -> int:
        """Serve one queue for one turn."""
        requests = 0
        for _ in range(BATCHES_A_TURN):
            limit = 1 if endpoint.failures else BATCH
            answers = await self._serve_batch(endpoint, limit)
            requests += len(answers)
            if len(answers) < limit or not all(answer.is_success for answer in answers):
                break
            endpoint = replace(endpoint, failures=0)
        return requests

    async def _serve_batch(self, endpoint: Endpoint, limit: int) -> list[Answer]:
        at = self._clock.now()
        lease_seconds = self._settings.timeout_seconds + _LEASE_MARGIN_SECONDS
        async with self._db.transaction() as tx:
            claimed = await commands.claim(
                tx, endpoint, at=at, lease_seconds=lease_seconds, limit=limit
            )
            event_ids = [delivery.event_id for delivery in claimed]
            facts = await fact_log.select_facts(tx, endpoint.merchant_id, event_ids)
            pending = await queries.pending(tx, endpoint.merchant_id, event_ids)
        if not claimed:
            return []
        sending = [
            self._send(endpoint, facts.get(one.event_id), pending.get(one.event_id, 0))
            for one in claimed
        ]
        answers = await asyncio.gather(*sending)
        await self._record(endpoint, claimed, answers)
        return answers

    async def _record(
        self, endpoint: Endpoint, claimed: Sequence[Delivery], answers: Sequence[Answer]
    ) -> None:
        async with self._db.transaction() as tx:
            await commands.record(
                tx,
                endpoint,
                list(zip(claimed, answers, strict=True)),
                give_up_after_seconds=self._settings.give_up_after_seconds,
                at=self._clock.now(),
            )
        for answer in answers:
            telemetry.WEBHOOKS.labels("delivered" if answer.is_success else "failed").inc()

    async def _send(self, endpoint: Endpoint, fact: Fact | None, pending: int) -> Answer:
        if fact is None or fact.name not in self._catalogue:
            return Answer(None, 0, error="this event does not exist any more")
        try:
            body = self._draw(endpoint, fact, pending)
            keys = self._keys(endpoint)
        except SecretUnreadable:
            return Answer(None, 0, error="the endpoint's secret cannot be opened")
        except Exception:  # noqa: BLE001  one event that cannot be drawn must not stop the others
            _log.exception("event %s cannot be drawn", fact.id)
            return Answer(None, 0, error="the event cannot be drawn")
        headers = signing.headers(fact.id, unix(self._clock.now()), body, keys)
        if self._client is None:
            self._client = self._new_client()
        return await self._client.post(endpoint.url, body, headers)

    def _draw(self, endpoint: Endpoint, fact: Fact, pending: int) -> bytes:
        kind = self._catalogue[fact.name]
        drawn = event.draw(fact, kind, pending=pending, api_version=endpoint.api_version)
        return msgspec.json.encode(drawn)

    def _keys(self, endpoint: Endpoint) -> list[str]:
        place = commands.sealed_place(endpoint.merchant_id, endpoint.id)
        keys = [self._vault.open(endpoint.sealed_secret, place).decode()]
        until = endpoint.previous_until
        if endpoint.sealed_previous is not None and until and self._clock.now() < until:
            keys.append(self._vault.open(endpoint.sealed_previous, place).decode())
        return keys

    def _new_client(self) -> WebhookClient:
        return WebhookClient(
            self._clock,
            timeout_seconds=self._settings.timeout_seconds,
            allow_private_addresses=self._settings.allow_private_addresses,
        )


def _key(endpoint: Endpoint) -> _Key:
    return endpoint.merchant_id, endpoint.id
