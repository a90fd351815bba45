"""Case 8: a double click or an impatient client makes one attempt and one charge."""

import asyncio

from tests.hard_cases.deeds import attempts, truth
from tests.worlds import CONFIRMATIONS, World
from tillgate.payments.errors import UnexpectedState
from tillgate.payments.flows import NO_TRACE


async def test_two_clicks_on_pay_charge_once(world: World) -> None:
    payment = await world.pay("card", confirmation=None)

    clicks = await asyncio.gather(
        *(world.payments.confirm(payment, CONFIRMATIONS["card"], NO_TRACE) for _ in range(10)),
        return_exceptions=True,
    )

    assert sum(isinstance(click, UnexpectedState) for click in clicks) == 9
    assert len(await attempts(world, payment)) == 1
    assert [told.paid for told in (await truth(world, "card")).values()] == [10_000]
    await world.until_paid(payment)
    await world.assert_books_hold()
