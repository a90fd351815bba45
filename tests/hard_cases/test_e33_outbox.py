"""Case 33: a fact stands exactly when what it tells is true, and is heard by one relay at a time."""

from typing import Any

import asyncpg
import pytest

from tests.hard_cases.deeds import nothing_moves, paid
from tests.serving import Client
from tests.worlds import MERCHANT, World
from tillgate.entry import relay as relaying
from tillgate.entry.relay import Shown, relay
from tillgate.entry.subscriptions import TABLE
from tillgate.kernel.errors import Refusal
from tillgate.runtime import outbox


async def test_transaction_that_fails_publishes_nothing(world: World) -> None:
    async def fail() -> None:
        raise asyncpg.ConnectionDoesNotExistError("the server went away")

    async with nothing_moves(world):
        world.db.before_commit = fail
        with pytest.raises(Refusal):
            await world.pay("alipay")
        world.db.before_commit = None


async def test_paid_payment_has_its_facts_in_order(world: World) -> None:
    payment = await paid(world, "alipay")

    assert await world.facts(payment.id) == [
        "payment.created",
        "payment.requires_action",
        "payment.succeeded",
    ]
    async with world.db.transaction(readonly=True) as tx:
        rows = await tx.all(
            "SELECT sequence FROM runtime.facts WHERE object_id = $1 ORDER BY id", payment.id
        )
    sequences = [row["sequence"] for row in rows]
    assert sequences == sorted(set(sequences))


async def test_two_relays_share_the_facts_out(world: World) -> None:
    await paid(world, "alipay")

    async with world.db.transaction() as one:
        mine = await outbox.claim(one, MERCHANT, 2)
        async with world.db.transaction() as other:
            theirs = await outbox.claim(other, MERCHANT, 100)

    assert len(mine) >= 2
    assert theirs
    assert not {fact.id for fact in mine} & {fact.id for fact in theirs}


async def test_top_up_succeeds_once_though_a_relay_failed_on_it(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    wallet = (await client.post("/v1/wallets", {"customer": customer, "currency": "usd"})).json[
        "id"
    ]
    top_up = {"wallet": wallet, "amount": 5000, "currency": "usd", "payment_method": "pm_card_visa"}
    made = await client.post("/v1/top_ups", top_up)
    assert made.json["status"] == "succeeded"

    async def fail(*_: object) -> None:
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
