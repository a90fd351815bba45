"""What is asked at both sizes: pages of the API, the worker's looks, and the money path.

Each question is about one payment somewhere in the history (its number), or about what belongs to
it: its wallet, its customer, the page that begins after it.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import count

from bench.growth_fill import ACCOUNT, ENDPOINT, EPOCH, MERCHANT, Size, identifier
from tillgate.api import books
from tillgate.connectors import port
from tillgate.entry.subscriptions import CATALOGUE
from tillgate.kernel.clock import SystemClock
from tillgate.kernel.ids import new_id
from tillgate.kernel.money import CURRENCIES, Money
from tillgate.kernel.paging import Page
from tillgate.ledger import queries as ledger
from tillgate.ledger import store as ledger_store
from tillgate.payments import commands, outcomes, queries
from tillgate.payments import store as payment_store
from tillgate.payments.model import Confirmation, Heard, NewPayment, Trace
from tillgate.payments.shown import CHARGED
from tillgate.runtime import fact_log, idempotency, notices, outbox
from tillgate.runtime.db import Database, Tx
from tillgate.topups import queries as topups
from tillgate.wallets import queries as wallets
from tillgate.webhooks import queries as webhooks

Question = Callable[[Tx, Size, int], Awaitable[object]]

_LOOK_UPS = commands.LookUps(2.0, 60.0)
_ROUTE = commands.Route(ACCOUNT, "alipay", None)
_AT_ONCE = 5
_numbers = count(1)
_open: dict[str, list[int]] = {}


def _now() -> datetime:
    return SystemClock().now()


def _after(prefix: str, number: int) -> Page:
    return Page(after=identifier(prefix, number))


# The ledger ----------------------------------------------------------------------------------


async def ledger_balance(tx: Tx, size: Size, number: int) -> object:
    return await ledger.account(tx, MERCHANT, 2 * size.wallet_of(number) - 1)


async def ledger_journal_by_cause(tx: Tx, _: Size, number: int) -> object:
    return await ledger_store.select_journals(
        tx, [(MERCHANT, f"payment:{identifier('att', number)}")]
    )


async def ledger_statement_of_hot_account(tx: Tx, size: Size, number: int) -> object:
    return await ledger.movements(
        tx, MERCHANT, [size.receivable], before=size.journals * number // size.payments, limit=20
    )


async def ledger_balances_as_of(tx: Tx, size: Size, number: int) -> object:
    at = EPOCH + timedelta(seconds=number * size.journals // size.payments)
    numbers = [2 * size.wallet_of(number) - 1, size.receivable]
    return await ledger.balances_as_of(tx, MERCHANT, numbers, at)


async def balance(tx: Tx, _: Size, __: int) -> object:
    return await books._provider_accounts(tx, MERCHANT)  # noqa: SLF001  what GET /v1/balance asks


async def balance_transactions(tx: Tx, size: Size, _: int) -> object:
    return await _balance_transactions(tx, size, Page())


async def balance_transactions_after(tx: Tx, size: Size, number: int) -> object:
    journal = size.journals * number // size.payments
    return await _balance_transactions(tx, size, Page(after=f"txn_{journal:012d}"))


async def _balance_transactions(tx: Tx, _: Size, page: Page) -> object:
    numbers = [one.number for one in await books._provider_accounts(tx, MERCHANT)]  # noqa: SLF001
    wanted = books.ListBalanceTransactions()
    return await books._moving(tx, MERCHANT, numbers, page, wanted)  # noqa: SLF001


# Wallets and top-ups -------------------------------------------------------------------------


async def wallet(tx: Tx, size: Size, number: int) -> object:
    return await wallets.wallet(tx, MERCHANT, identifier("wal", size.wallet_of(number)))


async def wallet_statement(tx: Tx, size: Size, number: int) -> object:
    return await wallets.statement(tx, MERCHANT, identifier("wal", size.wallet_of(number)))


async def wallets_after(tx: Tx, size: Size, number: int) -> object:
    return await wallets.wallets(tx, MERCHANT, after=identifier("wal", size.wallet_of(number)))


async def top_ups_of_wallet(tx: Tx, size: Size, number: int) -> object:
    return await topups.top_up_page(
        tx, MERCHANT, Page(), wallet_id=identifier("wal", size.wallet_of(number))
    )


async def top_ups_after(tx: Tx, _: Size, number: int) -> object:
    return await topups.top_up_page(tx, MERCHANT, _after("top", number))


# Payments ------------------------------------------------------------------------------------


async def payments_first(tx: Tx, _: Size, __: int) -> object:
    return await queries.payment_page(tx, MERCHANT, Page())


async def payments_after(tx: Tx, _: Size, number: int) -> object:
    return await queries.payment_page(tx, MERCHANT, _after("pi", number))


async def payments_before(tx: Tx, _: Size, number: int) -> object:
    return await queries.payment_page(tx, MERCHANT, Page(before=identifier("pi", number - 20)))


async def payments_of_customer(tx: Tx, size: Size, number: int) -> object:
    customer = identifier("cus", size.wallet_of(number))
    return await queries.payment_page(tx, MERCHANT, Page(), customer_id=customer)


async def payment(tx: Tx, _: Size, number: int) -> object:
    return await queries.payment(tx, MERCHANT, identifier("pi", number))


async def charge(tx: Tx, _: Size, number: int) -> object:
    return await queries.charge(tx, MERCHANT, identifier("att", number))


async def charges_first(tx: Tx, _: Size, __: int) -> object:
    return await queries.charge_page(tx, MERCHANT, Page(), statuses=CHARGED)


async def charges_after(tx: Tx, _: Size, number: int) -> object:
    return await queries.charge_page(tx, MERCHANT, _after("att", number), statuses=CHARGED)


async def charges_of_payment(tx: Tx, _: Size, number: int) -> object:
    return await queries.charge_page(
        tx, MERCHANT, Page(), statuses=CHARGED, payment_id=identifier("pi", number)
    )


async def charges_of_customer(tx: Tx, size: Size, number: int) -> object:
    customer = identifier("cus", size.wallet_of(number))
    return await queries.charge_page(tx, MERCHANT, Page(), statuses=CHARGED, customer_id=customer)


async def refunds_first(tx: Tx, _: Size, __: int) -> object:
    return await queries.refund_page(tx, MERCHANT, Page())


async def refunds_after(tx: Tx, _: Size, number: int) -> object:
    return await queries.refund_page(tx, MERCHANT, _after("re", number))


async def refunds_of_payment(tx: Tx, _: Size, number: int) -> object:
    return await queries.refund_page(
        tx, MERCHANT, Page(), payment_id=identifier("pi", number // 20 * 20)
    )


async def refunds_of_charge(tx: Tx, _: Size, number: int) -> object:
    return await queries.refund_page(
        tx, MERCHANT, Page(), attempt_id=identifier("att", number // 20 * 20)
    )


# Events and webhooks -------------------------------------------------------------------------


async def events_first(tx: Tx, _: Size, __: int) -> object:
    return await _events(tx, Page())


async def events_after(tx: Tx, _: Size, number: int) -> object:
    return await _events(tx, _after("evt", number))


async def events_of_rare_type(tx: Tx, _: Size, __: int) -> object:
    return await fact_log.select_page(tx, MERCHANT, Page(), names=["customer.deleted"])


async def events_of_object(tx: Tx, _: Size, number: int) -> object:
    return await fact_log.select_page(
        tx, MERCHANT, Page(), names=list(CATALOGUE), object_id=identifier("pi", number)
    )


async def _events(tx: Tx, page: Page) -> object:
    found = await fact_log.select_page(tx, MERCHANT, page, names=list(CATALOGUE), nearly_all=True)
    return await webhooks.pending(tx, MERCHANT, [fact.id for fact in found.data])


async def deliveries_first(tx: Tx, _: Size, __: int) -> object:
    return await webhooks.deliveries(tx, MERCHANT, Page())


async def deliveries_of_endpoint(tx: Tx, _: Size, number: int) -> object:
    return await webhooks.deliveries(tx, MERCHANT, _after("whd", number), endpoint_id=ENDPOINT)


async def deliveries_abandoned(tx: Tx, _: Size, __: int) -> object:
    return await webhooks.deliveries(tx, MERCHANT, Page(), status="abandoned")


# The worker's looks --------------------------------------------------------------------------


async def due_attempts(tx: Tx, _: Size, __: int) -> object:
    return await payment_store.attempts.select_due(tx, _now(), 100)


async def due_payments(tx: Tx, _: Size, __: int) -> object:
    return await payment_store.select_overdue_payments(tx, _now(), 100)


async def due_notices(tx: Tx, _: Size, __: int) -> object:
    return await notices.due(tx, _now(), 100)


async def due_deliveries(tx: Tx, _: Size, __: int) -> object:
    return await webhooks.queues_due(tx, at=_now())


# The money path, committed -------------------------------------------------------------------


async def idempotency_keys(tx: Tx, _: Size, __: int) -> object:
    asked = [
        idempotency.Asked(MERCHANT, f"growth-{next(_numbers):020}", b"x" * 32, new_id("req"))
        for _ in range(_AT_ONCE)
    ]
    known = await idempotency.select_rows(tx, asked)
    done = [(one, idempotency.Stored(200, b"{}")) for one in asked]
    return known, idempotency.insert_finished(tx, done, _now())


async def open_payments(tx: Tx, size: Size, number: int) -> object:
    openings = [_opening(size, size.wallet_of(number + offset)) for offset in range(_AT_ONCE)]
    return await commands.open_payments(tx, openings, at=_now(), look_ups=_LOOK_UPS)


def _opening(size: Size, wallet_number: int) -> commands.Opening:
    order = NewPayment(
        merchant_id=MERCHANT,
        id=new_id("pi"),
        amount=10,
        currency="cny",
        method_types=["alipay"],
        customer_id=identifier("cus", wallet_number),
        pay_into=2 * wallet_number - 1,
        confirmation=Confirmation(method="alipay", presentation="qr"),
    )
    assert wallet_number <= size.wallets
    return commands.Opening(order, _ROUTE, Trace())


async def record_outcomes(tx: Tx, size: Size, _: int) -> object:
    """Open attempts all over the history are paid: rows locked, booked, said."""
    drawn = _open.setdefault(size.name, open_numbers(size))
    assert len(drawn) >= _AT_ONCE, "no attempt is left that is open"
    heard = [_paid(drawn.pop()) for _ in range(_AT_ONCE)]
    found = await outcomes.record_outcomes(tx, heard, at=_now(), look_ups=_LOOK_UPS)
    assert all(getattr(one, "payment", None) for one in found), "an attempt was not found"
    return found


async def unrelayed_facts(tx: Tx, _: Size, __: int) -> object:
    """The relay takes what waits longest, and reads what it says."""
    (merchant,) = await outbox.merchants_waiting(tx)
    claimed = await outbox.claim(tx, merchant, _AT_ONCE)
    assert claimed, "nothing waits any more"
    return await fact_log.select_facts(tx, merchant, [fact.id for fact in claimed])


def open_numbers(size: Size) -> list[int]:
    """Return the payments that are open, in no order."""
    numbers = list(range(size.open_every, size.payments + 1, size.open_every))
    return random.Random(1).sample(numbers, len(numbers))


async def rehearse(db: Database, size: Size, askings: int) -> None:
    """Write what so many `record_outcomes` will write, and undo it.

    The first write to a page since a checkpoint costs a copy of it, and the more so the fewer rows
    of a page are written to; of the pages of an index, too.
    """
    drawn = _open.setdefault(size.name, open_numbers(size))
    for asking in range(askings):
        last = len(drawn) - asking * _AT_ONCE
        heard = [_paid(number) for number in drawn[last - _AT_ONCE : last]]
        with contextlib.suppress(_Undone):
            async with db.transaction() as tx:
                await outcomes.record_outcomes(tx, heard, at=_now(), look_ups=_LOOK_UPS)
                await tx.flush()
                raise _Undone


class _Undone(Exception):
    """It was a rehearsal."""


def _paid(number: int) -> Heard:
    reference = f"growth{number:020}"
    outcome = port.Paid(reference, Money(10, CURRENCIES["cny"]))
    return Heard(merchant_id=MERCHANT, attempt_id=identifier("att", number), outcome=outcome)


READS: list[Question] = [
    ledger_balance,
    ledger_journal_by_cause,
    ledger_statement_of_hot_account,
    ledger_balances_as_of,
    balance,
    balance_transactions,
    balance_transactions_after,
    wallet,
    wallet_statement,
    wallets_after,
    top_ups_of_wallet,
    top_ups_after,
    payment,
    payments_first,
    payments_after,
    payments_before,
    payments_of_customer,
    charge,
    charges_first,
    charges_after,
    charges_of_payment,
    charges_of_customer,
    refunds_first,
    refunds_after,
    refunds_of_payment,
    refunds_of_charge,
    events_first,
    events_after,
    events_of_rare_type,
    events_of_object,
    deliveries_first,
    deliveries_of_endpoint,
    deliveries_abandoned,
    due_attempts,
    due_payments,
    due_notices,
    due_deliveries,
]
WRITES: list[Question] = [idempotency_keys, open_payments, record_outcomes, unrelayed_facts]
