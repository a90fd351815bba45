"""Whoever changes history is found out, and the row is named."""

from collections.abc import AsyncGenerator

import asyncpg
import pytest

from tests.ledger.builders import TEAHOUSE, Shop
from tillgate.entry import books
from tillgate.ledger import flows
from tillgate.ledger.model import Report
from tillgate.runtime.db import Database
from tillgate.runtime.settings import DatabaseSettings, Settings


@pytest.fixture
async def history(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Forty journals in four seals, and five that are not sealed yet."""
    monkeypatch.setattr(flows, "SEAL_JOURNALS", 10)
    world, li, wang = [await shop.account(name) for name in ("world", "li", "wang")]
    for _ in range(20):
        await shop.post((world, li, 10))
        await shop.post((li, wang, 3), (li, world, 1))
        shop.clock.advance(seconds=1)
    assert await flows.seal(shop.db, shop.clock) == 4
    for _ in range(5):
        await shop.post((world, li, 10))
    return shop


@pytest.fixture
async def owner(db_url: str) -> AsyncGenerator[asyncpg.Connection]:
    """The database's owner, who may do what the application may not."""
    connection = await asyncpg.connect(db_url)
    yield connection
    await connection.close()


async def verify(shop: Shop) -> Report:
    return await flows.verify(shop.db, merchant_id=TEAHOUSE)


async def test_untouched_books_are_good(history: Shop) -> None:
    seen: list[tuple[int, int]] = []

    report = await flows.verify(history.db, progress=lambda done, all_: seen.append((done, all_)))

    assert report.differences == ()
    assert (report.journals, report.accounts, report.seals) == (45, 3, 4)
    assert seen == [(45, 45)]
    assert [(head.seal, head.last_journal) for head in report.heads] == [(4, 40)]


async def test_the_command_says_ok_and_names_what_differs(
    history: Shop, owner: asyncpg.Connection, db_url: str
) -> None:
    settings = Settings(database=DatabaseSettings(url=db_url))

    good = await books.verify(settings)
    await owner.execute("UPDATE ledger.lines SET cause = 'x' WHERE journal = 17")
    bad = await books.verify(settings)

    assert (good["ok"], good["journals"], list(good["differences"])) == (True, 45, [])
    assert bad["ok"] is False
    first = bad["differences"][0]
    assert (first["merchant_id"], first["journal"]) == (history.merchant_id, 17)
    assert first["what"] == "a sealed journal was changed"


async def test_several_sweeps_at_once_seal_once(history: Shop) -> None:
    await flows.seal(history.db, history.clock)
    again = await flows.seal(history.db, history.clock)

    assert again == 0
    assert (await verify(history)).is_good


TAMPERING = {
    "an amount": ("UPDATE ledger.lines SET amount = amount + 1 WHERE journal = 17", 17),
    "a cause": ("UPDATE ledger.lines SET cause = 'x' WHERE journal = 17", 17),
    "a time": ("UPDATE ledger.lines SET at = at + interval '1 us' WHERE journal = 17", 17),
    "an account": ("UPDATE ledger.lines SET credit = 3 WHERE journal = 18 AND line = 1", 18),
    "a balance": ("UPDATE ledger.lines SET credit_after = 7 WHERE journal = 18 AND line = 1", 18),
    "one line deleted": ("DELETE FROM ledger.lines WHERE journal = 18 AND line = 1", 18),
    "a journal deleted": ("DELETE FROM ledger.lines WHERE journal = 17", 17),
    "a line inserted": (
        (
            "INSERT INTO ledger.lines SELECT merchant_id, journal, 1, cause, currency, debit, credit,"
            " amount, debit_after, credit_after, at FROM ledger.lines WHERE journal = 17"
        ),
        17,
    ),
    "two journals exchanged": (
        (
            "UPDATE ledger.lines SET journal = -1 WHERE journal = 17;"
            "UPDATE ledger.lines SET journal = 17 WHERE journal = 19;"
            "UPDATE ledger.lines SET journal = 19 WHERE journal = -1"
        ),
        17,
    ),
}


@pytest.mark.parametrize(("sql", "journal"), TAMPERING.values(), ids=TAMPERING.keys())
async def test_a_changed_history_is_found_and_named(
    history: Shop, owner: asyncpg.Connection, sql: str, journal: int
) -> None:
    await owner.execute(sql)

    report = await verify(history)

    assert report.differences[0].journal == journal
    assert "sealed journal" in str(report.differences[0])


async def test_a_seal_that_was_made_to_fit_breaks_the_chain(
    history: Shop, owner: asyncpg.Connection
) -> None:
    heads = {head.merchant_id: (head.seal, head.hash) for head in (await verify(history)).heads}
    await owner.execute("UPDATE ledger.lines SET cause = 'x' WHERE journal = 25")
    await owner.execute("DELETE FROM ledger.seals WHERE number >= 3")
    await flows.seal(history.db, history.clock)

    alone = await verify(history)
    with_head = await flows.verify(history.db, heads=heads)

    assert alone.is_good, "a whole chain made anew is only seen from outside"
    assert "seal 4 is not the one kept" in str(with_head.differences[0])


@pytest.mark.parametrize("also_counter", [False, True])
async def test_a_tail_that_was_cut_off_is_missed(
    history: Shop, owner: asyncpg.Connection, *, also_counter: bool
) -> None:
    await owner.execute("DELETE FROM ledger.lines WHERE journal > 35")
    if also_counter:
        await owner.execute("UPDATE ledger.books SET last_journal = 35")

    report = await verify(history)

    assert report.differences[0].journal == 36
    assert "missing" in report.differences[0].what


async def test_what_is_not_sealed_yet_is_audited_too(
    history: Shop, owner: asyncpg.Connection
) -> None:
    await owner.execute("UPDATE ledger.lines SET amount = amount + 1 WHERE journal = 43")

    report = await verify(history)

    assert [difference.journal for difference in report.differences] == [43, 43]


async def test_a_changed_balance_is_found(history: Shop, owner: asyncpg.Connection) -> None:
    await owner.execute("UPDATE ledger.accounts SET balance = balance + 5 WHERE code = 'li'")

    found = [str(difference) for difference in (await verify(history)).differences]

    assert "the balances in cny do not add up to nought: found 5, expected 0" in found[0]
    assert "account 2 (li): balance: found 175, expected 170" in found[1]


async def test_the_application_cannot_change_history(app_db_url: str, history: Shop) -> None:
    db = await Database.open(app_db_url, size=1, role=None)
    try:
        for sql in (
            "UPDATE ledger.lines SET amount = 1",
            "DELETE FROM ledger.lines",
            "TRUNCATE ledger.lines",
            "UPDATE ledger.seals SET number = 1",
            "DELETE FROM ledger.seals",
            "UPDATE wallets.transactions SET amount = 1",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with db.transaction() as tx:
                    await tx.run(sql)
    finally:
        await db.close()
    assert (await verify(history)).is_good
