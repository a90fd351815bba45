"""The doctor finds each kind of sickness, and none on healthy books or while they are in use."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

from tillgate.entry import doctor
from tillgate.entry.doctor_checks import CHECKS
from tillgate.kernel.clock import SystemClock
from tillgate.kernel.ids import new_id
from tillgate.ledger import commands as ledger
from tillgate.ledger.model import AccountTerms, Journal, Line
from tillgate.runtime import telemetry
from tillgate.runtime.db import Database
from tillgate.runtime.settings import DatabaseSettings, Settings

TEAHOUSE = 3
NOW = SystemClock().now()
ATTEMPT, REFUND, WALLET = new_id("att"), new_id("re"), new_id("wal")
PAYMENT, TRANSACTION = new_id("pi"), new_id("wtx")


@pytest_asyncio.fixture
async def db(app_db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(app_db_url, size=4)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def owner(db_url: str, db: Database) -> AsyncGenerator[asyncpg.Connection]:
    """Somebody who may change anything, on healthy books: one top-up, partly refunded."""
    await post_healthy(db)
    connection = await asyncpg.connect(db_url)
    try:
        await connection.execute(HEALTHY)
        yield connection
    finally:
        await connection.close()


async def post_healthy(db: Database) -> None:
    codes = ("provider:alipay:pa:receivable", "provider:alipay:pa:refunds")
    terms = [AccountTerms(code, "cny", "debit") for code in codes]
    terms += [
        AccountTerms(f"wallet:{WALLET}:{name}", "cny", floor=0) for name in ("principal", "bonus")
    ]
    async with db.transaction() as tx:
        await ledger.open_books(tx, TEAHOUSE)
    async with db.transaction() as tx:
        books = await ledger.lock(tx, {TEAHOUSE})
        await ledger.ensure_accounts(tx, books, [(TEAHOUSE, term) for term in terms], at=NOW)
        ledger.save(tx, books)
    journals = [
        Journal(TEAHOUSE, f"payment:{ATTEMPT}", (Line(1, 3, 10_000),)),
        Journal(TEAHOUSE, f"refund:{REFUND}", (Line(3, 2, 4_000),)),
        Journal(TEAHOUSE, f"refund_made:{REFUND}", (Line(2, 1, 4_000),)),
    ]
    async with db.transaction() as tx:
        await ledger.post(tx, journals, at=NOW)


HEALTHY = f"""
INSERT INTO payments.payments (merchant_id, id, amount, currency, status, method_types, pay_into,
    amount_received, amount_refunded, latest_attempt, client_secret, created_at)
VALUES (3, '{PAYMENT}', 10000, 'cny', 'succeeded', '["alipay"]', 3, 10000, 4000, '{ATTEMPT}', 'x',
    '{NOW}');
INSERT INTO payments.attempts (merchant_id, id, payment_id, provider_account_id, provider,
    presentation, amount, currency, status, reference, amount_captured, created_at)
VALUES (3, '{ATTEMPT}', '{PAYMENT}', 'pa', 'alipay', 'qr', 10000, 'cny', 'paid', 'T1', 10000,
    '{NOW}');
INSERT INTO payments.refunds (merchant_id, id, payment_id, attempt_id, amount, currency, status,
    created_at)
VALUES (3, '{REFUND}', '{PAYMENT}', '{ATTEMPT}', 4000, 'cny', 'succeeded', '{NOW}');
INSERT INTO wallets.wallets (merchant_id, id, customer_id, currency, principal_account,
    bonus_account, created_at)
VALUES (3, '{WALLET}', 'cus_li', 'cny', 3, 4, '{NOW}');
INSERT INTO wallets.transactions (merchant_id, id, wallet_id, journal, type, amount, principal_amount,
    bonus_amount, currency, cause, created_at)
VALUES (3, '{TRANSACTION}', '{WALLET}', 1, 'top_up', 10000, 10000, 0, 'cny',
    'payment:{ATTEMPT}', '{NOW}'),
    (3, '{new_id("wtx")}', '{WALLET}', 2, 'refund', -4000, -4000, 0, 'cny',
    'refund:{REFUND}', '{NOW}');
"""
OLD = NOW - timedelta(days=1)

#: What was done to the database, and which checks must notice.
SABOTAGE = {
    "a balance is changed": (
        "UPDATE ledger.accounts SET balance = balance + 1 WHERE number = 3",
        {"books_balance", "balance_follows_postings", "balance_is_sum_of_postings"},
    ),
    "two balances are changed, against each other": (
        "UPDATE ledger.accounts SET balance = balance + CASE number WHEN 3 THEN 1 ELSE -1 END"
        " WHERE number IN (1, 3)",
        {"balance_follows_postings", "balance_is_sum_of_postings"},
    ),
    "a line's amount is changed": (
        "UPDATE ledger.lines SET amount = 9999 WHERE journal = 1",
        {"balance_is_sum_of_postings", "paid_is_booked_once", "statement_is_ledger"},
    ),
    "a running balance is changed": (
        "UPDATE ledger.lines SET credit_after = 1 WHERE journal = 1",
        {"running_balances_chain"},
    ),
    "a journal is deleted": (
        "DELETE FROM ledger.lines WHERE journal = 2",
        {
            "journals_have_no_gaps", "refunds_are_booked", "balance_is_sum_of_postings",
            "statement_is_ledger", "balance_follows_postings",
        },
    ),
    "a floor is broken": (
        "UPDATE ledger.accounts SET floor = 6001 WHERE number = 3",
        {"floors_hold"},
    ),
    "something is held that no hold explains": (
        "UPDATE ledger.accounts SET held = 5 WHERE number = 3",
        {"held_is_open_holds"},
    ),
    "a hold explains nothing": (
        "INSERT INTO ledger.holds (merchant_id, id, account, amount, status, created_at)"
        f" VALUES (3, 'h', 3, 5, 'open', '{NOW}')",
        {"held_is_open_holds"},
    ),
    "a paid attempt says another amount": (
        "UPDATE payments.attempts SET amount_captured = 9000",
        {"paid_is_booked_once", "received_is_captured"},
    ),
    "a booked attempt is not paid": (
        "UPDATE payments.attempts SET status = 'closed'",
        {"booked_was_paid", "received_is_captured"},
    ),
    "an attempt is paid and not booked": (
        "INSERT INTO payments.attempts (merchant_id, id, payment_id, provider_account_id, provider,"
        " presentation, amount, currency, status, reference, amount_captured, created_at)"
        f" SELECT 3, '{new_id('att')}', payment_id, 'pa', provider, presentation, amount, currency,"
        " 'paid', 'T2', 10000, created_at FROM payments.attempts",
        {"paid_is_booked_once"},
    ),
    "more is said to be refunded than the refunds are": (
        "UPDATE payments.payments SET amount_refunded = 5000",
        {"refunded_is_live_refunds"},
    ),
    "a refund failed and nobody was credited again": (
        "UPDATE payments.refunds SET status = 'failed'",
        {"refunds_are_booked", "refunded_is_live_refunds"},
    ),
    "a refund is booked as made and is pending": (
        "UPDATE payments.refunds SET status = 'pending'",
        {"refunds_are_booked"},
    ),
    "a statement says another amount": (
        f"UPDATE wallets.transactions SET amount = 1, principal_amount = 1 WHERE id = '{TRANSACTION}'",
        {"statement_is_ledger"},
    ),
    "a statement lacks a journal": (
        f"DELETE FROM wallets.transactions WHERE id = '{TRANSACTION}';"
        f" UPDATE ledger.lines SET at = '{OLD}'",
        {"statements_are_written"},
    ),
    "a break is open": (
        "INSERT INTO payments.breaks (merchant_id, id, kind, ours, theirs, created_at)"
        f" VALUES (3, 'brk', 'amount', '{{}}', '{{}}', '{NOW}')",
        {"breaks_are_resolved"},
    ),
    "the relay stands still": (
        "INSERT INTO runtime.unrelayed VALUES"
        f" (3, 'evt_1', '{{evt_1, evt_2}}', '{{x.made, x.done}}', '{OLD}')",
        {"outbox_moves"},
    ),
    "a fact is parked": (
        f"INSERT INTO runtime.parked_facts VALUES (3, 'evt', 9, '{NOW}', 'note', '{OLD}')",
        {"no_fact_is_parked"},
    ),
    "a notice is not applied": (
        "INSERT INTO runtime.notices (merchant_id, id, provider_account_id, headers, body,"
        f" received_at, next_at) VALUES (3, 'not', 'pa', '{{}}', '', '{OLD}', '{NOW}')",
        {"notices_are_applied"},
    ),
    "an outcome is unknown for a day": (
        "INSERT INTO payments.attempts (merchant_id, id, payment_id, provider_account_id, provider,"
        " presentation, amount, currency, status, look_up_at, created_at)"
        f" VALUES (3, '{new_id('att')}', 'pi_2', 'pa', 'alipay', 'qr', 1, 'cny', 'unknown',"
        f" now() + interval '1 hour', '{OLD}')",
        {"nothing_is_unknown_for_long"},
    ),
    "nobody will ask about an open attempt": (
        "INSERT INTO payments.attempts (merchant_id, id, payment_id, provider_account_id, provider,"
        " presentation, amount, currency, status, created_at)"
        f" VALUES (3, '{new_id('att')}', 'pi_2', 'pa', 'alipay', 'qr', 1, 'cny', 'waiting', '{NOW}')",
        {"open_is_looked_after"},
    ),
    "a second payment never went back": (
        "INSERT INTO payments.attempts (merchant_id, id, payment_id, provider_account_id, provider,"
        " presentation, amount, currency, status, created_at)"
        f" VALUES (3, 'att_twice', '{PAYMENT}', 'pa', 'alipay', 'qr', 7, 'cny', 'closed', '{NOW}');"
        " INSERT INTO payments.refunds (merchant_id, id, payment_id, attempt_id, amount, currency,"
        f" status, surplus, created_at) VALUES (3, 're_00twice', '{PAYMENT}', 'att_twice', 7, 'cny',"
        f" 'failed', true, '{OLD}')",
        {"second_payments_go_back", "refunds_are_booked"},
    ),
    "the look-ups stand still": (
        f"UPDATE payments.refunds SET look_up_at = '{OLD}'",
        {"look_ups_are_made"},
    ),
    "a request was never answered": (
        "INSERT INTO runtime.idempotency (merchant_id, key, request_hash, request_id, created_at,"
        f" locked_at) VALUES (3, 'k', '', 'req', '{OLD}', '{OLD}')",
        {"requests_are_answered"},
    ),
    "an endpoint is owed for a day": (
        "INSERT INTO webhooks.endpoints (merchant_id, id, url, enabled_events, sealed_secret,"
        f" created_at) VALUES (3, 'we', 'x', '[]', '', '{OLD}');"
        " INSERT INTO webhooks.deliveries (merchant_id, id, endpoint_id, event_id, status, next_at,"
        f" created_at) VALUES (3, 'd', 'we', 'evt', 'pending', '{OLD}', '{OLD}')",
        {"webhooks_move"},
    ),
    "seals overlap": (
        "INSERT INTO ledger.seals (merchant_id, number, first_journal, last_journal, last_at,"
        f" previous, digests, hash, sealed_at) VALUES (3, 1, 1, 2, '{NOW}', '', '', 'a', '{NOW}'),"
        f" (3, 2, 2, 3, '{NOW}', 'a', '', 'b', '{NOW}')",
        {"seals_chain"},
    ),
    "a hold is past its end": (
        "INSERT INTO ledger.holds (merchant_id, id, account, amount, status, created_at,"
        f" expires_at) VALUES (3, 'h', 3, 5, 'open', '{OLD}', '{OLD}');"
        " UPDATE ledger.accounts SET held = 5 WHERE number = 3",
        {"holds_expire"},
    ),
}  # fmt: skip


async def unhealthy(db: Database) -> dict[str, doctor.Finding]:
    findings = await doctor.examine(db, doctor.everything(datetime.now(UTC)))  # noqa: TID251
    return {finding.check: finding for finding in findings if not finding.is_healthy}


async def test_healthy_books_are_found_healthy(db: Database, owner: asyncpg.Connection) -> None:
    assert not owner.is_closed()
    assert await unhealthy(db) == {}
    assert await doctor.look(db, SystemClock()) == 0


@pytest.mark.parametrize("deed", SABOTAGE)
async def test_each_sickness_is_found(db: Database, owner: asyncpg.Connection, deed: str) -> None:
    sql, expected = SABOTAGE[deed]
    await owner.execute(sql)

    found = await unhealthy(db)

    assert set(found) == expected
    for finding in found.values():
        assert finding.query is not None
        rows = await owner.fetch(finding.query)
        assert len(rows) == finding.rows


def test_every_check_is_proved_by_some_sickness() -> None:
    proved = set().union(*(expected for _, expected in SABOTAGE.values()))
    unprovable = {"charge_is_credited_once"}  # a unique index is in the way

    assert {check.name for check in CHECKS} - proved == unprovable


async def test_what_is_found_on_schedule_rings_through_the_metrics(
    db: Database, owner: asyncpg.Connection
) -> None:
    await owner.execute("UPDATE ledger.accounts SET balance = balance + 1 WHERE number = 3")

    assert await doctor.look(db, SystemClock()) > 0

    text = telemetry.render().decode()
    assert 'tillgate_doctor_violations{check="books_balance"} 1.0' in text
    assert 'tillgate_doctor_violations{check="floors_hold"} 0.0' in text


async def test_the_doctor_does_not_cry_wolf_on_a_busy_ledger(
    db: Database, owner: asyncpg.Connection
) -> None:
    async def traffic() -> None:
        for number in range(150):
            async with db.transaction() as tx:
                line = Line(1, 3, 5) if number % 2 else Line(3, 1, 5)
                await ledger.post(tx, [Journal(TEAHOUSE, f"adjustment:{number}", (line,))], at=NOW)

    running = asyncio.create_task(traffic())
    seen: set[str] = set()
    while not running.done():
        seen |= set(await unhealthy(db))
    await running

    assert not owner.is_closed()
    assert seen <= {"statements_are_written"}


async def test_the_command_prints_the_query_and_fails(
    app_db_url: str, owner: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(database=DatabaseSettings(url=app_db_url, role=""))
    assert await doctor.run(settings) == 0
    assert "0 not healthy" in capsys.readouterr().out
    await owner.execute("UPDATE payments.attempts SET amount_captured = 9000")

    assert await doctor.run(settings) == 1
    assert await doctor.run(settings, json=True) == 1

    table, _, last = capsys.readouterr().out.rstrip().rpartition("\n")
    assert "MONEY   paid_is_booked_once" in table
    assert "LEFT JOIN ledger.lines" in table
    findings = json.loads(last)
    assert findings["healthy"] is False
    assert {one["check"] for one in findings["findings"] if one["rows"]} == {
        "paid_is_booked_once",
        "received_is_captured",
    }
