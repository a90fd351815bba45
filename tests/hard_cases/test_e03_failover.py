"""Case 3: another provider only after a definitive no, or after closing at the first."""

import pytest

from tests.hard_cases.deeds import paid, rule, truth
from tests.worlds import CONFIRMATIONS, World
from tillgate.payments.errors import PaymentFailed, UnexpectedState
from tillgate.payments.flows import NO_TRACE


async def test_decline_allows_another_provider(world: World) -> None:
    rule(world, "wechat_pay", "create", "refuse", next=1)
    with pytest.raises(PaymentFailed) as failed:
        await world.pay("wechat_pay")
    payment = failed.value.payment.payment

    payment = await world.payments.confirm(payment, CONFIRMATIONS["alipay"], NO_TRACE)
    await world.phone_pays("alipay", payment)

    payment = await world.until_paid(payment)
    assert payment.attempts == 2
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()


async def test_open_order_refuses_another_provider_and_nobody_is_asked(world: World) -> None:
    payment = await world.pay("alipay")

    with pytest.raises(UnexpectedState):
        await world.payments.confirm(payment, CONFIRMATIONS["wechat_pay"], NO_TRACE)

    assert await truth(world, "wechat_pay") == {}


async def test_paid_payment_refuses_another_provider(world: World) -> None:
    payment = await paid(world, "alipay")

    with pytest.raises(UnexpectedState):
        await world.payments.confirm(payment, CONFIRMATIONS["wechat_pay"], NO_TRACE)

    assert await truth(world, "wechat_pay") == {}
    assert await world.balance(world.wallet) == 10_000
