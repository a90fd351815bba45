"""Case 14: what is not genuinely the provider's, or not about our order, changes nothing."""

import msgspec
import pytest

from simulators.common.notices import Notice
from tests.hard_cases.deeds import (
    METHODS,
    attempts,
    behave,
    breaks,
    nothing_moves,
    notices_become,
    paid,
    raw_notice,
    refunds,
    rule,
    simulator,
)
from tests.worlds import MERCHANT, World
from tillgate.connectors import port
from tillgate.kernel.money import CNY, USD, Money
from tillgate.payments.errors import ChargeNotFound, NotConfirmed, RefundNotFound

#: What the provider takes for "not accepted, send it again"; never our own failure.
REFUSALS = {
    "alipay": (200, b"fail"),
    "wechat_pay": (401, b'{"code":"FAIL","message":"not accepted"}'),
    "card": (400, b'{"received":false}'),
}
ACCOUNTS = {"alipay": "pa_alipay", "wechat_pay": "pa_wechat_pay", "card": "pa_stripe"}


@pytest.mark.parametrize("method", METHODS)
async def test_unsigned_notice_is_refused(world: World, method: str) -> None:
    payment = await world.pay("wechat_pay")
    forged = f"out_trade_no={payment.latest_attempt}&trade_status=TRADE_SUCCESS&total_amount=100.00"

    async with nothing_moves(world):
        url = f"{world.notices.url}/notices/{MERCHANT}/{ACCOUNTS[method]}"
        async with world.session.post(url, data=forged) as answer:
            said = (answer.status, await answer.read())
    assert world.refused_notices == 1
    assert said == REFUSALS[method]
    async with world.db.transaction(readonly=True) as tx:
        assert await tx.value("SELECT count(*) FROM runtime.notices") == 0


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_badly_signed_notice_is_refused_and_the_next_one_taken(
    world: World, method: str
) -> None:
    payment = await world.pay(method, 4022)
    await world.phone_pays(method, payment)

    async def refused() -> bool:
        return world.refused_notices == 1

    await world.until(refused)
    await world.until_paid(payment)
    await world.assert_books_hold()


async def test_genuine_notice_of_another_account_is_refused(world: World) -> None:
    """The same provider, the right signature, an order of somebody else's."""
    payment = await world.pay("alipay")
    sender = simulator(world, "alipay").sender
    await simulator(world, "alipay").server.stop()
    async with world.db.transaction() as tx:
        await tx.run("UPDATE payments.attempts SET id = id || 'x'")
        await tx.run(
            "UPDATE payments.payments SET open_attempt = open_attempt || 'x',"
            " latest_attempt = latest_attempt || 'x'"
        )
    simulator(world, "alipay").pay(payment.latest_attempt or "")
    await sender.settle()
    await world.payments.finish()

    assert await world.balance(world.wallet) == 0
    [attempt] = await attempts(world, payment)
    assert attempt.status == "waiting"
    async with world.db.transaction(readonly=True) as tx:
        row = await tx.one("SELECT status, note FROM runtime.notices")
    assert (row["status"], "No such charge" in row["note"]) == ("received", True)
    assert await breaks(world) == []
    await simulator(world, "alipay").server.start()


@pytest.mark.parametrize(
    ("method", "ours", "theirs"),
    [
        ("alipay", '"seller_id":"', '"seller_id":"2088'),
        ("wechat_pay", '\\"mchid\\":\\"', '\\"mchid\\":\\"19'),
        ("wechat_pay", '\\"appid\\":\\"', '\\"appid\\":\\"wx'),
        ("alipay", '"total_amount":"', '"total_amount":"1'),
        ("wechat_pay", '\\"total\\":', '\\"total\\":1'),
    ],
)
async def test_genuine_notice_of_another_merchant_or_amount_credits_nothing(
    world: World, method: str, ours: str, theirs: str
) -> None:
    def changed(notice: Notice) -> list[Notice]:
        written = msgspec.json.encode(notice).decode()
        assert ours in written, written
        return [msgspec.json.decode(written.replace(ours, theirs), type=Notice)]

    payment = await world.pay(method)
    with notices_become(world, method, changed):
        await world.phone_pays(method, payment)
        await simulator(world, method).sender.settle()
        await world.payments.finish()

    assert await world.balance(world.wallet) == 0
    assert (await world.payment(payment.id)).status != "succeeded"
    assert "payment.succeeded" not in await world.facts(payment.id)
    await world.assert_books_hold()


async def test_account_speaks_only_of_its_own_orders(world: World) -> None:
    """Whoever holds the keys of one of our accounts cannot pay another one's orders with them."""
    payment = await world.pay("alipay")
    about_it = port.AttemptNotice(
        payment.latest_attempt or "", port.Paid("pi_1", Money(10_000, CNY))
    )

    async with nothing_moves(world):
        with pytest.raises(ChargeNotFound):
            await world.payments.notices._hear(raw_notice(world, "pa_stripe"), about_it, None)


async def test_account_speaks_only_of_its_own_refunds(world: World) -> None:
    payment = await paid(world, "wechat_pay")
    view = await world.refund(payment, 2_500)
    about_it = port.RefundNotice(view.refund.id, port.RefundFailed("declined", "No."))

    with pytest.raises(RefundNotFound):
        await world.payments.notices._hear(raw_notice(world, "pa_alipay"), about_it, None)

    assert [refund.status for refund in await refunds(world, payment)] != ["failed"]
    assert await world.balance(world.wallet) == 7_500


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_of_a_large_amount_a_notice_alone_is_not_believed(world: World, method: str) -> None:
    """As if somebody had got hold of the provider's key: it signs the notice, and knows of nothing."""
    world.payments.notices.ask_from = 10_000
    payment = await world.pay(method, 10_000)
    rule(world, method, "query", "not_paid_yet", probability=1.0)
    await world.phone_pays(method, payment)
    await simulator(world, method).sender.settle()
    await world.payments.finish()

    assert await world.balance(world.wallet) == 0
    async with world.db.transaction(readonly=True) as tx:
        row = await tx.one("SELECT status, note FROM runtime.notices")
    assert row["status"] == "received"
    assert "does not say so yet" in row["note"]

    behave(world, method)
    await world.until_paid(payment, sweep=True)
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()


@pytest.mark.parametrize("method", METHODS)
async def test_of_a_large_amount_the_provider_is_asked_before_it_is_credited(
    world: World, method: str
) -> None:
    world.payments.notices.ask_from = 10_000
    payment = await paid(world, method, 10_000)

    [attempt] = await attempts(world, payment)
    assert attempt.status == "paid"
    await world.assert_books_hold()


@pytest.mark.parametrize("number", ["pi_of_another_order", None])
async def test_large_notice_that_can_book_nothing_needs_no_answer_of_the_provider(
    world: World, number: str | None
) -> None:
    """Of another order it opens its break at once; of what is paid already it says nothing new."""
    payment = await paid(world, "card", 10_000)
    [attempt] = await attempts(world, payment)
    world.payments.notices.ask_from = 10_000
    rule(world, "card", "query", "http_500_before", probability=1.0)
    told = port.Paid(number or attempt.reference or "", Money(10_000, USD))
    notice = port.AttemptNotice(attempt.id, told, number)

    await world.payments.notices._hear(raw_notice(world, "pa_stripe"), notice, None)

    assert await breaks(world) == (["reference"] if number else [])
    await world.assert_books_hold()


@pytest.mark.parametrize("method", METHODS)
async def test_that_a_large_refund_failed_is_not_believed_by_a_notice_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """It would be given to the customer again, who has it back already."""
    world.payments.notices.ask_from = 10_000
    payment = await paid(world, method, 10_000)
    view = await world.refund(payment, 10_000)

    async def made() -> bool:
        return [refund.status for refund in await refunds(world, payment)] == ["succeeded"]

    await world.until(made, sweep=True)
    forged = port.RefundNotice(view.refund.id, port.RefundFailed("declined", "No."))

    with monkeypatch.context() as patched:
        patched.setattr(world.payments.notices._providers, "look_up_refund", _unheard)
        with pytest.raises(NotConfirmed, match=view.refund.id):
            await world.payments.notices._hear(raw_notice(world, ACCOUNTS[method]), forged, None)
    await world.payments.notices._hear(raw_notice(world, ACCOUNTS[method]), forged, None)

    assert await made()
    assert await world.balance(world.wallet) == 0


async def test_large_refund_that_its_provider_says_has_failed_is_given_again(world: World) -> None:
    world.payments.notices.ask_from = 10_000
    payment = await paid(world, "wechat_pay", 10_000)
    rule(world, "wechat_pay", "refund", "refund_fails_later", next=1)
    await world.refund(payment, 10_000)

    async def given_again() -> bool:
        return await world.balance(world.wallet) == 10_000

    await world.until(given_again)
    assert [refund.status for refund in await refunds(world, payment)] == ["failed"]
    [refund] = await refunds(world, payment)
    old = port.RefundNotice(refund.id, port.Refunded(refund.reference, Money(10_000, CNY)))
    await world.payments.notices._hear(raw_notice(world, "pa_wechat_pay"), old, None)
    assert [refund.status for refund in await refunds(world, payment)] == ["failed"]
    await world.assert_books_hold()


async def _unheard(*_: object) -> port.Unknown:
    return port.Unknown("no answer")
