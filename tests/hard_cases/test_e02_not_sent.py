"""Case 2: refused at the door is not a timeout: only when no byte left us may we go elsewhere."""

import pytest

from tests.hard_cases.deeds import attempts, simulator
from tests.worlds import CONFIRMATIONS, World
from tillgate.payments.errors import PaymentFailed, UnexpectedState
from tillgate.payments.flows import NO_TRACE


async def test_connection_refused_frees_the_payment_at_once(world: World) -> None:
    await simulator(world, "wechat_pay").server.stop()

    with pytest.raises(PaymentFailed) as failed:
        await world.pay("wechat_pay")

    payment = failed.value.payment.payment
    assert payment.status == "requires_payment_method"
    assert [a.status for a in await attempts(world, payment)] == ["not_sent"]
    again = await world.payments.confirm(payment, CONFIRMATIONS["alipay"], NO_TRACE)
    assert again.status == "requires_action"
    await simulator(world, "wechat_pay").server.start()


async def test_read_timeout_does_not(world: World) -> None:
    payment = await world.pay("wechat_pay", 4002)

    assert [a.status for a in await attempts(world, payment)] == ["unknown"]
    with pytest.raises(UnexpectedState):
        await world.payments.confirm(payment, CONFIRMATIONS["alipay"], NO_TRACE)
