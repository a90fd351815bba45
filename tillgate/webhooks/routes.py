"""HTTP: webhook endpoints, events, deliveries and replays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Refusal
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.once import OnceLane
from tillgate.runtime.secrets import Vault
from tillgate.web.listing import CursorRequest, ListOf, cut, read_page, show_list
from tillgate.web.operation import Answer, Call, Operation, operation
from tillgate.web.reading import Nothing
from tillgate.webhooks import commands, queries, wire
from tillgate.webhooks.model import Catalogue

#: One change, made in the lane's transaction.
Change = Callable[[Tx], Awaitable[msgspec.Struct]]


class Routes:
    """The handlers, over one lane of changes."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        vault: Vault,
        catalogue: Catalogue,
        *,
        may_be_private: bool,
    ) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._catalogue = catalogue
        self._may_be_private = may_be_private
        # Endpoints change rarely: one at a time keeps a refusal from touching its neighbours. Answers
        # hold secrets and are kept sealed.
        self._lane: OnceLane[Change, msgspec.Struct] = OnceLane(
            db, clock, self._apply, max_items=1, vault=vault
        )

    async def _apply(self, tx: Tx, changes: Sequence[Change]) -> Sequence[msgspec.Struct | Refusal]:
        return [await change(tx) for change in changes]

    async def _change(self, call: Call, change: Change) -> Answer:
        return await call.once(self._lane, change, lambda shown: shown)

    async def create(self, call: Call, body: wire.CreateEndpoint) -> Answer:
        terms = wire.read_terms(body)

        async def change(tx: Tx) -> wire.ShownEndpoint:
            endpoint, secret = await commands.create_endpoint(
                tx,
                self._vault,
                call.merchant_id,
                terms,
                may_be_private=self._may_be_private,
                at=self._clock.now(),
            )
            return wire.show_endpoint(endpoint, secret)

        return await self._change(call, change)

    async def update(self, call: Call, body: wire.ChangeEndpoint) -> Answer:
        endpoint_id = call.id

        async def change(tx: Tx) -> wire.ShownEndpoint:
            endpoint = await commands.lock_endpoint(tx, call.merchant_id, endpoint_id)
            changed = await commands.update_endpoint(
                tx,
                call.merchant_id,
                endpoint_id,
                wire.read_changes(body, endpoint),
                may_be_private=self._may_be_private,
            )
            return wire.show_endpoint(changed)

        return await self._change(call, change)

    async def roll(self, call: Call, body: wire.RollSecret) -> Answer:
        endpoint_id = call.id

        async def change(tx: Tx) -> wire.ShownEndpoint:
            endpoint, secret = await commands.roll_secret(
                tx,
                self._vault,
                call.merchant_id,
                endpoint_id,
                overlap_seconds=body.overlap_seconds,
                at=self._clock.now(),
            )
            return wire.show_endpoint(endpoint, secret)

        return await self._change(call, change)

    async def replay(self, call: Call, body: wire.ReplayEvent) -> Answer:
        endpoint_id = call.id

        async def change(tx: Tx) -> wire.ShownEndpoint:
            await commands.replay_event(
                tx,
                self._catalogue,
                call.merchant_id,
                endpoint_id,
                body.event,
                at=self._clock.now(),
            )
            return wire.show_endpoint(await queries.endpoint(tx, call.merchant_id, endpoint_id))

        return await self._change(call, change)

    async def delete(self, call: Call, _: Nothing) -> wire.DeletedEndpoint:
        async with self._db.transaction() as tx:
            await commands.delete_endpoint(tx, call.merchant_id, call.id)
        return wire.DeletedEndpoint(id=call.id)

    async def retrieve(self, call: Call, _: Nothing) -> wire.ShownEndpoint:
        async with self._db.transaction(readonly=True) as tx:
            return wire.show_endpoint(await queries.endpoint(tx, call.merchant_id, call.id))

    async def list(self, call: Call, body: CursorRequest) -> ListOf[wire.ShownEndpoint]:
        async with self._db.transaction(readonly=True) as tx:
            page = await read_page(
                body,
                "we",
                "webhook endpoint",
                lambda one: queries.is_endpoint(tx, call.merchant_id, one),
            )
            found = await queries.endpoints(tx, call.merchant_id)
        low, high = page.bounds("we")
        rest = [one for one in found if low < one.id < high]
        some = rest[-page.limit - 1 :] if page.before else rest[: page.limit + 1]
        return show_list(call, cut(some, page), wire.show_endpoint)

    async def deliveries(self, call: Call, body: wire.ListDeliveries) -> ListOf[wire.ShownDelivery]:
        async with self._db.transaction(readonly=True) as tx:
            await queries.endpoint(tx, call.merchant_id, call.id)
            page = await read_page(
                body,
                "whd",
                "webhook_delivery",
                lambda one: queries.is_delivery(
                    tx, call.merchant_id, one, endpoint_id=call.id, event_id=body.event
                ),
            )
            rows = await queries.deliveries(
                tx,
                call.merchant_id,
                page,
                endpoint_id=call.id,
                event_id=body.event,
                status=body.status,
            )
            logs = {one.id: await queries.tries(tx, call.merchant_id, one.id) for one in rows.data}
        return show_list(call, rows, lambda one: wire.show_delivery(one, logs[one.id]))

    async def retrieve_event(self, call: Call, _: Nothing) -> wire.ShownEvent:
        async with self._db.transaction(readonly=True) as tx:
            found = await queries.one_event(tx, self._catalogue, call.merchant_id, call.id)
        return _event(found)

    async def list_events(self, call: Call, body: wire.ListEvents) -> ListOf[wire.ShownEvent]:
        async with self._db.transaction(readonly=True) as tx:
            page = await read_page(
                body,
                "evt",
                "event",
                lambda one: queries.is_event(
                    tx, self._catalogue, call.merchant_id, one, object_id=body.object_id
                ),
            )
            rows = await queries.events(
                tx,
                self._catalogue,
                call.merchant_id,
                page,
                types=wire.read_types(body),
                object_id=body.object_id,
            )
        return show_list(call, rows, _event)

    def operations(self) -> Sequence[Operation]:
        """Return the rows of this room."""
        all_, shown, event = "/v1/webhook_endpoints", wire.ShownEndpoint, wire.ShownEvent
        one = f"{all_}/{{webhook_endpoint}}"
        return (
            operation(
                "POST", all_, wire.CreateEndpoint, shown, self.create, "Create a webhook endpoint",
                description="The secret is in this answer and in no other.",
                example={"url": "https://example.com/hooks", "enabled_events": ["*"]},
            ),
            operation("GET", all_, CursorRequest, ListOf[shown], self.list, "List endpoints"),
            operation("GET", one, Nothing, shown, self.retrieve, "Retrieve an endpoint"),
            operation(
                "POST", one, wire.ChangeEndpoint, shown, self.update, "Update an endpoint",
                example={"disabled": True},
            ),
            operation("DELETE", one, Nothing, wire.DeletedEndpoint, self.delete, "Delete an endpoint"),
            operation(
                "POST", f"{one}/roll_secret", wire.RollSecret, shown, self.roll, "Roll the secret",
                example={"overlap_seconds": 3600},
            ),
            operation(
                "POST", f"{one}/replay", wire.ReplayEvent, shown, self.replay,
                "Send an event again", example={"event": "evt_…"},
            ),
            operation(
                "GET", f"{one}/deliveries", wire.ListDeliveries, ListOf[wire.ShownDelivery],
                self.deliveries, "List deliveries",
            ),
            operation("GET", "/v1/events", wire.ListEvents, ListOf[event], self.list_events, "List events"),
            operation(
                "GET", "/v1/events/{event}", Nothing, event, self.retrieve_event, "Retrieve an event"
            ),
        )  # fmt: skip


def _event(drawn: dict[str, Any]) -> wire.ShownEvent:
    return msgspec.convert(drawn, wire.ShownEvent)
