"""Case 38: no connection is held while a provider thinks."""

import asyncio

import pytest

from simulators.common.http import Request, Response
from tests.hard_cases.deeds import METHODS, attempts, behave, rule, simulator
from tests.serving import Client
from tests.worlds import World
from tillgate.payments.model import Payment


@pytest.mark.parametrize("method", METHODS)
async def test_slow_provider_holds_no_connection(world: World, method: str) -> None:
    rule(world, method, "create", "latency", seconds=0.4, probability=1.0)
    paying = [asyncio.create_task(world.pay(method)) for _ in range(30)]

    async def all_called() -> bool:
        async with world.db.transaction(readonly=True) as tx:
            return await tx.value("SELECT count(*) FROM payments.attempts") == 30

    await world.until(all_called)
    assert not any(task.done() for task in paying)
    assert world.db.in_use == 0
    assert world.db.busy == 0
    async with world.db.transaction(readonly=True) as tx:
        idle = await tx.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%'"
        )
    assert idle == 0
    await asyncio.gather(*paying)
    behave(world, method)


@pytest.mark.parametrize("deed", ["refund", "capture", "cancel", "look_up"])
async def test_whatever_the_provider_is_asked_holds_no_connection(
    world: World, client: Client, deed: str
) -> None:
    manual = {"capture_method": "manual"} if deed in ("capture", "cancel") else {}
    payments = [await world.pay("card", **manual) for _ in range(10)]
    calls = 0
    arrived, gate = asyncio.Event(), asyncio.Event()
    handle = simulator(world, "card").handle_api

    async def held(request: Request) -> Response:
        nonlocal calls
        calls += 1
        if calls == len(payments):
            arrived.set()
        await gate.wait()
        answer = handle(request)
        return answer if isinstance(answer, Response) else await answer

    async def ask(payment: Payment) -> object:
        path = f"/v1/payment_intents/{payment.id}"
        match deed:
            case "refund":
                return await client.post("/v1/refunds", {"payment_intent": payment.id})
            case "capture" | "cancel":
                return await client.post(f"{path}/{deed}")
            case _:
                return await world.payments.resolve((await attempts(world, payment))[0])

    simulator(world, "card").handle_api = held  # type: ignore[method-assign]
    asking = [asyncio.create_task(ask(payment)) for payment in payments]
    await asyncio.wait_for(arrived.wait(), 5)
    assert (world.db.in_use, world.db.busy) == (0, 0)
    async with world.db.transaction(readonly=True) as tx:
        idle = await tx.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
        )
    assert idle == 0
    gate.set()
    await asyncio.gather(*asking)
    await world.assert_books_hold()


async def test_calling_a_provider_inside_a_transaction_is_a_bug(world: World) -> None:
    with pytest.raises(AssertionError, match="held over a network call"):
        async with world.db.transaction():
            await world.pay("alipay")
