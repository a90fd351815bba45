"""Orders to wallets, on a real database."""

import asyncio
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from tests.wallets.builders import NOON, TEAHOUSE, cny, look, open_wallet, pay_in, spend_order
from tillgate.kernel.clock import FixedClock
from tillgate.kernel.errors import FieldRefused, Refusal
from tillgate.kernel.ids import new_id
from tillgate.kernel.money import CNY, JPY, Money
from tillgate.runtime.db import Database
from tillgate.wallets import commands, flows, queries
from tillgate.wallets.errors import (
    BalanceInsufficient,
    HoldEnded,
    LimitExceeded,
    RefundTooLarge,
    WalletExists,
    WalletFrozen,
    WalletNotEmpty,
)
from tillgate.wallets.machine import News
from tillgate.wallets.model import (
    CaptureHold,
    Held,
    Limits,
    Moved,
    MoveWallet,
    OpenWallet,
    PlaceHold,
    RecordMovement,
    RefundSpend,
    ReleaseHold,
    Spend,
    Told,
    Transfer,
    UpdateWallet,
    Wallet,
)


async def test_principal_is_spent_before_bonus(db: Database) -> None:
    wallet = await open_wallet(db, principal=100_00, bonus=20_00)

    moved = await flows.order(db, spend_order(wallet.id, 110_00))

    assert isinstance(moved, Moved)
    assert (moved.wallet.principal, moved.wallet.bonus) == (0, 10_00)
    assert (moved.transaction.principal_amount, moved.transaction.bonus_amount) == (-100_00, -10_00)
    assert moved.transaction.balance_after == 10_00
    assert await look(db, wallet.id) == moved.wallet


async def test_a_spend_that_is_not_covered_leaves_no_trace(db: Database) -> None:
    wallet = await open_wallet(db, principal=100)
    before = await look(db, wallet.id)

    async with db.transaction() as tx:
        results = await commands.spend(
            tx,
            [
                spend_order(wallet.id, 60),
                spend_order(wallet.id, 60),
                spend_order("wal_missing", 1),
                spend_order(wallet.id, 40),
            ],
        )

    assert [getattr(result, "code", "moved") for result in results] == [
        "moved",
        "balance_insufficient",
        "resource_missing",
        "moved",
    ]
    after = await look(db, wallet.id)
    assert (before.balance, after.balance, after.sequence) == (100, 0, before.sequence + 2)


async def test_the_same_id_spends_once_in_a_batch_and_across(db: Database) -> None:
    wallet = await open_wallet(db, principal=100)
    order = spend_order(wallet.id, 30)

    async with db.transaction() as tx:
        first, second = await commands.spend(tx, [order, order])
    third = await flows.order(db, order)

    assert isinstance(first, Moved)
    assert isinstance(second, Moved)
    assert isinstance(third, Moved)
    assert [first.repeated, second.repeated, third.repeated] == [False, True, True]
    assert third.transaction.id == order.id
    assert (await look(db, wallet.id)).balance == 70


async def test_a_refund_gives_back_to_the_parts_it_came_from(db: Database) -> None:
    wallet = await open_wallet(db, principal=70, bonus=30)
    spent = spend_order(wallet.id, 100)
    await flows.order(db, spent)

    async def refund(amount: int | None) -> Moved:
        moved = await flows.order(
            db,
            RefundSpend(
                merchant_id=TEAHOUSE,
                at=NOON,
                id=new_id("wtx"),
                transaction_id=spent.id,
                amount=None if amount is None else cny(amount),
            ),
        )
        assert isinstance(moved, Moved)
        return moved

    half = await refund(50)
    with pytest.raises(RefundTooLarge):
        await refund(51)
    rest = await refund(None)
    with pytest.raises(RefundTooLarge):
        await refund(None)

    assert (half.wallet.principal, half.wallet.bonus) == (20, 30)
    assert (rest.wallet.principal, rest.wallet.bonus) == (70, 30)
    async with db.transaction() as tx:
        found = await queries.transaction(tx, TEAHOUSE, wallet.id, spent.id)
    assert found.amount_refunded == 100


async def test_a_hold_keeps_value_from_being_spent_until_it_ends(db: Database) -> None:
    wallet = await open_wallet(db, principal=80, bonus=20)
    hold = PlaceHold(
        merchant_id=TEAHOUSE, at=NOON, id=new_id("hold"), wallet_id=wallet.id, amount=cny(90)
    )

    held = await flows.order(db, hold)
    with pytest.raises(BalanceInsufficient):
        await flows.order(db, spend_order(wallet.id, 11))
    capture = CaptureHold(
        merchant_id=TEAHOUSE, at=NOON, id=new_id("wtx"), hold_id=hold.id, amount=cny(85)
    )
    captured = await flows.order(db, capture)
    again = await flows.order(db, capture)

    assert isinstance(held, Held)
    assert (held.wallet.held, held.wallet.available) == (90, 10)
    assert isinstance(captured, Moved)
    assert (captured.wallet.principal, captured.wallet.bonus, captured.wallet.held) == (0, 15, 0)
    assert captured.hold is not None
    assert captured.hold.captured_amount == 85
    assert again.repeated
    with pytest.raises(HoldEnded):
        await flows.order(db, ReleaseHold(merchant_id=TEAHOUSE, at=NOON, hold_id=hold.id))


async def test_holds_expire(db: Database) -> None:
    clock = FixedClock(NOON)
    wallet = await open_wallet(db, principal=100)
    for minutes in (5, 50):
        await flows.order(
            db,
            PlaceHold(
                merchant_id=TEAHOUSE,
                at=NOON,
                id=new_id("hold"),
                wallet_id=wallet.id,
                amount=cny(30),
                expires_at=NOON + timedelta(minutes=minutes),
            ),
        )

    nothing = await flows.expire_holds(db, clock)
    clock.advance(minutes=5)
    swept = await asyncio.gather(*(flows.expire_holds(db, clock) for _ in range(3)))

    assert nothing == 0
    assert sum(swept) == 1
    assert (await look(db, wallet.id)).held == 30


async def test_a_frozen_wallet_receives_but_does_not_pay(db: Database) -> None:
    wallet = await open_wallet(db, principal=100)
    other = await open_wallet(db, customer="cus_wang", principal=50)
    await flows.order(
        db, MoveWallet(merchant_id=TEAHOUSE, at=NOON, wallet_id=wallet.id, news=News.FROZEN)
    )

    for order in (
        spend_order(wallet.id, 1),
        PlaceHold(merchant_id=TEAHOUSE, at=NOON, id="hold_1", wallet_id=wallet.id, amount=cny(1)),
        Transfer(
            merchant_id=TEAHOUSE,
            at=NOON,
            id="wtx_1",
            wallet_id=wallet.id,
            to_wallet_id=other.id,
            amount=cny(1),
        ),
    ):
        with pytest.raises(WalletFrozen):
            await flows.order(db, order)
    await flows.order(
        db,
        Transfer(
            merchant_id=TEAHOUSE,
            at=NOON,
            id="wtx_2",
            wallet_id=other.id,
            to_wallet_id=wallet.id,
            amount=cny(50),
        ),
    )
    async with db.transaction() as tx:
        [terms] = await commands.require_open(tx, [(TEAHOUSE, wallet.id, cny(10))])

    assert isinstance(terms, Wallet)
    assert terms.id == wallet.id
    assert (await look(db, wallet.id)).balance == 150
    with pytest.raises(WalletNotEmpty):
        await flows.order(
            db, MoveWallet(merchant_id=TEAHOUSE, at=NOON, wallet_id=wallet.id, news=News.CLOSED)
        )


async def test_limits(db: Database) -> None:
    wallet = await open_wallet(db, limits=Limits(single=50, daily=80, balance=200), principal=190)

    with pytest.raises(LimitExceeded, match="single"):
        await flows.order(db, spend_order(wallet.id, 51))
    await flows.order(db, spend_order(wallet.id, 50))
    with pytest.raises(LimitExceeded, match="daily"):
        await flows.order(db, spend_order(wallet.id, 31))
    async with db.transaction() as tx:
        terms = await queries.wallet_terms(tx, TEAHOUSE, wallet.id)
        coming = {(TEAHOUSE, terms.principal_account): 30}
        results = await commands.require_room(tx, [(terms, n) for n in (31, 20, 11, 10)], coming)
    too_much, *_ = results
    assert [result is None for result in results] == [False, True, False, True]
    assert isinstance(too_much, LimitExceeded)
    assert "balance" in too_much.message
    tomorrow = Spend(
        merchant_id=TEAHOUSE,
        at=NOON + timedelta(days=1),
        id=new_id("wtx"),
        wallet_id=wallet.id,
        amount=cny(50),
    )
    await flows.order(db, tomorrow)
    await pay_in(db, wallet.id, 1000)

    assert (await look(db, wallet.id)).balance == 1090


async def test_who_asked_before_midnight_does_not_make_the_new_day_forgotten(db: Database) -> None:
    """Two processes: the one that asked first got the books last."""
    wallet = await open_wallet(db, limits=Limits(daily=1_000), principal=5_000)
    morning = NOON.replace(hour=0)
    evening = morning - timedelta(milliseconds=1)

    async def spend(amount: int, at: datetime) -> None:
        await flows.order(db, replace(spend_order(wallet.id, amount), at=at))

    await spend(600, morning)
    await spend(400, evening)

    with pytest.raises(LimitExceeded, match="daily"):
        await spend(1, morning + timedelta(hours=1))
    await spend(1_000, morning + timedelta(days=1))


async def test_opening_twice_is_refused_unless_asked(db: Database) -> None:
    order = OpenWallet(
        merchant_id=TEAHOUSE, at=NOON, id="wal_a", customer_id="cus_li", currency=CNY
    )
    again = OpenWallet(
        merchant_id=TEAHOUSE, at=NOON, id="wal_b", customer_id="cus_li", currency=CNY
    )
    get = OpenWallet(
        merchant_id=TEAHOUSE, at=NOON, id="wal_c", customer_id="cus_li", currency=CNY, get=True
    )

    async with db.transaction() as tx:
        results = await commands.open_wallets(tx, [order, again, get])

    assert isinstance(results[0], Told)
    assert isinstance(results[1], WalletExists)
    assert isinstance(results[2], Told)
    assert results[2].wallet.id == "wal_a"
    async with db.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM ledger.accounts") == 2


async def test_update_merges_metadata(db: Database) -> None:
    wallet = await open_wallet(db)
    for metadata in ({"shop": "1", "desk": "2"}, {"desk": None}):
        await flows.order(
            db,
            UpdateWallet(
                merchant_id=TEAHOUSE,
                at=NOON,
                wallet_id=wallet.id,
                metadata=metadata,
                limit_daily=500,
            ),
        )

    found = await look(db, wallet.id)

    assert found.metadata == {"shop": "1"}
    assert found.limits == Limits(daily=500)


@pytest.mark.parametrize("amount", [0, -5])
async def test_nothing_and_less_cannot_be_spent(db: Database, amount: int) -> None:
    wallet = await open_wallet(db, principal=100)

    with pytest.raises(FieldRefused) as refused:
        await flows.order(db, spend_order(wallet.id, amount))

    assert refused.value.param == "amount"
    assert (await look(db, wallet.id)).balance == 100


async def test_another_currency_is_refused(db: Database) -> None:
    wallet = await open_wallet(db, principal=100)

    with pytest.raises(Refusal, match="cny, not in jpy"):
        await flows.order(
            db,
            Spend(
                merchant_id=TEAHOUSE,
                at=NOON,
                id="wtx_1",
                wallet_id=wallet.id,
                amount=Money(1, JPY),
            ),
        )


async def test_the_statement_is_the_ledger_before_and_after_recording(db: Database) -> None:
    wallet = await open_wallet(db)
    cause = await pay_in(db, wallet.id, 100)
    bonus = await pay_in(db, wallet.id, 10, part="bonus", cause="bonus:top_1")
    await flows.order(db, spend_order(wallet.id, 105))
    async with db.transaction() as tx:
        before = await queries.statement(tx, TEAHOUSE, wallet.id)
        for _ in range(2):
            await commands.record_movements(
                tx,
                [
                    RecordMovement(merchant_id=TEAHOUSE, at=NOON, cause=cause, source="top_1"),
                    RecordMovement(merchant_id=TEAHOUSE, at=NOON, cause=bonus),
                    RecordMovement(merchant_id=TEAHOUSE, at=NOON, cause="payment:unknown"),
                ],
            )
        after = await queries.statement(tx, TEAHOUSE, wallet.id)
        facts = await tx.all("SELECT name, sequence FROM runtime.facts ORDER BY sequence")
        second = await queries.statement(tx, TEAHOUSE, wallet.id, after=before[0].id, limit=1)
        newer = await queries.statement(tx, TEAHOUSE, wallet.id, before=before[2].id, limit=1)
        one = await queries.transaction(tx, TEAHOUSE, wallet.id, before[2].id)

    assert [(t.type, t.amount, t.balance_after) for t in before] == [
        ("spend", -105, 5),
        ("bonus", 10, 110),
        ("top_up", 100, 100),
    ]
    assert [t.id for t in after] == [t.id for t in before]
    assert after[2].source == "top_1"
    assert second == [after[1]]
    assert newer == [after[1]]
    assert one == after[2]
    assert [(fact["name"], fact["sequence"]) for fact in facts] == [
        ("wallet.opened", 1),
        ("wallet.debited", 2),
        ("wallet.credited", 3),
        ("wallet.credited", 4),
    ]
