"""Case 15: the provider gets exactly the words it wants, after the notice has been stored."""

import asyncio
import json

import pytest

from tests.hard_cases.deeds import METHODS, paid, simulator
from tests.worlds import MERCHANT, World

#: To the byte; anything else is sent again, or taken for a failure.
ACKS = {
    "alipay": (200, b"success"),
    "wechat_pay": (200, b'{"code":"SUCCESS","message":"OK"}'),
    "card": (200, b'{"received":true}'),
}


@pytest.mark.parametrize("method", METHODS)
async def test_provider_takes_our_answer_for_an_acknowledgement(world: World, method: str) -> None:
    await paid(world, method)
    sender = simulator(world, method).sender

    async def done() -> bool:
        return sender.acked >= 1 and not sender.unfinished

    await world.until(done)
    async with world.db.transaction(readonly=True) as tx:
        stored = await tx.all(
            "SELECT provider_account_id, headers::text, body FROM runtime.notices"
        )
    assert len(stored) == sender.acked

    notice = stored[0]
    url = f"{world.notices.url}/notices/{MERCHANT}/{notice['provider_account_id']}"
    headers = json.loads(notice["headers"])
    async with world.session.post(url, data=notice["body"], headers=headers) as answer:
        assert (answer.status, await answer.read()) == ACKS[method]


@pytest.mark.parametrize("method", METHODS)
async def test_nobody_is_answered_before_the_commit(world: World, method: str) -> None:
    sender = simulator(world, method).sender
    world.payments.notices.patience_seconds = 30.0
    held, reached = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await held.wait()

    payment = await world.pay(method, capture_method="manual" if method == "card" else "automatic")
    await sender.settle()
    acked = sender.acked
    world.db.before_commit = wait
    if method == "card":
        simulator(world, method).close(payment.latest_attempt or "")
    else:
        simulator(world, method).pay(payment.latest_attempt or "")

    await asyncio.wait_for(reached.wait(), 5)
    assert sender.acked == acked
    assert sender.unfinished
    world.db.before_commit = None
    held.set()

    await sender.settle()
    assert sender.acked > acked
    assert not sender.unfinished
    expected = "requires_payment_method" if method == "card" else "succeeded"
    assert (await world.payment(payment.id)).status == expected
