"""Orders to wallets, decided in a batch inside the caller's transaction.

`carry_out` takes any mix of orders, in order, and returns a result or a refusal for each; a bad one
is refused alone. It locks the merchants' books before it reads, decides in memory, writes once.
The named commands are the same door with their own result types, in the shape a lane wants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from tillgate.kernel import metadata
from tillgate.kernel.errors import Refusal
from tillgate.kernel.metadata import MetadataKeys
from tillgate.kernel.money import Money
from tillgate.ledger import commands as ledger
from tillgate.ledger import queries as ledger_queries
from tillgate.ledger.model import Posted
from tillgate.runtime.db import Tx
from tillgate.wallets import events, store
from tillgate.wallets.decisions import Result, decide_all, require_currency
from tillgate.wallets.desk import (
    Desk,
    Key,
    load_accounts,
    load_wallets,
    moved_by,
    open_desk,
    views,
)
from tillgate.wallets.errors import LimitExceeded, TransactionNotFound, WalletClosed, WalletNotFound
from tillgate.wallets.machine import type_of
from tillgate.wallets.model import (
    AnyOrder,
    CaptureHold,
    Held,
    Moved,
    MoveWallet,
    OpenWallet,
    PlaceHold,
    RecordMovement,
    ReleaseHold,
    Spend,
    Told,
    Transfer,
    UpdateWallet,
    Wallet,
    derived_id,
)


async def carry_out(
    tx: Tx, orders: Sequence[AnyOrder], memory: ledger.Memory | None = None
) -> list[Result | Refusal]:
    """Carry out orders of any kind, in order."""
    desk = await open_desk(tx, orders, memory)
    results = decide_all(desk, orders)
    ledger.save(tx, desk.books)
    desk.save(tx)
    return results


async def open_wallets(tx: Tx, orders: Sequence[OpenWallet]) -> list[Told | Refusal]:
    """Open wallets."""
    return cast("list[Told | Refusal]", await carry_out(tx, orders))


async def update(tx: Tx, orders: Sequence[UpdateWallet]) -> list[Told | Refusal]:
    """Change limits, description, metadata."""
    return cast("list[Told | Refusal]", await carry_out(tx, orders))


async def move(tx: Tx, orders: Sequence[MoveWallet]) -> list[Told | Refusal]:
    """Freeze, unfreeze, close or reopen."""
    return cast("list[Told | Refusal]", await carry_out(tx, orders))


async def spend(tx: Tx, orders: Sequence[Spend]) -> list[Moved | Refusal]:
    """Take value out for goods."""
    return cast("list[Moved | Refusal]", await carry_out(tx, orders))


async def hold(tx: Tx, orders: Sequence[PlaceHold]) -> list[Held | Refusal]:
    """Set value aside."""
    return cast("list[Held | Refusal]", await carry_out(tx, orders))


async def capture(tx: Tx, orders: Sequence[CaptureHold]) -> list[Moved | Refusal]:
    """Spend what is held, or less."""
    return cast("list[Moved | Refusal]", await carry_out(tx, orders))


async def release(tx: Tx, orders: Sequence[ReleaseHold]) -> list[Held | Refusal]:
    """Free what is held."""
    return cast("list[Held | Refusal]", await carry_out(tx, orders))


async def transfer(tx: Tx, orders: Sequence[Transfer]) -> list[Moved | Refusal]:
    """Move principal between wallets; the result is the sender's."""
    return cast("list[Moved | Refusal]", await carry_out(tx, orders))


async def require_open(tx: Tx, wanted: Sequence[tuple[int, str, Money]]) -> list[Wallet | Refusal]:
    """Return the wallets top-ups may pay into (`principal_account`), or why not, before charging.

    A frozen wallet still receives money. Whether there is room is asked by `require_room`.
    """
    keys = list({(merchant_id, wallet_id) for merchant_id, wallet_id, _ in wanted})
    found = {(one.merchant_id, one.id): one for one in await store.select_wallets(tx, keys)}
    return [
        _open_for(found.get((merchant_id, wallet_id)), wallet_id, amount)
        for merchant_id, wallet_id, amount in wanted
    ]


def _open_for(wallet: Wallet | None, wallet_id: str, amount: Money) -> Wallet | Refusal:
    if wallet is None:
        return WalletNotFound(wallet_id)
    if wallet.is_closed:
        return WalletClosed(wallet.id)
    try:
        require_currency(wallet, amount)
    except Refusal as refusal:
        return refusal
    return wallet


async def require_room(
    tx: Tx, wanted: Sequence[tuple[Wallet, int]], coming: Mapping[tuple[int, int], int]
) -> list[LimitExceeded | None]:
    """Refuse each amount that would fill its wallet past its balance limit, with those before it.

    `coming`, by the wallet's principal account, may still be paid into it. The caller holds the
    merchants' books, so that two who ask at once see each other.
    """
    limited = {wallet.id: wallet for wallet, _ in wanted if wallet.limits.balance is not None}
    reached = {
        (view.merchant_id, view.id): view.balance
        + coming.get((view.merchant_id, limited[view.id].principal_account), 0)
        for view in await views(tx, list(limited.values()))
    }
    refusals: list[LimitExceeded | None] = []
    for wallet, amount in wanted:
        key, allowed = (wallet.merchant_id, wallet.id), wallet.limits.balance
        full = reached.get(key, 0) + amount
        if allowed is not None and full > allowed:
            refusals.append(LimitExceeded(wallet.id, "balance", allowed, full))
            continue
        reached[key] = full
        refusals.append(None)
    return refusals


async def record_movements(tx: Tx, items: Sequence[RecordMovement]) -> None:
    """Give the wallets on journals that others posted their transactions and facts.

    Idempotent by journal and wallet. Causes that are not posted, or touch no wallet, are passed over.
    What never changes (journals, and balances right after them) is read before the books are locked.
    """
    causes = {(item.merchant_id, item.cause): item for item in items}
    found = await ledger_queries.journals(tx, causes.keys())
    numbers = {
        (posted.merchant_id, number)
        for posted in found
        for line in posted.lines
        for number in (line.debit, line.credit)
    }
    accounts = await ledger_queries.accounts(tx, numbers)
    wallet_ids = {
        (account.merchant_id, account.code.split(":")[1])
        for account in accounts.values()
        if account.code.startswith("wallet:")
    }
    movements = [
        movement
        for merchant_id in {posted.merchant_id for posted in found}
        for movement in await _movements(
            tx,
            merchant_id,
            [one for one in found if one.merchant_id == merchant_id],
            await store.select_accounts_of(
                tx, [key for key in wallet_ids if key[0] == merchant_id]
            ),
        )
    ]
    if movements:
        await _record(tx, movements, causes)


async def annotate(
    tx: Tx,
    merchant_id: int,
    transaction_id: str,
    *,
    description: str | UnsetType | None = UNSET,
    change: MetadataKeys | UnsetType | None = UNSET,
) -> None:
    """Change the words on a transaction; metadata is merged, amounts cannot change."""
    await ledger.lock(tx, {merchant_id})
    found = await store.select_transactions(tx, [(merchant_id, transaction_id)])
    if not found:
        raise TransactionNotFound(transaction_id)
    old = found[0].transaction
    await store.update_notes(
        tx,
        merchant_id,
        transaction_id,
        old.description if description is UNSET else description,
        metadata.merge(old.metadata, change),
    )


@dataclass(frozen=True, slots=True)
class _Movement:
    """What a journal did to a wallet, which was left with `balance`."""

    posted: Posted
    wallet: Key
    balance: int


async def _movements(
    tx: Tx, merchant_id: int, found: Sequence[Posted], accounts: Mapping[Key, tuple[int, int]]
) -> list[_Movement]:
    wallets = {number: wallet for wallet, both in accounts.items() for number in both}
    pairs = {
        (wallet, posted.number): posted
        for posted in found
        for line in posted.lines
        for wallet in (wallets.get(line.debit), wallets.get(line.credit))
        if wallet is not None
    }
    moments = [(number, journal) for wallet, journal in pairs for number in accounts[wallet]]
    standing = await ledger_queries.standing(tx, merchant_id, moments)
    return [
        _Movement(posted, wallet, sum(standing[number, journal] for number in accounts[wallet]))
        for (wallet, journal), posted in pairs.items()
    ]


async def _record(
    tx: Tx,
    movements: Sequence[_Movement],
    causes: Mapping[tuple[int, str], RecordMovement],
) -> None:
    """Write what is not written yet, with the books locked."""
    desk = Desk(await ledger.lock(tx, {movement.wallet[0] for movement in movements}))
    known = {
        (kept.transaction.merchant_id, kept.transaction.wallet_id, kept.transaction.journal)
        for merchant_id in {movement.wallet[0] for movement in movements}
        for kept in await store.select_transactions_of(
            tx,
            merchant_id,
            [
                (movement.wallet[1], movement.posted.number)
                for movement in movements
                if movement.wallet[0] == merchant_id
            ],
        )
    }
    fresh = [
        movement
        for movement in movements
        if (*movement.wallet, movement.posted.number) not in known
    ]
    await load_wallets(tx, desk, {movement.wallet for movement in fresh})
    await load_accounts(tx, desk)
    for movement in fresh:
        _publish(desk, movement, causes[movement.wallet[0], movement.posted.cause])
    desk.save(tx)


def _publish(desk: Desk, movement: _Movement, item: RecordMovement) -> None:
    posted, wallet = movement.posted, desk.wallets[movement.wallet]
    principal, bonus = moved_by(posted, wallet)
    transaction = replace(
        desk.transaction_of(
            posted,
            wallet,
            derived_id(wallet.id, posted.cause, posted.at),
            type_of(posted.cause, principal + bonus),
            balance_after=movement.balance,
        ),
        source=item.source,
        description=item.description,
    )
    desk.record(transaction)
    name = events.CREDITED if transaction.amount > 0 else events.DEBITED
    desk.publish(name, movement.wallet, item, transaction=transaction)
