"""Top-ups: the wallet is credited in the transaction that makes the payment paid."""

from typing import Any

import pytest

from tests.hard_cases.deeds import given_up, rule, simulator
from tests.worlds import CONFIRMATIONS, MERCHANT, World
from tillgate.kernel import ids
from tillgate.kernel.money import CNY, Money
from tillgate.payments.errors import PaidIntoWallet, ValueSpent
from tillgate.payments.flows import NO_TRACE
from tillgate.runtime import fact_log, outbox
from tillgate.topups import commands, queries
from tillgate.topups.flows import TopUps
from tillgate.topups.model import NewTopUp, TopUpView
from tillgate.topups.wire import show_top_up
from tillgate.wallets import flows as wallets
from tillgate.wallets import queries as wallet_queries
from tillgate.wallets.errors import WalletClosed
from tillgate.wallets.machine import News
from tillgate.wallets.model import MoveWallet, OpenWallet, Spend


async def open_wallet(world: World) -> str:
    told: Any = await wallets.order(
        world.db,
        OpenWallet(
            merchant_id=MERCHANT,
            at=world.clock.now(),
            id=ids.new_id("wal"),
            customer_id="cus_li",
            currency=CNY,
        ),
    )
    return told.wallet.id


async def top_up(
    world: World, wallet_id: str, method: str = "wechat_pay", **more: Any
) -> TopUpView:
    order = NewTopUp(
        merchant_id=MERCHANT,
        id=ids.new_id("top"),
        wallet_id=wallet_id,
        amount=10_000,
        currency="cny",
        method_types=["alipay", "wechat_pay"],
        confirmation=CONFIRMATIONS[method],
        **more,
    )
    return await TopUps(world.payments).create(order, NO_TRACE)


async def wallet_of(world: World, wallet_id: str) -> Any:
    async with world.db.transaction(readonly=True) as tx:
        return await wallet_queries.wallet(tx, MERCHANT, wallet_id)


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_paid_top_up_credits_principal_and_bonus(world: World, method: str) -> None:
    wallet = await open_wallet(world)

    view = await top_up(world, wallet, method, bonus_amount=1_000)
    await world.phone_pays(method, view.payment)
    await world.until_paid(view.payment)

    held = await wallet_of(world, wallet)
    assert (held.principal, held.bonus) == (10_000, 1_000)
    async with world.db.transaction(readonly=True) as tx:
        assert (await queries.top_up(tx, MERCHANT, view.top_up.id)).status == "succeeded"
    await world.assert_books_hold()


async def test_refund_takes_back_principal_and_the_bonus_pro_rata(world: World) -> None:
    wallet = await open_wallet(world)
    view = await top_up(world, wallet, bonus_amount=1_001)
    await world.phone_pays("wechat_pay", view.payment)
    payment = await world.until_paid(view.payment)

    await world.refund(payment, 3_333)
    part = await wallet_of(world, wallet)
    await world.refund(payment)

    assert (part.principal, part.bonus) == (6_667, 1_001 - 333)
    whole = await wallet_of(world, wallet)
    assert (whole.principal, whole.bonus) == (0, 0)
    await world.assert_books_hold()


async def test_refund_of_what_was_spent_is_refused_and_books_stay(world: World) -> None:
    wallet = await open_wallet(world)
    view = await top_up(world, wallet)
    await world.phone_pays("wechat_pay", view.payment)
    payment = await world.until_paid(view.payment)
    await wallets.order(
        world.db,
        Spend(
            merchant_id=MERCHANT,
            at=world.clock.now(),
            id=ids.new_id("wtx"),
            wallet_id=wallet,
            amount=Money(4_000, CNY),
        ),
    )

    with pytest.raises(ValueSpent):
        await world.refund(payment)

    assert (await wallet_of(world, wallet)).principal == 6_000
    assert (await world.payment(payment.id)).amount_refunded == 0
    await world.refund(payment, 6_000)
    assert (await wallet_of(world, wallet)).principal == 0
    await world.assert_books_hold()


async def test_receivable_policy_books_what_the_holder_owes(world: World) -> None:
    wallet = await open_wallet(world)
    view = await top_up(world, wallet, refund_policy="receivable")
    await world.phone_pays("wechat_pay", view.payment)
    payment = await world.until_paid(view.payment)
    await wallets.order(
        world.db,
        Spend(
            merchant_id=MERCHANT,
            at=world.clock.now(),
            id=ids.new_id("wtx"),
            wallet_id=wallet,
            amount=Money(4_000, CNY),
        ),
    )

    await world.refund(payment)

    assert (await wallet_of(world, wallet)).principal == 0
    assert await world.balance_of(f"wallet:{wallet}:owed") == -4_000
    await world.assert_books_hold()


async def test_partial_policy_refunds_what_is_left(world: World) -> None:
    wallet = await open_wallet(world)
    view = await top_up(world, wallet, refund_policy="partial")
    await world.phone_pays("wechat_pay", view.payment)
    payment = await world.until_paid(view.payment)
    await wallets.order(
        world.db,
        Spend(
            merchant_id=MERCHANT,
            at=world.clock.now(),
            id=ids.new_id("wtx"),
            wallet_id=wallet,
            amount=Money(4_000, CNY),
        ),
    )

    refund = await world.refund(payment)

    assert refund.refund.amount == 6_000
    assert (await wallet_of(world, wallet)).principal == 0


async def test_frozen_wallet_still_receives_money(world: World) -> None:
    wallet = await open_wallet(world)
    view = await top_up(world, wallet)

    await wallets.order(
        world.db,
        MoveWallet(merchant_id=MERCHANT, at=world.clock.now(), wallet_id=wallet, news=News.FROZEN),
    )
    await world.phone_pays("wechat_pay", view.payment)
    await world.until_paid(view.payment)

    assert (await wallet_of(world, wallet)).principal == 10_000


async def follow_all(world: World, *, times: int = 1) -> None:
    async with world.db.transaction() as tx:
        happened = [fact.id for fact in await outbox.claim(tx, MERCHANT, 100)]
        facts = await fact_log.select_facts(tx, MERCHANT, happened)
        for _ in range(times):
            await commands.follow(tx, [facts[each] for each in happened])


async def test_following_payments_publishes_the_top_ups_facts(world: World) -> None:
    wallet = await open_wallet(world)
    view = await top_up(world, wallet)
    await world.phone_pays("wechat_pay", view.payment)
    await world.until_paid(view.payment)

    await follow_all(world)

    assert await world.facts(view.top_up.id) == ["top_up.created", "top_up.succeeded"]


async def test_payment_heard_of_twice_makes_a_top_up_succeed_once(world: World) -> None:
    wallet = await open_wallet(world)
    views = [await top_up(world, wallet) for _ in range(2)]
    for view in views:
        await world.phone_pays("wechat_pay", view.payment)
        await world.until_paid(view.payment)

    await follow_all(world, times=2)

    for view in views:
        assert await world.facts(view.top_up.id) == ["top_up.created", "top_up.succeeded"]


@pytest.mark.parametrize("changes", [{"amount": 100}, {"currency": "usd"}])
async def test_what_a_wallet_is_to_be_credited_cannot_be_changed(
    world: World, changes: dict[str, Any]
) -> None:
    """With another amount the bonus would be too much, with another currency nothing credited."""
    wallet = await open_wallet(world)
    order = NewTopUp(
        merchant_id=MERCHANT,
        id=ids.new_id("top"),
        wallet_id=wallet,
        amount=10_000,
        currency="cny",
        method_types=["wechat_pay"],
        bonus_amount=1_000,
    )
    view = await TopUps(world.payments).create(order, NO_TRACE)

    with pytest.raises(PaidIntoWallet):
        await world.payments.update(MERCHANT, view.payment.id, changes, NO_TRACE)

    payment = await world.payment(view.payment.id)
    assert (payment.amount, payment.currency) == (10_000, "cny")


async def test_whole_bonus_goes_back_though_an_earlier_refund_failed(world: World) -> None:
    wallet = await open_wallet(world)
    view = await top_up(world, wallet, bonus_amount=1_000)
    await world.phone_pays("wechat_pay", view.payment)
    payment = await world.until_paid(view.payment)
    rule(world, "wechat_pay", "refund", "refund_fails_later", next=1)
    await world.refund(payment, 4017)
    await world.refund(payment, 5)

    async def failed() -> bool:
        return (await world.payment(payment.id)).amount_refunded == 5

    await world.until(failed, sweep=True)
    await world.refund(payment)

    whole = await wallet_of(world, wallet)
    assert (whole.principal, whole.bonus) == (0, 0)
    assert await world.balance_of("promotions:bonus") == 0
    await world.assert_books_hold()


async def test_canceled_and_paid_late_heard_together_have_numbers_of_their_own(
    world: World,
) -> None:
    wallet = await open_wallet(world)
    view = await top_up(world, wallet)
    order = view.payment.latest_attempt or ""
    simulator(world, "wechat_pay").open_order(order)
    await world.payments.cancel(MERCHANT, view.payment.id, None, NO_TRACE)
    await world.control("wechat_pay", f"orders/{order}/pay", {"late": True})
    payment = await world.until_paid(view.payment, sweep=True)

    await follow_all(world)

    async with world.db.transaction(readonly=True) as tx:
        rows = await tx.all(
            "SELECT name, sequence FROM runtime.facts WHERE object_id = $1 ORDER BY id",
            view.top_up.id,
        )
    assert [row["name"] for row in rows] == [
        "top_up.created",
        "top_up.canceled",
        "top_up.succeeded",
    ]
    numbers = [row["sequence"] for row in rows]
    assert numbers == sorted(set(numbers))
    async with world.db.transaction(readonly=True) as tx:
        shown = show_top_up(await queries.top_up(tx, MERCHANT, view.top_up.id), livemode=False)
    assert numbers[-1] == shown.sequence == payment.sequence
    await world.assert_books_hold()


async def test_failed_top_up_is_not_charged_into_a_wallet_closed_since(world: World) -> None:
    wallet = await open_wallet(world)
    view = await top_up(world, wallet)
    await given_up(world, view.payment)
    closing = MoveWallet(
        merchant_id=MERCHANT, at=world.clock.now(), wallet_id=wallet, news=News.CLOSED
    )
    await wallets.order(world.db, closing)

    payment = await world.payment(view.payment.id)
    with pytest.raises(WalletClosed) as refused:
        await world.payments.confirm(payment, CONFIRMATIONS["alipay"], NO_TRACE)

    assert refused.value.param == "intent"
    assert (await world.payment(view.payment.id)).status == "requires_payment_method"
