"""Case 33: a fact stands exactly when what it tells is true, and is heard by one relay at a time."""

import asyncpg
import pytest

from tests.hard_cases.deeds import nothing_moves, paid
from tests.worlds import MERCHANT, World
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
