"""Posting on a real database."""

import asyncio
import random
from datetime import timedelta

import asyncpg
import pytest

from tests.ledger.builders import NOON, TEAHOUSE, Shop
from tillgate.kernel.errors import Refusal
from tillgate.ledger import commands, flows, queries
from tillgate.ledger.errors import CurrencyDiffers, HoldEnded, InsufficientFunds
from tillgate.ledger.machine import Memory
from tillgate.ledger.model import AccountTerms, Hold, Line, Posted
from tillgate.ledger.posting import open_lane
from tillgate.runtime.db import Database
from tillgate.runtime.lane import Lane


async def test_one_cause_twice_in_a_batch_posts_once(shop: Shop) -> None:
    world, li = await shop.account("world"), await shop.account("li")
    journal = shop.journal([(world, li, 100)], cause="payment:att_1")

    async with shop.db.transaction() as tx:
        results = await commands.post(tx, [journal, journal], at=NOON)
    async with shop.db.transaction() as tx:
        results += await commands.post(tx, [journal], at=NOON)

    assert [r.repeated for r in results if isinstance(r, Posted)] == [False, True, True]
    assert {r.number for r in results if isinstance(r, Posted)} == {1}
    assert await shop.balance(li) == 100


async def test_a_floor_refuses_one_and_lets_the_rest_pass(shop: Shop) -> None:
    world, li = await shop.account("world"), await shop.account("li")
    await shop.post((world, li, 100))

    async with shop.db.transaction() as tx:
        results = await commands.post(
            tx, [shop.journal([(li, world, amount)]) for amount in (60, 50, 40, 1)], at=NOON
        )

    assert [isinstance(result, Posted) for result in results] == [True, False, True, False]
    assert isinstance(results[1], InsufficientFunds)
    assert results[1].fields == {"account": "li", "available": 40, "needed": 50}
    assert await shop.balance(li) == 0


async def test_a_journal_is_refused_whole(shop: Shop) -> None:
    world, li, wang = [await shop.account(name) for name in ("world", "li", "wang")]
    await shop.post((world, li, 10))

    refused = await shop.post((li, wang, 6), (li, wang, 6))

    assert isinstance(refused, InsufficientFunds)
    assert (await shop.balance(li), await shop.balance(wang)) == (10, 0)


async def test_two_currencies_never_meet(shop: Shop) -> None:
    yuan, yen = await shop.account("world"), await shop.account("world", "jpy")

    assert isinstance(await shop.post((yuan, yen, 1)), CurrencyDiffers)


@pytest.mark.parametrize("currency", ["jpy", "cny", "kwd", "pts"])
async def test_any_currency_and_points(shop: Shop, currency: str) -> None:
    world, li = await shop.account("world", currency), await shop.account("li", currency)

    posted = await shop.post((world, li, 1_234))

    assert isinstance(posted, Posted)
    assert posted.lines[0].currency == currency
    async with shop.db.transaction() as tx:
        rows = await queries.trial_balance(tx, TEAHOUSE)
    assert [(row.currency, row.balance) for row in rows] == [(currency, 1234), (currency, -1234)]


async def test_fifty_racing_debits_never_pass_the_floor(shop: Shop) -> None:
    world, li = await shop.account("world"), await shop.account("li")
    await shop.post((world, li, 100))

    results = await asyncio.gather(*(shop.post((li, world, 7)) for _ in range(50)))

    assert sum(isinstance(result, Posted) for result in results) == 14
    assert await shop.balance(li) == 2
    assert (await flows.verify(shop.db)).differences == ()


async def test_a_lane_with_a_memory_agrees_with_others_who_write(shop: Shop) -> None:
    names = ["world", "li", "wang", "zhao"]
    numbers = [await shop.account(name, floor=-50) for name in names]
    memory = Memory()

    async def handle(tx, journals):  # type: ignore[no-untyped-def]
        return await commands.post(tx, journals, at=NOON, memory=memory)

    lane = Lane(shop.db, handle, max_items=7)
    dice = random.Random(7)

    async def by_lane() -> Posted | Refusal:
        debit, credit = dice.sample(numbers, 2)
        try:
            return await lane.submit(shop.journal([(debit, credit, dice.randint(1, 30))]))
        except Refusal as refusal:
            return refusal

    async def aside() -> Posted | Refusal:
        debit, credit = dice.sample(numbers, 2)
        return await shop.post((debit, credit, dice.randint(1, 30)))

    for _ in range(20):
        await asyncio.gather(*(by_lane() for _ in range(9)), *(aside() for _ in range(2)))

    report = await flows.verify(shop.db)
    assert report.differences == ()
    assert report.journals > 60


async def test_a_rolled_back_batch_leaves_no_memory(shop: Shop) -> None:
    world, li = await shop.account("world"), await shop.account("li")
    memory = Memory()
    await shop.post((world, li, 10))

    async def roll_back() -> None:
        async with shop.db.transaction() as tx:
            await commands.post(tx, [shop.journal([(world, li, 90)])], at=NOON, memory=memory)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await roll_back()
    async with shop.db.transaction() as tx:
        refused = await commands.post(tx, [shop.journal([(li, world, 50)])], at=NOON, memory=memory)

    assert isinstance(refused[0], InsufficientFunds)
    assert await shop.balance(li) == 10


@pytest.mark.parametrize("step", ["before the write", "after the write", "at commit"])
async def test_a_connection_that_dies_leaves_the_books_balanced(
    shop: Shop, db_url: str, step: str
) -> None:
    world, li = await shop.account("world"), await shop.account("li")
    await shop.post((world, li, 10))
    other = await Database.open(db_url, size=1)

    async def die() -> None:
        owner = await asyncpg.connect(db_url)
        killed = await owner.fetchval(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'idle in transaction'"
        )
        await owner.close()
        assert killed == 1

    if step == "at commit":
        other.before_commit = die

    async def post() -> None:
        async with other.transaction() as tx:
            books = await commands.lock(tx, {TEAHOUSE})
            cause = (TEAHOUSE, "test:crash")
            await commands.load(
                tx, books, accounts=[(TEAHOUSE, world), (TEAHOUSE, li)], causes=[cause]
            )
            books.post(shop.journal([(world, li, 5)], cause="test:crash"), at=NOON)
            if step == "before the write":
                await die()
            commands.save(tx, books)
            if step == "after the write":
                await die()
                await tx.value("SELECT 1")

    with pytest.raises(Exception):  # noqa: B017, PT011  however asyncpg calls it
        await post()
    await other.abort()

    assert await shop.balance(li) == 10
    assert isinstance(await shop.post((world, li, 5), cause="test:crash"), Posted)
    assert (await flows.verify(shop.db)).differences == ()


async def test_a_hold_is_reserved_then_posted_in_part(shop: Shop) -> None:
    world, li = await shop.account("world"), await shop.account("li")
    await shop.post((world, li, 100))
    hold = Hold(TEAHOUSE, "hold_1", ((li, 60),), NOON, NOON + timedelta(minutes=5))

    async with shop.db.transaction() as tx:
        books = await commands.lock(tx, {TEAHOUSE})
        await commands.load(
            tx, books, accounts=[(TEAHOUSE, li)], holds=[(TEAHOUSE, "hold_1"), (TEAHOUSE, "hold_2")]
        )
        assert books.reserve(hold) is hold
        assert books.reserve(hold) is hold
        too_much = books.reserve(Hold(TEAHOUSE, "hold_2", ((li, 41),), NOON))
        commands.save(tx, books)
    spend = await shop.post((li, world, 41))
    async with shop.db.transaction() as tx:
        books = await commands.lock(tx, {TEAHOUSE})
        journal = shop.journal([(li, world, 25)])
        await commands.load(
            tx,
            books,
            accounts=[(TEAHOUSE, world)],
            causes=[(TEAHOUSE, journal.cause)],
            holds=[(TEAHOUSE, "hold_1")],
        )
        posted = books.post_hold(TEAHOUSE, "hold_1", journal, at=NOON)
        again = books.void(TEAHOUSE, "hold_1", at=NOON)
        commands.save(tx, books)

    assert isinstance(too_much, InsufficientFunds)
    assert isinstance(spend, InsufficientFunds)
    assert isinstance(posted, Posted)
    assert isinstance(again, HoldEnded)
    assert await shop.balance(li) == 75
    assert isinstance(await shop.post((li, world, 75)), Posted)
    assert (await flows.verify(shop.db)).differences == ()


@pytest.mark.parametrize("sealed", [0, 1, 3, 60])
async def test_balances_as_of_any_moment_and_statements(
    shop: Shop, sealed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared with adding up all that was posted until then, wherever seals end."""
    monkeypatch.setattr(flows, "SEAL_JOURNALS", max(sealed, 1))
    dice = random.Random(11)
    numbers = [await shop.account(name, floor=None) for name in ("a", "b", "c")]
    posted: list[Posted] = []
    for number in range(60):
        if sealed and number in {20, 45}:
            await flows.seal(shop.db, shop.clock)
        lines = [(*dice.sample(numbers, 2), dice.randint(1, 9)) for _ in range(dice.randint(1, 3))]
        result = await shop.post(*lines)
        assert isinstance(result, Posted)
        posted.append(result)
        if dice.random() < 0.6:
            shop.clock.advance(seconds=dice.randint(1, 5))

    def until(moment, number):  # type: ignore[no-untyped-def]
        lines = [line for journal in posted if journal.at <= moment for line in journal.lines]
        return sum(
            line.amount * ((line.credit == number) - (line.debit == number)) for line in lines
        )

    moments = [NOON + timedelta(seconds=offset) for offset in (-1, 0, 7, 33, 61, 500)]
    async with shop.db.transaction() as tx:
        for moment in moments:
            found = await queries.balances_as_of(tx, TEAHOUSE, numbers, moment)
            assert found == {number: until(moment, number) for number in numbers}
        seen: list[int] = []
        cursor: int | None = None
        while page := await queries.movements(tx, TEAHOUSE, numbers[:2], before=cursor, limit=7):
            for movement in page:
                assert movement.balances == await queries.balances_at(
                    tx, TEAHOUSE, numbers[:2], movement.journal
                )
            seen += [movement.journal for movement in page]
            cursor = page[-1].journal
        newer = await queries.movements(tx, TEAHOUSE, numbers[:2], after=seen[9], limit=4)

    touching = [
        journal.number
        for journal in posted
        if any({line.debit, line.credit} & set(numbers[:2]) for line in journal.lines)
    ]
    assert seen == touching[::-1]
    assert [movement.journal for movement in newer] == seen[5:9]


def test_a_line_moves_something_between_two_accounts() -> None:
    for wrong in ((1, 2, 0), (1, 2, -5), (1, 1, 5)):
        with pytest.raises(AssertionError):
            Line(*wrong)


async def test_an_account_is_opened_once(shop: Shop) -> None:
    terms = [(TEAHOUSE, AccountTerms("li", "cny", floor=0))] * 2
    async with shop.db.transaction() as tx:
        books = await commands.lock(tx, {TEAHOUSE})
        await commands.ensure_accounts(tx, books, terms, at=NOON)

    assert await shop.account("li") == 1
    assert await shop.account("wang") == 2


async def test_the_fast_lane_agrees_with_others_who_write(shop: Shop) -> None:
    numbers = [await shop.account(name, floor=-50) for name in ("world", "li", "wang", "zhao")]
    lane = open_lane(shop.db, shop.clock, max_items=8)
    dice = random.Random(5)
    refused = 0

    async def by_lane(cause: str | None) -> None:
        nonlocal refused
        debit, credit = dice.sample(numbers, 2)
        try:
            await lane.submit(shop.journal([(debit, credit, dice.randint(1, 40))], cause))
        except InsufficientFunds:
            refused += 1

    async def aside() -> None:
        for _ in range(10):
            debit, credit = dice.sample(numbers, 2)
            await shop.post((debit, credit, dice.randint(1, 30)))

    causes = [
        f"test:same_{dice.randint(1, 100)}" if dice.random() < 0.3 else None for _ in range(600)
    ]
    await asyncio.gather(aside(), *(by_lane(cause) for cause in causes))

    report = await flows.verify(shop.db)
    assert report.differences == ()
    assert report.journals > 300
    assert refused > 20


async def test_a_batch_that_fails_in_the_fast_lane_is_decided_again(shop: Shop) -> None:
    world, li = await shop.account("world"), await shop.account("li")
    lane = open_lane(shop.db, shop.clock, max_items=5)
    fail = iter([False, True, False, True, True, *[False] * 1000])

    async def maybe_fail() -> None:
        if next(fail):
            raise ZeroDivisionError

    shop.db.before_commit = maybe_fail
    results = await asyncio.gather(
        *(lane.submit(shop.journal([(world, li, 1)])) for _ in range(40)), return_exceptions=True
    )

    posted = [result for result in results if isinstance(result, Posted)]
    assert len(posted) + sum(isinstance(result, ZeroDivisionError) for result in results) == 40
    assert await shop.balance(li) == len(posted) >= 39
    assert sorted(result.number for result in posted) == list(range(1, len(posted) + 1))
    assert (await flows.verify(shop.db)).differences == ()
