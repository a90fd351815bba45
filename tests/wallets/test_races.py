"""Many at once never get more than there is."""

import asyncio
from collections.abc import Sequence

from tests.wallets.builders import NOON, TEAHOUSE, cny, look, open_wallet, spend_order
from tillgate.kernel.errors import Refusal
from tillgate.kernel.ids import new_id
from tillgate.ledger import flows as ledger_flows
from tillgate.runtime.db import Database
from tillgate.wallets import flows
from tillgate.wallets.model import (
    AnyOrder,
    CaptureHold,
    Moved,
    PlaceHold,
    RefundSpend,
    ReleaseHold,
    Transfer,
)


async def race(db: Database, orders: Sequence[AnyOrder]) -> list[object]:
    """Each order in a transaction of its own, all at once."""

    async def one(order: AnyOrder) -> object:
        try:
            return await flows.order(db, order)
        except Refusal as refusal:
            return refusal.code

    return await asyncio.gather(*(one(order) for order in orders))


async def books_are_good(db: Database) -> bool:
    return (await ledger_flows.verify(db)).differences == ()


async def test_fifty_spends(db: Database) -> None:
    wallet = await open_wallet(db, principal=100, bonus=30)

    results = await race(db, [spend_order(wallet.id, 9) for _ in range(50)])

    assert sum(isinstance(result, Moved) for result in results) == 14
    assert (await look(db, wallet.id)).balance == 130 - 14 * 9
    assert await books_are_good(db)


async def test_fifty_captures_and_releases_of_one_hold(db: Database) -> None:
    wallet = await open_wallet(db, principal=100)
    hold = PlaceHold(
        merchant_id=TEAHOUSE, at=NOON, id="hold_1", wallet_id=wallet.id, amount=cny(60)
    )
    await flows.order(db, hold)
    captures: list[AnyOrder] = [
        CaptureHold(
            merchant_id=TEAHOUSE, at=NOON, id=new_id("wtx"), hold_id="hold_1", amount=cny(40)
        )
        for _ in range(40)
    ]
    releases: list[AnyOrder] = [
        ReleaseHold(merchant_id=TEAHOUSE, at=NOON, hold_id="hold_1") for _ in range(10)
    ]

    results = await race(db, captures + releases)

    found = await look(db, wallet.id)
    captured = sum(isinstance(result, Moved) for result in results)
    assert captured <= 1
    assert (found.balance, found.held) == (100 - 40 * captured, 0)
    assert await books_are_good(db)


async def test_fifty_refunds_of_one_spend(db: Database) -> None:
    wallet = await open_wallet(db, principal=70, bonus=30)
    spent = spend_order(wallet.id, 100)
    await flows.order(db, spent)

    results = await race(
        db,
        [
            RefundSpend(
                merchant_id=TEAHOUSE,
                at=NOON,
                id=new_id("wtx"),
                transaction_id=spent.id,
                amount=cny(7),
            )
            for _ in range(50)
        ],
    )

    assert sum(isinstance(result, Moved) for result in results) == 14
    found = await look(db, wallet.id)
    assert (found.principal, found.bonus) == (68, 30)
    assert await books_are_good(db)


async def test_fifty_transfers_to_and_fro(db: Database) -> None:
    li = await open_wallet(db, principal=50, bonus=50)
    wang = await open_wallet(db, customer="cus_wang", principal=50)

    results = await race(
        db,
        [
            Transfer(
                merchant_id=TEAHOUSE,
                at=NOON,
                id=new_id("wtx"),
                wallet_id=(li.id, wang.id)[n % 2],
                to_wallet_id=(wang.id, li.id)[n % 2],
                amount=cny(11 + n % 7),
            )
            for n in range(50)
        ],
    )

    assert any(isinstance(result, Moved) for result in results)
    left = [await look(db, wallet.id) for wallet in (li, wang)]
    assert sum(view.principal for view in left) == 100
    assert min(view.principal for view in left) >= 0
    assert left[0].bonus == 50
    assert await books_are_good(db)


async def test_fifty_times_the_same_order_spends_once(db: Database) -> None:
    wallet = await open_wallet(db, principal=100)
    order = spend_order(wallet.id, 30)

    results = await race(db, [order] * 50)

    assert [isinstance(result, Moved) for result in results] == [True] * 50
    assert sum(isinstance(r, Moved) and not r.repeated for r in results) == 1
    assert (await look(db, wallet.id)).balance == 70


async def test_a_lane_mixes_orders_of_all_kinds(db: Database) -> None:
    wallet = await open_wallet(db, principal=500)
    lane = flows.open_lane(db)
    aside = flows.open_lane(db)

    async def journey(n: int) -> None:
        through = aside if n % 3 == 0 else lane
        hold_id, spend_id = new_id("hold"), new_id("wtx")
        await through.submit(
            PlaceHold(merchant_id=TEAHOUSE, at=NOON, id=hold_id, wallet_id=wallet.id, amount=cny(5))
        )
        await through.submit(spend_order(wallet.id, 3, id=spend_id))
        await through.submit(
            CaptureHold(
                merchant_id=TEAHOUSE, at=NOON, id=new_id("wtx"), hold_id=hold_id, amount=cny(2)
            )
        )
        await through.submit(
            RefundSpend(merchant_id=TEAHOUSE, at=NOON, id=new_id("wtx"), transaction_id=spend_id)
        )

    await asyncio.gather(*(journey(n) for n in range(40)))

    found = await look(db, wallet.id)
    assert (found.balance, found.held) == (500 - 40 * 2, 0)
    async with db.transaction() as tx:
        rows = await tx.all("SELECT sequence FROM runtime.facts ORDER BY sequence")
    assert [row["sequence"] for row in rows] == list(range(1, found.sequence + 1))
    assert await books_are_good(db)
