"""Case 32: "paid", says the provider, but another amount: held back, looked at, not credited."""

import pytest

from tests.hard_cases.deeds import (
    METHODS,
    attempts,
    breaks,
    journals,
    paid,
    raw_notice,
    refunds,
    rule,
    two_orders,
)
from tests.worlds import CONFIRMATIONS, MERCHANT, World
from tillgate.connectors import port
from tillgate.kernel.money import CNY, USD, Money
from tillgate.payments.errors import UnexpectedState
from tillgate.payments.flows import NO_TRACE


@pytest.mark.parametrize("method", METHODS)
async def test_other_amount_opens_a_break_and_credits_nothing(world: World, method: str) -> None:
    payment = await world.pay(method, 4011)
    if method != "card":
        await world.phone_pays(method, payment)

    async def held() -> bool:
        return await breaks(world) == ["amount"]

    await world.until(held, sweep=True)
    for _ in range(3):
        await world.sweep()
    assert [attempt.status for attempt in await attempts(world, payment)] == ["mismatched"]
    assert (await world.payment(payment.id)).status == "processing"
    assert await journals(world, f"payment:{payment.latest_attempt}") == 0
    assert await breaks(world) == ["amount"]
    assert "payment.succeeded" not in await world.facts(payment.id)
    with pytest.raises(UnexpectedState):
        await world.payments.confirm(payment, CONFIRMATIONS[method], NO_TRACE)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (port.Paid("r", Money(10_000, USD)), "currency"),
        (port.Paid("r", Money(10_000, CNY), account="somebody else"), "account"),
        (port.Paid("r", Money(1, CNY)), "amount"),
        (port.Waiting(on="capture", reference="r", amount=Money(99_999, CNY)), "amount"),
    ],
)
async def test_amount_currency_and_account_are_compared(
    world: World, outcome: object, kind: str
) -> None:
    payment = await world.pay("alipay")
    [attempt] = await attempts(world, payment)
    if kind == "account":
        connector = await world.payments.providers.connector(MERCHANT, "pa_alipay")
        assert getattr(connector, "account", None), "a connector tells its account"

    await world.payments._hear(attempt, outcome, NO_TRACE)

    assert await breaks(world) == [kind]
    assert await world.balance(world.wallet) == 0
    assert [each.status for each in await attempts(world, payment)] == ["mismatched"]


@pytest.mark.parametrize("ended", [port.Closed(), port.Declined("card_declined", "no")])
async def test_late_and_wrong_money_is_told_once(world: World, ended: port.Closed) -> None:
    payment = await world.pay("alipay")
    [attempt] = await attempts(world, payment)
    await world.payments._hear(attempt, ended, NO_TRACE)
    before = await world.payment(payment.id)

    for _ in range(3):
        await world.payments._hear(attempt, port.Paid("r", Money(1, CNY)), NO_TRACE)

    after = await world.payment(payment.id)
    assert (await world.facts(payment.id)).count("payment.mismatched") == 1
    assert (after.status, after.open_attempt) == ("requires_payment_method", None)
    assert after.sequence == before.sequence + 1, "or whoever drops old news would drop this"
    assert await breaks(world) == ["amount"]
    assert await world.balance(world.wallet) == 0


async def test_late_and_wrong_money_of_an_old_order_does_not_block_the_new_one(
    world: World,
) -> None:
    payment = await two_orders(world)
    first, _ = await attempts(world, payment)

    await world.payments._hear(first, port.Paid("r", Money(1, CNY)), NO_TRACE)
    await world.phone_pays("wechat_pay", payment)

    await world.until_paid(payment)
    assert await breaks(world) == ["amount"]
    assert (await world.facts(payment.id)).count("payment.mismatched") == 1
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()


@pytest.mark.parametrize("ask_from", [None, 1])
@pytest.mark.parametrize("given_back", [Money(3_000, USD), Money(2_999, CNY)])
async def test_refund_of_another_amount_or_currency_is_not_believed(
    world: World, given_back: Money, ask_from: int | None
) -> None:
    world.payments.notices.ask_from = ask_from
    payment = await paid(world, "wechat_pay")
    rule(world, "wechat_pay", "notice", "lost_notice", probability=1.0)
    refund = (await world.refund(payment, 3_000)).refund
    told = port.RefundNotice(refund.id, port.Refunded("r", given_back))

    await world.payments.notices._hear(raw_notice(world, "pa_wechat_pay"), told, None)

    assert await breaks(world) == ["amount"]
    assert [one.status for one in await refunds(world, payment)] == ["pending"]
    assert await journals(world, f"refund_made:{refund.id}") == 0
    await world.assert_books_hold()
