"""HTTP: the merchant's ledger accounts and entries, and its balance in Stripe's words.

The ledger knows no HTTP, so its face stands here. The balance is what the providers owe the
merchant, less refunds ordered and not yet made; a balance transaction is what one journal did to
that. All of it is pending: the providers have the money, and that they paid it out is in no
account of these books until their bills are reconciled. Until then fees are zero, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tillgate.kernel.clock import from_unix, unix
from tillgate.kernel.ids import with_prefix
from tillgate.kernel.paging import Page, Rows
from tillgate.ledger import queries as ledger
from tillgate.ledger.errors import AccountNotFound
from tillgate.ledger.model import Account, AccountsWanted, Movement
from tillgate.runtime.db import Database, Tx
from tillgate.web.listing import (
    CursorRequest,
    IsThere,
    ListOf,
    ListRequest,
    cut,
    read_page,
    show_list,
)
from tillgate.web.operation import Call, NoSuchObject, Operation, operation
from tillgate.web.reading import CurrencyCode, Id, Nothing, Request, Unix

_MOST_PROVIDER_ACCOUNTS = 500
_LAST_JOURNAL = 1 << 62


class ListAccounts(CursorRequest, frozen=True, kw_only=True):
    """Ledger accounts, newest first; `code` is the beginning of their codes."""

    code: Annotated[str, Meta(max_length=120)] | None = None
    currency: CurrencyCode | None = None


class RetrieveStanding(Request, frozen=True, kw_only=True):
    """Where an account stood at a moment."""

    at: Unix


class ListEntries(CursorRequest, frozen=True, kw_only=True):
    """Entries of one account, newest first."""

    account: Id


class ListBalanceTransactions(ListRequest, frozen=True, kw_only=True):
    """Balance transactions, newest first."""

    currency: CurrencyCode | None = None
    source: Id | None = None
    type: Annotated[str, Meta(max_length=40)] | None = None


class RetrieveBalance(Request, frozen=True, kw_only=True):
    """The balance takes no parameters."""


class ShownAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger account; `balance` is credits minus debits."""

    id: str
    object: str = "ledger_account"
    available: int
    balance: int
    code: str
    created: int
    currency: str
    floor: int | None
    held: int
    livemode: bool
    normal_side: str


class ShownStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Where a ledger account stood at a moment."""

    object: str = "ledger_balance"
    account: str
    at: int
    balance: int
    code: str
    currency: str
    journal: int
    livemode: bool


class ShownEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What one journal did to one account; plus is a credit."""

    id: str
    object: str = "ledger_entry"
    account: str
    amount: int
    balance_after: int
    cause: str
    created: int
    currency: str
    journal: int
    livemode: bool


class ShownFunds(msgspec.Struct, frozen=True, kw_only=True):
    """An amount in one currency, by where it comes from."""

    amount: int
    currency: str
    source_types: dict[str, int]


class ShownBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What the providers owe the merchant: all of it pending until settlements are booked."""

    object: str = "balance"
    available: list[ShownFunds]
    connect_reserved: list[ShownFunds]
    instant_available: list[ShownFunds]
    livemode: bool
    pending: list[ShownFunds]
    refund_and_dispute_prefunding: None = None


class ShownBalanceTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """What one journal did to the merchant's balance."""

    id: str
    object: str = "balance_transaction"
    amount: int
    available_on: int | None = None
    balance_type: str = "payments"
    created: int
    currency: str
    description: str | None
    exchange_rate: None = None
    fee: int = 0
    fee_details: list[dict[str, Any]]
    net: int
    reporting_category: str
    source: str | None
    status: str = "pending"
    type: str


class Routes:
    """The handlers."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def balance(self, call: Call, _: RetrieveBalance) -> ShownBalance:
        async with self._db.transaction(readonly=True) as tx:
            accounts = await _provider_accounts(tx, call.merchant_id)
        return show_balance(accounts, livemode=call.livemode)

    async def list_transactions(
        self, call: Call, body: ListBalanceTransactions
    ) -> ListOf[ShownBalanceTransaction]:
        async with self._db.transaction(readonly=True) as tx:
            accounts = await _provider_accounts(tx, call.merchant_id)
            page = await read_page(
                body,
                "txn",
                "balance_transaction",
                _moved(tx, call.merchant_id, [account.number for account in accounts], "txn"),
            )
            numbers = [one.number for one in accounts if body.currency in {None, one.currency}]
            found = await _moving(tx, call.merchant_id, numbers, page, body)
        return show_list(call, found, show_transaction)

    async def transaction(self, call: Call, _: Nothing) -> ShownBalanceTransaction:
        return await self.show(call, call.id)

    async def show(self, call: Call, name: str) -> ShownBalanceTransaction:
        """Show one balance transaction of the caller."""
        journal = _number("txn", name)
        async with self._db.transaction(readonly=True) as tx:
            numbers = [one.number for one in await _provider_accounts(tx, call.merchant_id)]
            found = await ledger.movements(
                tx, call.merchant_id, numbers, before=journal + 1, limit=1
            )
        if not found or found[0].journal != journal:
            raise NoSuchObject(name)
        return show_transaction(found[0])

    async def accounts(self, call: Call, body: ListAccounts) -> ListOf[ShownAccount]:
        async with self._db.transaction(readonly=True) as tx:

            async def is_there(cursor: str) -> bool:
                number = _number_in("la", cursor)
                return number is not None and await ledger.is_account(tx, call.merchant_id, number)

            page = await read_page(body, "la", "ledger_account", is_there)
            after, before = _cursors("la", page)
            wanted = AccountsWanted(
                after=after,
                before=before,
                prefix=body.code or "",
                currency=body.currency,
                limit=page.limit + 1,
            )
            found = await ledger.account_page(tx, call.merchant_id, wanted)
        livemode = call.livemode
        return show_list(call, cut(found, page), lambda one: show_account(one, livemode=livemode))

    async def account(self, call: Call, _: Nothing) -> ShownAccount:
        async with self._db.transaction(readonly=True) as tx:
            found = await _account(tx, call.merchant_id, call.id)
        return show_account(found, livemode=call.livemode)

    async def standing(self, call: Call, body: RetrieveStanding) -> ShownStanding:
        # Moments are shown in whole seconds, so a second is past when all of it is.
        moment = from_unix(body.at).replace(microsecond=999_999)
        async with self._db.transaction(readonly=True) as tx:
            account = await _account(tx, call.merchant_id, call.id)
            standing = await ledger.standing_as_of(tx, call.merchant_id, account.number, moment)
        return ShownStanding(
            account=call.id,
            at=body.at,
            balance=standing.balance,
            code=account.code,
            currency=account.currency,
            journal=standing.journal,
            livemode=call.livemode,
        )

    async def entries(self, call: Call, body: ListEntries) -> ListOf[ShownEntry]:
        async with self._db.transaction(readonly=True) as tx:
            account = await _account(tx, call.merchant_id, body.account, param="account")
            page = await read_page(
                body, "le", "ledger_entry", _moved(tx, call.merchant_id, [account.number], "le")
            )
            older, newer = _cursors("le", page)
            found = await ledger.movements(
                tx,
                call.merchant_id,
                [account.number],
                before=older,
                after=newer,
                limit=page.limit + 1,
            )
        number, livemode = account.number, call.livemode
        return show_list(
            call, cut(found, page), lambda one: show_entry(one, number, livemode=livemode)
        )

    def operations(self) -> Sequence[Operation]:
        """Return the rows of the books."""
        account, entry, transaction = ShownAccount, ShownEntry, ShownBalanceTransaction
        return (
            operation(
                "GET", "/v1/balance", RetrieveBalance, ShownBalance, self.balance,
                "Retrieve the balance",
            ),
            operation(
                "GET", "/v1/balance_transactions", ListBalanceTransactions, ListOf[transaction],
                self.list_transactions, "List balance transactions",
            ),
            operation(
                "GET", "/v1/balance_transactions/{transaction}", Nothing, transaction,
                self.transaction, "Retrieve a balance transaction",
            ),
            operation(
                "GET", "/v1/ledger_accounts", ListAccounts, ListOf[account], self.accounts,
                "List ledger accounts",
            ),
            operation(
                "GET", "/v1/ledger_accounts/{account}", Nothing, account, self.account,
                "Retrieve a ledger account",
            ),
            operation(
                "GET", "/v1/ledger_accounts/{account}/balance", RetrieveStanding, ShownStanding,
                self.standing, "Retrieve the balance of a past moment",
                description="Read off the running balances, however long ago it was.",
            ),
            operation(
                "GET", "/v1/ledger_entries", ListEntries, ListOf[entry], self.entries,
                "List an account's entries",
                description="Every entry carries the balance of its account right after it.",
            ),
        )  # fmt: skip


async def _provider_accounts(tx: Tx, merchant_id: int) -> list[Account]:
    wanted = AccountsWanted(prefix="provider:", limit=_MOST_PROVIDER_ACCOUNTS)
    found = await ledger.account_page(tx, merchant_id, wanted)
    return [one for one in found if one.code.endswith((":receivable", ":refunds"))]


async def _moving(
    tx: Tx, merchant_id: int, numbers: list[int], page: Page, body: ListBalanceTransactions
) -> Rows[Movement]:
    """Return a page of movements that changed the balance and fit the filters."""
    kept: list[Movement] = []
    older, newer = _cursors("txn", page)
    low, high = await _range(tx, merchant_id, page)
    backwards = newer is not None
    after = None if backwards else min(high, older or high)
    before = None if newer is None else max(low, newer)
    while numbers and len(kept) <= page.limit:
        found = await ledger.movements(
            tx, merchant_id, numbers, before=after, after=before, limit=100
        )
        fitting = [one for one in found if low < one.journal < high and fits(one, body)]
        kept = fitting + kept if backwards else kept + fitting
        if len(found) < 100 or not low < found[0 if backwards else -1].journal < high:
            break
        after, before = (None, found[0].journal) if backwards else (found[-1].journal, None)
    return cut(kept, page)


async def _range(tx: Tx, merchant_id: int, page: Page) -> tuple[int, int]:
    """Return the journals between which (exclusive) the page's range of moments lies."""
    plain, instant = Page(), timedelta(microseconds=1)
    low, high = 0, _LAST_JOURNAL
    if page.created_from != plain.created_from:
        low = await ledger.journal_at(tx, merchant_id, page.created_from - instant)
    if page.created_to != plain.created_to:
        high = await ledger.journal_at(tx, merchant_id, page.created_to - instant) + 1
    return low, high


def fits(movement: Movement, body: ListBalanceTransactions) -> bool:
    """Whether a movement changed the balance and is what the list asks for."""
    if change_of(movement) == 0:
        return False
    shown = show_transaction(movement)
    return body.source in {None, shown.source} and body.type in {None, shown.type}


def change_of(movement: Movement) -> int:
    """What a movement did to the balance: the accounts are debit accounts, so the other sign."""
    return -sum(movement.amounts.values())


async def _account(tx: Tx, merchant_id: int, name: str, *, param: str = "id") -> Account:
    number = _number("la", name, param=param)
    try:
        return await ledger.account(tx, merchant_id, number)
    except AccountNotFound:
        raise NoSuchObject(name, param=param) from None


def _moved(tx: Tx, merchant_id: int, numbers: list[int], prefix: str) -> IsThere:
    """Return what asks whether a cursor names a journal that moved one of these accounts."""

    async def is_there(cursor: str) -> bool:
        journal = _number_in(prefix, cursor)
        return journal is not None and await ledger.has_moved(tx, merchant_id, numbers, journal)

    return is_there


def _number(prefix: str, name: str, *, param: str = "id") -> int:
    number = _number_in(prefix, name)
    if number is None:
        raise NoSuchObject(name, param=param)
    return number


def _number_in(prefix: str, name: str | None) -> int | None:
    found = re.fullmatch(rf"{prefix}_([0-9]{{1,15}})", name or "")
    return None if found is None else int(found.group(1))


def _cursors(prefix: str, page: Page) -> tuple[int | None, int | None]:
    """Return the numbers the page begins after and ends before."""
    return _number_in(prefix, page.after), _number_in(prefix, page.before)


def show_account(account: Account, *, livemode: bool) -> ShownAccount:
    """Show a ledger account."""
    return ShownAccount(
        id=f"la_{account.number:08d}",
        available=account.available,
        balance=account.balance,
        code=account.code,
        created=unix(account.created_at),
        currency=account.currency,
        floor=account.floor,
        held=account.held,
        livemode=livemode,
        normal_side=account.normal_side,
    )


def show_entry(movement: Movement, number: int, *, livemode: bool) -> ShownEntry:
    """Show what a journal did to one account."""
    return ShownEntry(
        id=f"le_{movement.journal:012d}",
        account=f"la_{number:08d}",
        amount=movement.amounts[number],
        balance_after=movement.balances[number],
        cause=movement.cause,
        created=unix(movement.at),
        currency=movement.currency,
        journal=movement.journal,
        livemode=livemode,
    )


_TYPES = {
    "payment": ("charge", "charge"),
    "refund": ("refund", "refund"),
    "refund_failed": ("refund_failure", "refund_failure"),
}


def show_transaction(movement: Movement) -> ShownBalanceTransaction:
    """Show what a journal did to the balance."""
    kind, _, name = movement.cause.partition(":")
    type_, category = _TYPES.get(kind, ("adjustment", "other_adjustment"))
    change = change_of(movement)
    return ShownBalanceTransaction(
        id=f"txn_{movement.journal:012d}",
        amount=change,
        created=unix(movement.at),
        currency=movement.currency,
        description=None,
        fee_details=[],
        net=change,
        reporting_category=category,
        source=with_prefix("ch", name) if name.startswith("att_") else name or None,
        type=type_,
    )


def show_balance(accounts: Sequence[Account], *, livemode: bool) -> ShownBalance:
    """Show the balance by currency and kind of method."""
    funds: dict[str, dict[str, int]] = {}
    for account in accounts:
        provider = account.code.split(":")[1]
        kind = "card" if provider == "stripe" else provider
        mine = funds.setdefault(account.currency, {})
        mine[kind] = mine.get(kind, 0) - account.balance
    pending = [
        ShownFunds(amount=sum(kinds.values()), currency=code, source_types=kinds)
        for code, kinds in sorted(funds.items())
    ]
    nothing = [ShownFunds(amount=0, currency=code, source_types={}) for code in sorted(funds)]
    return ShownBalance(
        available=nothing,
        connect_reserved=[],
        instant_available=[],
        livemode=livemode,
        pending=pending,
    )
