"""Case 11: the client's return and the notice both find it paid; one of them credits."""

import asyncio

import pytest

from tests.hard_cases.deeds import METHODS, attempts, journals, simulator
from tests.worlds import MERCHANT, World


@pytest.mark.parametrize("method", METHODS)
async def test_look_ups_and_notices_at_once_credit_once(world: World, method: str) -> None:
    payment = await world.pay(method)
    if method != "card":
        await world.phone_pays(method, payment)
    [attempt] = await attempts(world, payment)

    simulator(world, method).renotify(attempt.id, 5)
    await asyncio.gather(
        *(world.payments.resolve(attempt) for _ in range(5)),
        *(world.payments.settle(MERCHANT, payment.id) for _ in range(5)),
    )
    await simulator(world, method).sender.settle()
    await world.payments.finish()

    assert await journals(world, f"payment:{attempt.id}") == 1
    assert (await world.facts(payment.id)).count("payment.succeeded") == 1
    await world.assert_books_hold()
