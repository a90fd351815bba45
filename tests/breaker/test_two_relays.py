"""Two workers relay the same facts, and one of them fails on what the other has heard."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tillgate.entry import relay as relaying
from tillgate.entry.relay import Shown, relay
from tillgate.entry.subscriptions import TABLE
from tillgate.kernel.facts import Fact
from tillgate.runtime.db import Tx


async def test_top_up_succeeds_once_though_a_relay_failed_on_it(
    client, world, monkeypatch
) -> None:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    wallet = (await client.post("/v1/wallets", {"customer": customer, "currency": "usd"})).json["id"]
    top_up = {"wallet": wallet, "amount": 5000, "currency": "usd", "payment_method": "pm_card_visa"}
    made = await client.post("/v1/top_ups", top_up)
    assert made.json["status"] == "succeeded"

    async def fail(tx: Tx, facts: Sequence[Fact], at: datetime) -> None:
        raise RuntimeError("a statement took too long")

    failing = (*TABLE, Shown({"payment.succeeded"}, fail))
    park = relaying._park

    async def parks_late(*given: Any) -> None:
        # The other worker has its turn after this one's batch was rolled back.
        await relay(world.db, world.clock, TABLE)
        await park(*given)

    monkeypatch.setattr(relaying, "_park", parks_late)
    await relay(world.db, world.clock, failing)
    monkeypatch.undo()
    async with world.db.transaction() as tx:
        await tx.run("UPDATE runtime.parked_facts SET next_at = now() - interval '1 minute'")
    await relay(world.db, world.clock, TABLE)
    await relay(world.db, world.clock, TABLE)

    told = await world.facts(made.json["id"])
    assert told.count("top_up.succeeded") == 1, told
    await world.assert_books_hold()
