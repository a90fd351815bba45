"""Questions to the books: accounts, balances, statements. Nothing here is counted or summed over history."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from tillgate.kernel.money import CURRENCIES
from tillgate.ledger import account_store, seal_store, store
from tillgate.ledger.errors import AccountNotFound
from tillgate.ledger.model import (
    Account,
    AccountsWanted,
    Movement,
    Posted,
    Standing,
    TrialRow,
    movements_of,
)
from tillgate.runtime.db import Tx


async def accounts(tx: Tx, keys: Collection[tuple[int, int]]) -> dict[tuple[int, int], Account]:
    """Return the accounts of these (merchant, number) that exist."""
    found = await store.select_accounts(tx, keys)
    return {(account.merchant_id, account.number): account for account in found}


async def numbers(
    tx: Tx, keys: Collection[tuple[int, str, str]]
) -> dict[tuple[int, str, str], int]:
    """Return the numbers of the accounts of these (merchant, code, currency) that exist."""
    found = await store.select_accounts_by_code(tx, keys)
    return {(one.merchant_id, one.code, one.currency): one.number for one in found}


async def account(tx: Tx, merchant_id: int, number: int) -> Account:
    """Return one account."""
    found = await store.select_accounts(tx, [(merchant_id, number)])
    if not found:
        raise AccountNotFound(number)
    return found[0]


async def is_account(tx: Tx, merchant_id: int, number: int) -> bool:
    """Whether there is such an account."""
    return bool(await store.select_accounts(tx, [(merchant_id, number)]))


async def movements(
    tx: Tx,
    merchant_id: int,
    numbers: Collection[int],
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = 20,
) -> list[Movement]:
    """Return what journals did to these accounts seen together, newest first.

    The cursor is a journal's number: those `before` it, or the nearest ones `after` it.
    """
    wanted = sorted(numbers)
    rows = await store.select_lines_of(
        tx, merchant_id, wanted, before=before, after=after, limit=limit
    )
    if not rows:
        return []
    newest = rows[0].journal
    standing = await store.select_balances_at(tx, merchant_id, wanted, newest)
    return movements_of(rows, standing)


async def has_moved(tx: Tx, merchant_id: int, numbers: Collection[int], journal: int) -> bool:
    """Whether this journal did anything to one of these accounts."""
    rows = await store.select_lines_of(
        tx, merchant_id, sorted(numbers), before=journal + 1, after=None, limit=1
    )
    return bool(rows) and rows[0].journal == journal


async def balances_at(
    tx: Tx, merchant_id: int, numbers: Collection[int], journal: int
) -> dict[int, int]:
    """Return where accounts stood right after a journal."""
    return await store.select_balances_at(tx, merchant_id, sorted(numbers), journal)


async def journals(tx: Tx, causes: Collection[tuple[int, str]]) -> list[Posted]:
    """Return the journals of these causes, where they have been posted."""
    return await store.select_journals(tx, causes) if causes else []


async def standing(
    tx: Tx, merchant_id: int, moments: Collection[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Return where accounts stood right after journals, by (account number, journal)."""
    return await store.select_standing(tx, merchant_id, sorted(moments))


async def balances_as_of(
    tx: Tx, merchant_id: int, numbers: Collection[int], at: datetime
) -> dict[int, int]:
    """Return where accounts stood at a past moment, all journals up to it included."""
    journal = await seal_store.select_journal_at(tx, merchant_id, at)
    return await store.select_balances_at(tx, merchant_id, sorted(numbers), journal)


async def standing_as_of(tx: Tx, merchant_id: int, number: int, at: datetime) -> Standing:
    """Return where an account stood at a past moment, and after which journal of the books."""
    journal = await seal_store.select_journal_at(tx, merchant_id, at)
    balances = await store.select_balances_at(tx, merchant_id, [number], journal)
    return Standing(journal, balances[number])


async def accounts_of_code(tx: Tx, merchant_id: int, code: str) -> list[Account]:
    """Return the accounts with exactly this code: one for each currency that is in use."""
    keys = [(merchant_id, code, currency) for currency in CURRENCIES]
    return await store.select_accounts_by_code(tx, keys)


async def journal_at(tx: Tx, merchant_id: int, at: datetime) -> int:
    """Return the last journal up to a moment; 0 where there was none yet."""
    return await seal_store.select_journal_at(tx, merchant_id, at)


async def trial_balance(tx: Tx, merchant_id: int) -> list[TrialRow]:
    """Return all accounts by currency and kind; each currency adds up to nought."""
    return [TrialRow(*row) for row in await seal_store.select_trial_balance(tx, merchant_id)]


async def merchants_with_expired_holds(tx: Tx, at: datetime) -> list[int]:
    """Return the merchants that have open holds whose time is over."""
    return await store.select_merchants_with_expired_holds(tx, at)


async def expired_holds(tx: Tx, merchant_id: int, at: datetime, limit: int = 200) -> list[str]:
    """Return ids of open holds whose time is over."""
    return await store.select_expired_holds(tx, merchant_id, at, limit)


async def journals_of(tx: Tx, merchant_id: int, causes: Collection[str]) -> dict[str, int]:
    """Return the numbers of the journals with these causes, as far as they are posted."""
    found = await store.select_journals(tx, [(merchant_id, cause) for cause in causes])
    return {posted.cause: posted.number for posted in found}


async def account_page(tx: Tx, merchant_id: int, wanted: AccountsWanted) -> list[Account]:
    """Return a page of accounts, newest first."""
    return await account_store.select_account_page(tx, merchant_id, wanted)
