"""Case 4: the process dies between the provider's yes and our commit (kill -9: tests/crash)."""

import pytest

from tests.hard_cases.deeds import HASTY, METHODS, attempts, opened_only, truth
from tests.worlds import MERCHANT, World
from tillgate.payments.orders import charge_of


@pytest.mark.parametrize("method", METHODS)
async def test_order_whose_answer_died_with_us_is_found_again(world: World, method: str) -> None:
    attempt = await opened_only(world, method)
    connector = await world.payments.providers.connector(MERCHANT, f"pa_{attempt.provider}")
    url = world.payments.providers.notify_url(MERCHANT, attempt.provider_account_id)
    await connector.charge(charge_of(attempt, url), now=world.clock.now())
    if method != "card":
        await world.control(method, f"orders/{attempt.id}/pay")

    await world.until_paid(await world.payment(attempt.payment_id), sweep=True)

    assert [told.number for told in (await truth(world, method)).values()] == [attempt.id]
    await world.assert_books_hold()


@pytest.mark.parametrize("method", METHODS)
async def test_order_never_sent_ends_unpaid(world: World, method: str) -> None:
    world.payments.look_ups = HASTY
    attempt = await opened_only(world, method)

    async def ended() -> bool:
        return (await world.payment(attempt.payment_id)).status == "requires_payment_method"

    await world.until(ended, sweep=True)
    found = await attempts(world, await world.payment(attempt.payment_id))
    assert [each.status for each in found] == ["closed"]
    assert await truth(world, method) == {}
    await world.assert_books_hold()
