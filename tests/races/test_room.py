"""The balance limit of a wallet, asked for by several processes at once."""

import asyncio

import pytest

from tests.hard_cases.deeds import attempts
from tests.topups.test_top_ups import open_wallet, wallet_of
from tests.worlds import CONFIRMATIONS, MERCHANT, World
from tillgate.kernel import ids
from tillgate.kernel.errors import Refusal
from tillgate.payments.flows import NO_TRACE, Payments
from tillgate.payments.model import Payment
from tillgate.topups.flows import TopUps
from tillgate.topups.model import NewTopUp, TopUpView
from tillgate.wallets import flows as wallets
from tillgate.wallets.errors import LimitExceeded, WalletClosed
from tillgate.wallets.machine import News
from tillgate.wallets.model import MoveWallet, UpdateWallet


async def test_forty_top_ups_in_four_processes_never_pass_the_limit(
    world: World, processes: list[Payments]
) -> None:
    wallet = await open_wallet(world)
    limit = UpdateWallet(
        merchant_id=MERCHANT, at=world.clock.now(), wallet_id=wallet, limit_balance=10_000
    )
    await wallets.order(world.db, limit)

    def order() -> NewTopUp:
        return NewTopUp(
            merchant_id=MERCHANT,
            id=ids.new_id("top"),
            wallet_id=wallet,
            amount=1_500,
            bonus_amount=100,
            currency="cny",
            method_types=["wechat_pay"],
            confirmation=CONFIRMATIONS["wechat_pay"],
        )

    tills = [TopUps(process) for process in processes]
    results = await asyncio.gather(
        *(tills[n % 4].create(order(), NO_TRACE) for n in range(40)), return_exceptions=True
    )

    opened = [result for result in results if isinstance(result, TopUpView)]
    refused = [result for result in results if isinstance(result, Refusal)]
    assert len(opened) == 6
    assert len(refused) == 34
    assert all(isinstance(refusal, LimitExceeded) for refusal in refused)
    for view in opened:
        await world.phone_pays("wechat_pay", view.payment)
        await world.until_paid(view.payment)
    await world.assert_books_hold()


async def test_what_is_confirmed_while_its_wallet_is_closed_is_charged_or_refused(
    world: World, processes: list[Payments]
) -> None:
    """Whoever was before the closing may be paid late; nobody behind it is asked for money."""
    wallet = await open_wallet(world)
    *views, behind = [
        await TopUps(world.payments).create(_unpaid(wallet), NO_TRACE) for _ in range(25)
    ]
    closing = MoveWallet(
        merchant_id=MERCHANT, at=world.clock.now(), wallet_id=wallet, news=News.CLOSED
    )

    async def confirm(n: int, payment: Payment) -> Payment:
        await asyncio.sleep(n * 0.002)
        return await processes[n % 4].confirm(payment, CONFIRMATIONS["wechat_pay"], NO_TRACE)

    async def close() -> None:
        await asyncio.sleep(0.02)
        await wallets.order(world.db, closing)

    *results, closed = await asyncio.gather(
        *(confirm(n, view.payment) for n, view in enumerate(views)),
        close(),
        return_exceptions=True,
    )

    assert closed is None
    for view, result in zip(views, results, strict=True):
        is_refused = isinstance(result, WalletClosed)
        assert is_refused or isinstance(result, Payment), result
        assert len(await attempts(world, view.payment)) == (0 if is_refused else 1)
    for result in results:
        if isinstance(result, Payment):
            await world.phone_pays("wechat_pay", result)
            await world.until_paid(result)
    with pytest.raises(WalletClosed):
        await processes[0].confirm(behind.payment, CONFIRMATIONS["wechat_pay"], NO_TRACE)
    assert await attempts(world, behind.payment) == []
    paid = sum(isinstance(result, Payment) for result in results)
    assert (await wallet_of(world, wallet)).balance == paid * 500
    await world.assert_books_hold()


def _unpaid(wallet: str) -> NewTopUp:
    return NewTopUp(
        merchant_id=MERCHANT,
        id=ids.new_id("top"),
        wallet_id=wallet,
        amount=500,
        currency="cny",
        method_types=["wechat_pay"],
    )
