"""Case 32: the provider names one payment of its own for two attempts: only one of them has it."""

import asyncio

from tests.hard_cases.deeds import attempts, breaks, journals
from tests.serving import Client
from tests.worlds import World
from tillgate.connectors import port
from tillgate.kernel.money import CNY, Money
from tillgate.payments.flows import NO_TRACE

PAID = port.Paid("2026112222001", Money(10_000, CNY))


async def test_reference_of_another_attempt_opens_a_break_and_credits_nothing(
    world: World, client: Client
) -> None:
    first, second = await world.pay("alipay"), await world.pay("alipay")
    [one], [other] = await attempts(world, first), await attempts(world, second)

    await world.payments._hear(one, PAID, NO_TRACE)
    for _ in range(3):
        heard = await world.payments._hear(other, PAID, NO_TRACE)
        assert heard.attempt.status == "mismatched"

    assert await breaks(world) == ["reference"]
    assert (await world.payment(second.id)).status == "processing"
    assert await journals(world, f"payment:{other.id}") == 0
    assert await world.balance(world.wallet) == 10_000
    shown = await client.get(f"/v1/payment_intents/{second.id}")
    assert (shown.status, shown.json["status"]) == (200, "processing")
    await world.sweep()
    assert (await attempts(world, second))[0].status == "mismatched"
    await world.assert_books_hold()


async def test_both_heard_of_at_once(world: World) -> None:
    payments = [await world.pay("alipay") for _ in range(4)]
    each = [(await attempts(world, payment))[0] for payment in payments]

    heard = await asyncio.gather(
        *(world.payments._hear(attempt, PAID, NO_TRACE) for attempt in each)
    )

    assert sorted(one.attempt.status for one in heard) == ["mismatched"] * 3 + ["paid"]
    assert await breaks(world) == ["reference"] * 3
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()
