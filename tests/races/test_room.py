"""The balance limit of a wallet, asked for by several processes at once."""

import asyncio

from tests.topups.test_top_ups import open_wallet
from tests.worlds import CONFIRMATIONS, MERCHANT, World
from tillgate.kernel import ids
from tillgate.kernel.errors import Refusal
from tillgate.payments.flows import NO_TRACE, Payments
from tillgate.topups.flows import TopUps
from tillgate.topups.model import NewTopUp, TopUpView
from tillgate.wallets import flows as wallets
from tillgate.wallets.errors import LimitExceeded
from tillgate.wallets.model import UpdateWallet


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
