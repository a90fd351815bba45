"""Questions about wallets: terms, balances, holds and the statement."""

from __future__ import annotations

from collections.abc import Collection

from tillgate.ledger import queries as ledger
from tillgate.ledger.model import Movement
from tillgate.runtime.db import Tx
from tillgate.wallets import store
from tillgate.wallets.desk import views
from tillgate.wallets.errors import HoldNotFound, TransactionNotFound, WalletNotFound
from tillgate.wallets.machine import type_of
from tillgate.wallets.model import Transaction, Wallet, WalletHold, WalletView, derived_id

#: How far back a transaction is looked for that has no row of its own yet.
_RECENT = 100


async def wallet_terms(tx: Tx, merchant_id: int, wallet_id: str) -> Wallet:
    """Return a wallet's terms, without balances."""
    found = await store.select_wallets(tx, [(merchant_id, wallet_id)])
    if not found:
        raise WalletNotFound(wallet_id)
    return found[0]


async def wallets_behind(
    tx: Tx, accounts: Collection[tuple[int, int]]
) -> dict[tuple[int, int], Wallet]:
    """Return the wallets whose principal these ledger accounts (merchant_id, number) are."""
    found = await ledger.accounts(tx, accounts)
    keys = [
        (merchant_id, account.code.split(":")[1])
        for (merchant_id, _), account in found.items()
        if account.code.startswith("wallet:")
    ]
    terms = await store.select_wallets(tx, keys)
    return {(one.merchant_id, one.principal_account): one for one in terms}


async def wallet(tx: Tx, merchant_id: int, wallet_id: str) -> WalletView:
    """Return a wallet with its balances."""
    terms = await wallet_terms(tx, merchant_id, wallet_id)
    return (await views(tx, [terms]))[0]


async def wallet_of(tx: Tx, merchant_id: int, customer_id: str, currency: str) -> WalletView | None:
    """Return a customer's wallet in one currency, if there is one."""
    found = await store.select_wallets_of(tx, [(merchant_id, customer_id, currency)])
    return (await views(tx, found))[0] if found else None


async def is_wallet(
    tx: Tx, merchant_id: int, wallet_id: str, *, customer_id: str | None = None
) -> bool:
    """Whether there is such a wallet, of this customer if one is named."""
    found = await store.select_wallets(tx, [(merchant_id, wallet_id)])
    return bool(found) and customer_id in {None, found[0].customer_id}


async def wallets(
    tx: Tx,
    merchant_id: int,
    *,
    customer_id: str | None = None,
    after: str | None = None,
    before: str | None = None,
    limit: int = 10,
) -> list[WalletView]:
    """Return a page of wallets, newest first; `after` and `before` are wallets' ids."""
    return await views(
        tx, await store.select_wallet_page(tx, merchant_id, customer_id, after, before, limit)
    )


async def hold(tx: Tx, merchant_id: int, hold_id: str) -> WalletHold:
    """Return a hold."""
    found = await store.select_holds(tx, [(merchant_id, hold_id)])
    if not found:
        raise HoldNotFound(hold_id)
    return found[0]


async def is_hold(tx: Tx, merchant_id: int, wallet_id: str, hold_id: str) -> bool:
    """Whether there is such a hold of this wallet."""
    found = await store.select_holds(tx, [(merchant_id, hold_id)])
    return bool(found) and found[0].wallet_id == wallet_id


async def holds(
    tx: Tx,
    merchant_id: int,
    wallet_id: str,
    *,
    after: str | None = None,
    before: str | None = None,
    limit: int = 10,
) -> list[WalletHold]:
    """Return a page of a wallet's holds, newest first."""
    await wallet_terms(tx, merchant_id, wallet_id)
    return await store.select_hold_page(tx, merchant_id, wallet_id, after, before, limit)


async def statement(
    tx: Tx,
    merchant_id: int,
    wallet_id: str,
    *,
    after: str | None = None,
    before: str | None = None,
    limit: int = 10,
) -> list[Transaction]:
    """Return a page of a wallet's movements, newest first, each with the balance after it.

    It is read off the ledger's postings; `after` and `before` are transactions' ids (older than,
    newer than).
    """
    terms = await wallet_terms(tx, merchant_id, wallet_id)
    older_than = None if after is None else await _journal(tx, terms, after)
    newer_than = None if before is None else await _journal(tx, terms, before)
    found = await ledger.movements(
        tx,
        merchant_id,
        [terms.principal_account, terms.bonus_account],
        before=older_than,
        after=newer_than,
        limit=limit,
    )
    return await _named(tx, terms, found)


async def is_transaction(tx: Tx, merchant_id: int, wallet_id: str, transaction_id: str) -> bool:
    """Whether there is such a movement of this wallet, which must exist."""
    terms = await wallet_terms(tx, merchant_id, wallet_id)
    try:
        await _journal(tx, terms, transaction_id)
    except TransactionNotFound:
        return False
    return True


async def transaction(tx: Tx, merchant_id: int, wallet_id: str, transaction_id: str) -> Transaction:
    """Return one movement of a wallet."""
    terms = await wallet_terms(tx, merchant_id, wallet_id)
    journal = await _journal(tx, terms, transaction_id)
    accounts = [terms.principal_account, terms.bonus_account]
    found = await ledger.movements(tx, merchant_id, accounts, before=journal + 1, limit=1)
    return (await _named(tx, terms, found))[0]


async def _journal(tx: Tx, terms: Wallet, transaction_id: str) -> int:
    for kept in await store.select_transactions(tx, [(terms.merchant_id, transaction_id)]):
        if kept.transaction.wallet_id == terms.id:
            return kept.transaction.journal
    recent = await ledger.movements(
        tx, terms.merchant_id, [terms.principal_account, terms.bonus_account], limit=_RECENT
    )
    for movement in recent:
        if derived_id(terms.id, movement.cause, movement.at) == transaction_id:
            return movement.journal
    raise TransactionNotFound(transaction_id)


async def _named(tx: Tx, terms: Wallet, found: Collection[Movement]) -> list[Transaction]:
    """Put the ledger's amounts and balances together with what this room knows of them."""
    kept = await store.select_transactions_of(
        tx, terms.merchant_id, [(terms.id, movement.journal) for movement in found]
    )
    known = {row.transaction.journal: row.transaction for row in kept}
    return [_transaction(terms, movement, known.get(movement.journal)) for movement in found]


def _transaction(terms: Wallet, movement: Movement, known: Transaction | None) -> Transaction:
    principal = movement.amounts[terms.principal_account]
    bonus = movement.amounts[terms.bonus_account]
    return Transaction(
        merchant_id=terms.merchant_id,
        id=known.id if known else derived_id(terms.id, movement.cause, movement.at),
        wallet_id=terms.id,
        journal=movement.journal,
        type=known.type if known else type_of(movement.cause, principal + bonus),
        amount=principal + bonus,
        principal_amount=principal,
        bonus_amount=bonus,
        balance_after=sum(movement.balances.values()),
        currency=movement.currency,
        cause=movement.cause,
        source=known.source if known else None,
        description=known.description if known else None,
        metadata=known.metadata if known else {},
        amount_refunded=known.amount_refunded if known else 0,
        created_at=movement.at,
    )
