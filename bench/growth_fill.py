"""Databases of a wanted size, filled through the real tables by SQL, with books that add up.

Ten payments a wallet, one in twenty partly refunded, half of them top-ups; each with its attempt,
its fact, its journal and running balances. What is open, due or unrelayed is about as much in a
small database as in a large one, since that does not pile up. The hashes of the seals alone are
made up.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.migrations import migrate

MERCHANT = 2
ACCOUNT = "pa_alipay"
ENDPOINT = "we_growth"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
#: Pages are asked for these many different objects, all over the history.
SAMPLE = 200
_OPEN = 4_000
_DUE = 200
_REFUNDED = 20
_SEALED = 1_000


@dataclass(frozen=True)
class Size:
    """How much is in one of the databases."""

    name: str
    payments: int

    @property
    def wallets(self) -> int:
        return self.payments // 10

    @property
    def open_every(self) -> int:
        """Every so many payments one is open: its attempt waits."""
        return self.payments // min(_OPEN, self.payments // 25)

    @property
    def open(self) -> int:
        return self.payments // self.open_every

    @property
    def paid(self) -> int:
        return self.payments - self.open

    @property
    def refunds(self) -> int:
        both = math.lcm(_REFUNDED, self.open_every)
        return self.payments // _REFUNDED - self.payments // both

    @property
    def journals(self) -> int:
        return self.paid + self.refunds

    @property
    def receivable(self) -> int:
        """The number of the hot account, which every payment goes through."""
        return 2 * self.wallets + 1

    def sample(self) -> list[int]:
        """Numbers of payments all over the history, always the same ones; none is open."""
        drawn = random.Random(self.payments)
        found: list[int] = []
        while len(found) < SAMPLE:
            number = drawn.randint(self.payments // 100, self.payments)
            if number % self.open_every:
                found.append(number)
        return found

    def wallet_of(self, number: int) -> int:
        return (number - 1) % self.wallets + 1


def identifier(prefix: str, number: int) -> str:
    """Return the id of the n-th object."""
    return f"{prefix}_01k{number:023}"


def _id(prefix: str, number: str) -> str:
    return f"'{prefix}_01k' || lpad(({number})::text, 23, '0')"


def _moment(number: str) -> str:
    return f"(timestamptz '2026-01-01Z' + ({number}) * interval '1 s')"


async def fill(postgres: EmbeddedPostgres, size: Size) -> None:
    """Make and fill a database; two tables at a time, secondary indexes afterwards."""
    postgres.ensure_database(size.name)
    await migrate(postgres.dsn(size.name))
    waiting = list(_tables(size).items())

    async def work() -> None:
        connection = await asyncpg.connect(postgres.dsn(size.name))
        await connection.execute("SET maintenance_work_mem = '512MB'; SET synchronous_commit = off")
        while waiting:
            await _fill_table(connection, *waiting.pop(0))
        await connection.close()

    await asyncio.gather(work(), work())
    connection = await asyncpg.connect(postgres.dsn(size.name))
    await connection.execute(_small_tables(size), timeout=3600)
    await connection.execute("ANALYZE", timeout=3600)
    await connection.execute("CHECKPOINT", timeout=3600)
    await connection.close()


async def _fill_table(connection: asyncpg.Connection, table: str, select: str) -> None:
    schema, _, name = table.partition(".")
    indexes = await connection.fetch(
        "SELECT schemaname || '.' || indexname AS name, indexdef FROM pg_indexes i"
        " WHERE schemaname = $1 AND tablename = $2 AND NOT EXISTS (SELECT FROM pg_constraint c"
        " WHERE c.conname = i.indexname AND c.connamespace = $1::text::regnamespace)",
        schema,
        name,
    )
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    # What is written to a table emptied in the same transaction needs no WAL (wal_level minimal).
    async with connection.transaction():
        await connection.execute(f"TRUNCATE {table}")
        await connection.execute(f"INSERT INTO {table} {select}", timeout=3600)
    for index in indexes:
        await connection.execute(index["indexdef"], timeout=3600)


def _tables(size: Size) -> dict[str, str]:
    return {
        "payments.payments": _payments(size),
        "payments.attempts": _attempts(size),
        "runtime.facts": _facts(size),
        "runtime.unrelayed": _unrelayed(size),
        "ledger.lines": _lines(size),
        "topups.top_ups": _top_ups(size),
        "wallets.transactions": _transactions(size),
        "ledger.accounts": _accounts(size),
        "payments.refunds": _refunds(size),
        "wallets.wallets": _wallets(size),
        "customers.customers": _customers(size),
        "webhooks.deliveries": _deliveries(size),
        "runtime.notices": _notices(size),
        "runtime.idempotency": _idempotency(size),
    }


def _payments(size: Size) -> str:
    wallet, every = f"(n - 1) % {size.wallets} + 1", size.open_every
    return f"""
        (merchant_id, id, amount, currency, status, customer_id, method_types, payment_method,
        pay_into, subject, amount_received, amount_refunded, latest_attempt, open_attempt, attempts,
        client_secret, created_at)
        SELECT {MERCHANT}, {_id("pi", "n")}, 10, 'cny',
            CASE WHEN n % {every} = 0 THEN 'requires_action' ELSE 'succeeded' END,
            {_id("cus", wallet)}, '["alipay"]', 'alipay', 2 * ({wallet}) - 1, {_id("top", "n")},
            CASE WHEN n % {every} = 0 THEN 0 ELSE 10 END,
            CASE WHEN n % {every} <> 0 AND n % {_REFUNDED} = 0 THEN 1 ELSE 0 END,
            {_id("att", "n")}, CASE WHEN n % {every} = 0 THEN {_id("att", "n")} END, 1,
            {_id("pi", "n")} || '_secret_0123456789abcdefghjkmnpq', {_moment("n")}
        FROM generate_series(1, {size.payments}) n"""


def _attempts(size: Size) -> str:
    every = size.open_every
    due = every * max(size.open // _DUE, 1)
    return f"""
        (merchant_id, id, payment_id, provider_account_id, provider, presentation, amount, currency,
        status, reference, amount_captured, amount_refunded, look_up_at, created_at, paid_at)
        SELECT {MERCHANT}, {_id("att", "n")}, {_id("pi", "n")}, '{ACCOUNT}', 'alipay', 'qr', 10,
            'cny', CASE WHEN n % {every} = 0 THEN 'waiting' ELSE 'paid' END,
            CASE WHEN n % {every} <> 0 THEN '2026010122001' || lpad(n::text, 15, '0') END,
            CASE WHEN n % {every} = 0 THEN 0 ELSE 10 END,
            CASE WHEN n % {every} <> 0 AND n % {_REFUNDED} = 0 THEN 1 ELSE 0 END,
            CASE WHEN n % {due} = 0 THEN {_moment("n")}
                WHEN n % {every} = 0 THEN timestamptz '2100-01-01' END,
            {_moment("n")}, CASE WHEN n % {every} <> 0 THEN {_moment("n")} END
        FROM generate_series(1, {size.payments}) n"""


def _facts(size: Size) -> str:
    return f"""
        (merchant_id, id, name, object_id, sequence, data, at)
        SELECT {MERCHANT}, {_id("evt", "n")}, CASE WHEN n % 10 = 0 THEN 'attempt.succeeded' ELSE
            'payment.succeeded' END, {_id("pi", "n")}, 3, convert_to('{{"id":"' || {_id("pi", "n")}
            || '","amount":10,"currency":"cny","status":"succeeded","method_types":["alipay"]}}',
            'UTF8'), {_moment("n")}
        FROM generate_series(1, {size.payments}) n"""


def _unrelayed(size: Size) -> str:
    every = max(size.payments // _DUE, 1)
    return f"""
        (merchant_id, id, ids, names, at) SELECT {MERCHANT}, {_id("evt", "n")},
            ARRAY[{_id("evt", "n")}], ARRAY['payment.succeeded'], {_moment("n")}
        FROM generate_series({every}, {size.payments}, {every}) n"""


def _lines(size: Size) -> str:
    wallets, every = size.wallets, size.open_every
    both = math.lcm(_REFUNDED, every)
    return f"""
        (merchant_id, journal, line, cause, currency, debit, credit, amount, debit_after,
        credit_after, at)
        SELECT {MERCHANT}, n - n / {every}, 0, 'payment:' || {_id("att", "n")}, 'cny',
            {size.receivable}, 2 * ((n - 1) % {wallets} + 1) - 1, 10, -10 * (n - n / {every}),
            10 * ((n - 1) / {wallets} + 1), {_moment(f"n - n / {every}")}
        FROM generate_series(1, {size.payments}::bigint) n WHERE n % {every} <> 0
        UNION ALL SELECT {MERCHANT}, {size.paid} + r, 0, 'refund:' || {_id("re", "n")}, 'cny',
            2 * ((n - 1) % {wallets} + 1) - 1, {size.receivable} + 1, 1,
            100 - ((n - 1) / {wallets} + 1), r, {_moment(f"{size.paid} + r")}
        FROM (SELECT n, n / {_REFUNDED} - n / {both} AS r FROM
            generate_series({_REFUNDED}, {size.payments}::bigint, {_REFUNDED}) n) refunded
        WHERE n % {every} <> 0"""


def _refunds(size: Size) -> str:
    wallet = f"(n - 1) % {size.wallets} + 1"
    return f"""
        (merchant_id, id, payment_id, attempt_id, amount, currency, status, take_back, created_at)
        SELECT {MERCHANT}, {_id("re", "n")}, {_id("pi", "n")}, {_id("att", "n")}, 1, 'cny',
            'succeeded', jsonb_build_array(jsonb_build_array(2 * ({wallet}) - 1,
            {size.receivable} + 1, 1)), {_moment("n")}
        FROM generate_series({_REFUNDED}, {size.payments}, {_REFUNDED}) n
        WHERE n % {size.open_every} <> 0"""


def _top_ups(size: Size) -> str:
    wallet = f"(n - 1) % {size.wallets} + 1"
    return f"""
        (merchant_id, id, wallet_id, customer_id, payment_id, amount, currency, created_at)
        SELECT {MERCHANT}, {_id("top", "n")}, {_id("wal", wallet)}, {_id("cus", wallet)},
            {_id("pi", "n")}, 10, 'cny', {_moment("n")}
        FROM generate_series(1, {size.payments}) n WHERE (n - 1) / {size.wallets} % 2 = 1"""


def _transactions(size: Size) -> str:
    wallet, every = f"(n - 1) % {size.wallets} + 1", size.open_every
    return f"""
        (merchant_id, id, wallet_id, journal, type, amount, principal_amount, bonus_amount,
        currency, cause, source, created_at)
        SELECT {MERCHANT}, {_id("wtx", "n")}, {_id("wal", wallet)}, n - n / {every}, 'top_up', 10,
            10, 0, 'cny', 'payment:' || {_id("att", "n")}, {_id("top", "n")}, {_moment("n")}
        FROM generate_series(1, {size.payments}) n
        WHERE n % {every} <> 0 AND (n - 1) / {size.wallets} % 2 = 1"""


def _accounts(size: Size) -> str:
    paid = f"n % {size.open_every} <> 0"
    code = f"'wallet:' || {_id('wal', 'n')} ||"
    return f"""
        (merchant_id, number, code, currency, normal_side, floor, balance, created_at)
        SELECT {MERCHANT}, 2 * n - b, {code} CASE WHEN b = 1 THEN ':principal' ELSE ':bonus' END,
            'cny', 'credit', 0, CASE WHEN b = 1 AND {paid} THEN CASE WHEN n % {_REFUNDED} = 0
                THEN 90 ELSE 100 END ELSE 0 END, timestamptz '2026-01-01Z'
        FROM generate_series(1, {size.wallets}) n CROSS JOIN generate_series(1, 0, -1) b
        UNION ALL SELECT {MERCHANT}, {size.receivable} + number, code, 'cny', side, NULL, balance,
            timestamptz '2026-01-01Z' FROM (VALUES
            (0, 'provider:alipay:{ACCOUNT}:receivable', 'debit', -10::bigint * {size.paid}),
            (1, 'provider:alipay:{ACCOUNT}:refunds', 'credit', {size.refunds}),
            (2, 'sales', 'credit', 0), (3, 'suspense:second_payment', 'credit', 0)
        ) others (number, code, side, balance)"""


def _wallets(size: Size) -> str:
    return f"""
        (merchant_id, id, customer_id, currency, principal_account, bonus_account, created_at)
        SELECT {MERCHANT}, {_id("wal", "n")}, {_id("cus", "n")}, 'cny', 2 * n - 1, 2 * n,
            {_moment("n")} FROM generate_series(1, {size.wallets}) n"""


def _customers(size: Size) -> str:
    return f"""
        (merchant_id, id, email, name, created_at)
        SELECT {MERCHANT}, {_id("cus", "n")}, 'c' || n || '@example.com', 'Customer ' || n,
            {_moment("n")} FROM generate_series(1, {size.wallets}) n"""


def _deliveries(size: Size) -> str:
    pending = f"n % {10 * max(size.wallets // _DUE, 1)} = 0"
    return f"""
        (merchant_id, id, endpoint_id, event_id, status, tries, next_at, last_status, created_at,
        delivered_at)
        SELECT {MERCHANT}, {_id("whd", "n")}, '{ENDPOINT}', {_id("evt", "n")},
            CASE WHEN {pending} THEN 'pending' ELSE 'delivered' END, 1,
            CASE WHEN {pending} THEN {_moment("n")} END, 200, {_moment("n")},
            CASE WHEN {pending} THEN NULL ELSE {_moment("n")} END
        FROM generate_series(10, {size.payments}, 10) n"""


def _notices(size: Size) -> str:
    waiting = f"n % {10 * max(size.wallets // _DUE, 1)} = 0"
    return f"""
        (merchant_id, id, provider_account_id, headers, body, received_at, status, tries, next_at)
        SELECT {MERCHANT}, {_id("ntc", "n")}, '{ACCOUNT}',
            '{{"content-type": "application/x-www-form-urlencoded"}}', convert_to('out_trade_no='
            || {_id("att", "n")} || '&trade_status=TRADE_SUCCESS&total_amount=0.10', 'UTF8'),
            {_moment("n")}, CASE WHEN {waiting} THEN 'received' ELSE 'applied' END, 1,
            CASE WHEN {waiting} THEN {_moment("n")} END
        FROM generate_series(10, {size.payments}, 10) n"""


def _idempotency(size: Size) -> str:
    return f"""
        (merchant_id, key, request_hash, request_id, object_id, status, body, created_at, locked_at)
        SELECT {MERCHANT}, 'key-' || lpad(n::text, 20, '0'), sha256('x'), {_id("req", "n")},
            {_id("pi", "n")}, 200, convert_to('{{"id":"' || {_id("pi", "n")} || '"}}', 'UTF8'),
            {_moment("n")}, {_moment("n")}
        FROM generate_series(30, {size.payments}, 30) n"""


def _small_tables(size: Size) -> str:
    last = f"least(s * {_SEALED}, {size.journals})"
    return f"""
        INSERT INTO ledger.books (merchant_id, last_journal, last_account, last_at)
        VALUES ({MERCHANT}, {size.journals}, {size.receivable + 3}, {_moment(str(size.journals))});
        INSERT INTO ledger.seals (merchant_id, number, first_journal, last_journal, last_at,
            previous, digests, hash, sealed_at)
        SELECT {MERCHANT}, s, (s - 1) * {_SEALED} + 1, {last}, {_moment(last)}, '', '',
            sha256(int4send(s)), {_moment(last)}
        FROM generate_series(1, {-(-size.journals // _SEALED)}) s;
        INSERT INTO webhooks.endpoints (merchant_id, id, url, enabled_events, sealed_secret,
            created_at)
        VALUES ({MERCHANT}, '{ENDPOINT}', 'https://shop.example/hooks', '["*"]', '',
            timestamptz '2026-01-01Z')"""
