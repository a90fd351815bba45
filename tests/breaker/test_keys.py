"""What guards a key that has been left: these pass, and kill mutants that nothing else does."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tillgate.kernel.clock import FixedClock, SystemClock
from tillgate.runtime import idempotency
from tillgate.runtime.db import Tx
from tillgate.runtime.idempotency import Asked, Claim, Claimed, ClaimLost, Claims, KeyInUse


def asked(key: str, request: str) -> Asked:
    return Asked(3, key, b"body", request)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(SystemClock().now())


async def test_one_of_two_takes_over_what_both_have_seen_abandoned(db, clock, monkeypatch) -> None:
    claims, others = Claims(db, clock), Claims(db, clock)
    await claims.claim(asked("k", "req_1"))
    clock.advance(seconds=60)
    both = asyncio.Barrier(2)
    select = idempotency.select_rows

    async def together(tx: Tx, items: Sequence[Asked]) -> Any:
        rows = await select(tx, items)
        await both.wait()
        return rows

    monkeypatch.setattr(idempotency, "select_rows", together)
    answers = await asyncio.gather(
        claims.claim(asked("k", "req_2")),
        others.claim(asked("k", "req_3")),
        return_exceptions=True,
    )

    assert {type(answer) for answer in answers} == {Claimed, KeyInUse}


async def test_key_works_on_one_object(db, clock) -> None:
    await Claims(db, clock).claim(asked("k", "req_1"))
    held = Claim(asked("k", "req_1"), is_held=True)
    for _ in range(2):
        async with db.transaction() as tx:
            idempotency.attach(tx, [(held, "pi_1")], clock.now())

    with pytest.raises(ClaimLost):
        async with db.transaction() as tx:
            idempotency.attach(tx, [(held, "pi_2")], clock.now())


async def test_what_was_never_answered_is_not_forgotten(db, clock) -> None:
    taking = Claim(asked("k", "req_1"), is_held=False)
    async with db.transaction() as tx:
        idempotency.attach(tx, [(taking, "pi_1")], clock.now())
    clock.advance(hours=48)

    async with db.transaction() as tx:
        assert await idempotency.prune(tx, clock.now() - timedelta(hours=24)) == 0

    assert await Claims(db, clock).claim(asked("k", "req_2")) == Claimed("pi_1")
