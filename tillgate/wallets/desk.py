"""A batch of orders under lock: everything they need is read once, and written once at the end.

The lock is the merchants' books, taken before anything is read, so what the desk has read is true
until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import msgspec
from msgspec.structs import replace

from tillgate.kernel.facts import Fact
from tillgate.kernel.ids import new_id
from tillgate.ledger import commands as ledger
from tillgate.ledger import queries as ledger_queries
from tillgate.ledger.model import Posted, sales, wallet_bonus, wallet_principal
from tillgate.runtime import outbox
from tillgate.runtime.db import Tx
from tillgate.runtime.writes import Notebook
from tillgate.wallets import events, store
from tillgate.wallets.errors import WalletNotFound
from tillgate.wallets.model import (
    AnyOrder,
    CaptureHold,
    MoveWallet,
    OpenWallet,
    Order,
    PlaceHold,
    RefundSpend,
    ReleaseHold,
    Spend,
    Transaction,
    Transfer,
    UpdateWallet,
    Wallet,
    WalletHold,
    WalletView,
)

Key = tuple[int, str]


@dataclass(slots=True)
class Refundable:
    """A transaction of the past, and what has been given back of its two parts."""

    transaction: Transaction
    principal: int
    bonus: int


class Desk:
    """What a batch has read and what it has to write."""

    def __init__(self, books: ledger.Books) -> None:
        self.books = books
        self.wallets: dict[Key, Wallet] = {}
        self._of_customer: dict[tuple[int, str, str], Key] = {}
        self.holds: dict[Key, WalletHold] = {}
        self.transactions: dict[Key, Refundable] = {}
        self._opened: dict[Key, None] = {}
        self._terms: dict[Key, None] = {}
        self._counted: dict[Key, None] = {}
        self._refunded: dict[Key, None] = {}
        self._held: dict[Key, None] = {}
        self._new: list[Transaction] = []
        self._facts: list[Fact] = []
        #: Sequences of wallets as they were laid on the desk.
        self._read: dict[Key, int] = {}

    def wallet(self, merchant_id: int, wallet_id: str, *, param: str = "wallet") -> Wallet:
        """Return a wallet as it stands now."""
        found = self.wallets.get((merchant_id, wallet_id))
        if found is None:
            raise WalletNotFound(wallet_id, param=param)
        return found

    def wallet_of(self, merchant_id: int, customer_id: str, currency: str) -> Wallet | None:
        """Return a customer's wallet in a currency, were it loaded or opened just now."""
        key = self._of_customer.get((merchant_id, customer_id, currency))
        return None if key is None else self.wallets[key]

    def take_in(self, wallet: Wallet) -> None:
        """Lay a wallet on the desk as it stands in the database, or is opened now."""
        key = (wallet.merchant_id, wallet.id)
        self.wallets[key] = wallet
        self._read[key] = wallet.sequence
        self._of_customer[wallet.merchant_id, wallet.customer_id, wallet.currency.code] = key

    def available(self, wallet: Wallet) -> tuple[int, int]:
        """Return what may be debited now of principal and of bonus."""
        return (
            self.books.available(wallet.merchant_id, wallet.principal_account),
            self.books.available(wallet.merchant_id, wallet.bonus_account),
        )

    def view(self, wallet: Wallet) -> WalletView:
        """Return the wallet with its balances as they stand now."""
        principal = self.books.state(wallet.merchant_id, wallet.principal_account)
        bonus = self.books.state(wallet.merchant_id, wallet.bonus_account)
        return view_of(wallet, principal.balance, bonus.balance, principal.held + bonus.held)

    def open(self, wallet: Wallet) -> None:
        """Take in a new wallet."""
        self.take_in(wallet)
        self._opened[wallet.merchant_id, wallet.id] = None

    def change(self, wallet: Wallet) -> None:
        """Take in a wallet's new terms."""
        key = (wallet.merchant_id, wallet.id)
        self.wallets[key] = wallet
        self._terms[key] = None

    def count_spent(self, wallet: Wallet, amount: int, at: datetime) -> None:
        """Count what was spent (or given back, where negative) on the day of `at`."""
        spent = max(spent_on_day(wallet, at) + amount, 0)
        key = (wallet.merchant_id, wallet.id)
        day = max(at.date(), wallet.spent_on or date.min)
        self.wallets[key] = replace(wallet, spent_on=day, spent_today=spent)
        self._counted[key] = None

    def keep_hold(self, hold: WalletHold) -> None:
        """Take in a hold, new or changed."""
        key = (hold.merchant_id, hold.id)
        self.holds[key] = hold
        self._held[key] = None

    def give_back(self, refundable: Refundable, principal: int, bonus: int) -> None:
        """Remember that so much of a transaction has been given back."""
        refundable.principal += principal
        refundable.bonus += bonus
        key = (refundable.transaction.merchant_id, refundable.transaction.id)
        self._refunded[key] = None

    def record(self, transaction: Transaction) -> None:
        """Take in what a journal meant to a wallet."""
        self._new.append(transaction)
        self.transactions[transaction.merchant_id, transaction.id] = Refundable(transaction, 0, 0)

    def publish(
        self,
        name: str,
        wallet_key: Key,
        order: Order,
        *,
        transaction: Transaction | None = None,
        hold: WalletHold | None = None,
    ) -> WalletView:
        """Write the next fact of a wallet; return the wallet as the fact shows it."""
        wallet = self.wallets[wallet_key]
        wallet = replace(wallet, sequence=wallet.sequence + 1)
        self.wallets[wallet_key] = wallet
        self._counted[wallet_key] = None
        view = self.view(wallet)
        data = msgspec.json.encode(events.WalletFact(view, transaction, hold))
        self._facts.append(
            Fact(
                merchant_id=wallet.merchant_id,
                id=new_id("evt"),
                name=name,
                object_id=wallet.id,
                sequence=wallet.sequence,
                data=data,
                at=order.at,
                request_id=order.request_id,
                idempotency_key=order.idempotency_key,
            )
        )
        return view

    def transaction_of(
        self,
        posted: Posted,
        wallet: Wallet,
        transaction_id: str,
        type_: str,
        *,
        balance_after: int | None = None,
    ) -> Transaction:
        """Read off the posted lines what they did to a wallet; it is left with what it has now,
        unless that is known better."""
        principal, bonus = moved_by(posted, wallet)
        if balance_after is None:
            balance_after = self.view(wallet).balance
        return Transaction(
            merchant_id=wallet.merchant_id,
            id=transaction_id,
            wallet_id=wallet.id,
            journal=posted.number,
            type=type_,
            amount=principal + bonus,
            principal_amount=principal,
            bonus_amount=bonus,
            balance_after=balance_after,
            currency=wallet.currency.code,
            cause=posted.cause,
            source=None,
            description=None,
            metadata={},
            amount_refunded=0,
            created_at=posted.at,
        )

    def inherit(self, last: Desk, orders: Sequence[AnyOrder]) -> None:
        """Lay on the desk what these orders name of what the one before has changed."""
        holds, transactions = _named(orders)
        self.holds = {key: last.holds[key] for key in holds & last._held.keys()}
        changed = {(one.merchant_id, one.id) for one in last._new} | last._refunded.keys()
        self.transactions = {key: last.transactions[key] for key in transactions & changed}

    def recall(
        self, known: Mapping[Key, Wallet], orders: Sequence[AnyOrder]
    ) -> Mapping[Key, Wallet]:
        """Lay on the desk the wallets of these orders that are known; return them."""
        recalled = {key: known[key] for key in wallet_keys(self, orders) if key in known}
        for wallet in recalled.values():
            self.take_in(wallet)
        return recalled

    def save(self, notes: Notebook) -> None:
        """Write everything but the books."""
        if self._opened:
            store.insert_wallets(notes, [self.wallets[key] for key in self._opened])
        if changed := self._changed(self._terms, but=self._opened):
            store.update_wallets(notes, changed)
        if counted := self._changed(self._counted, but={**self._opened, **self._terms}):
            store.update_counters(notes, counted)
        if self._new:
            store.insert_transactions(notes, self._new)
        if self._refunded:
            store.update_refunded(
                notes,
                {
                    key: (self.transactions[key].principal, self.transactions[key].bonus)
                    for key in self._refunded
                },
            )
        if self._held:
            store.upsert_holds(notes, [self.holds[key] for key in self._held])
        outbox.publish(notes, self._facts)

    def _changed(self, keys: Iterable[Key], *, but: Collection[Key]) -> list[tuple[Wallet, int]]:
        return [(self.wallets[key], self._read[key]) for key in keys if key not in but]


async def open_desk(
    tx: Tx, orders: Sequence[AnyOrder], memory: ledger.Memory | None = None
) -> Desk:
    """Lock the books, then read all that these orders speak of."""
    desk = Desk(await ledger.lock(tx, {order.merchant_id for order in orders}, memory))
    await lay(tx, desk, orders)
    return desk


async def lay(tx: Tx, desk: Desk, orders: Sequence[AnyOrder], *, are_new: bool = False) -> None:
    """Read all that these orders speak of, where it is not on the desk.

    `are_new`: take it that their causes have not been posted; whoever writes must be told of it by
    the database where one has, and whoever refuses must ask.
    """
    await _load_by_id(tx, desk, orders)
    await load_wallets(tx, desk, wallet_keys(desk, orders))
    openings = [order for order in orders if isinstance(order, OpenWallet)]
    if openings:
        await _open_accounts(tx, desk, openings)
    if are_new:
        desk.books.checked |= causes_of(orders)
    await _load_books(tx, desk, orders)


async def load_wallets(tx: Tx, desk: Desk, keys: Collection[Key]) -> None:
    """Read wallets by id."""
    wanted = [key for key in keys if key not in desk.wallets]
    if wanted:
        for wallet in await store.select_wallets(tx, wanted):
            desk.take_in(wallet)


async def load_accounts(tx: Tx, desk: Desk) -> None:
    """Read the ledger accounts of the wallets on the desk."""
    await ledger.load(tx, desk.books, accounts=_account_keys(desk))


async def _load_by_id(tx: Tx, desk: Desk, orders: Sequence[AnyOrder]) -> None:
    holds, _ = _named(orders)
    holds -= desk.holds.keys()
    if holds:
        for hold in await store.select_holds(tx, holds):
            desk.holds[hold.merchant_id, hold.id] = hold
    refunded = {
        (order.merchant_id, order.transaction_id)
        for order in orders
        if isinstance(order, RefundSpend)
    }
    await _load_transactions(tx, desk, refunded)


def _named(orders: Iterable[AnyOrder]) -> tuple[set[Key], set[Key]]:
    """Return the holds and the transactions that orders name, those they would make included."""
    holds: set[Key] = set()
    transactions: set[Key] = set()
    for order in orders:
        if isinstance(order, PlaceHold):
            holds.add((order.merchant_id, order.id))
        elif isinstance(order, CaptureHold | ReleaseHold):
            holds.add((order.merchant_id, order.hold_id))
        if isinstance(order, RefundSpend):
            transactions.add((order.merchant_id, order.transaction_id))
        if isinstance(order, Spend | RefundSpend | CaptureHold | Transfer):
            transactions.add((order.merchant_id, order.id))
    return holds, transactions


async def _load_transactions(tx: Tx, desk: Desk, keys: Collection[Key]) -> None:
    wanted = [key for key in keys if key not in desk.transactions]
    for kept in await store.select_transactions(tx, wanted) if wanted else ():
        key = (kept.transaction.merchant_id, kept.transaction.id)
        desk.transactions[key] = Refundable(
            kept.transaction, kept.refunded_principal, kept.refunded_bonus
        )


def wallet_keys(desk: Desk, orders: Iterable[AnyOrder]) -> set[Key]:
    """Return the wallets that orders name, and those of the holds and transactions on the desk."""
    keys = {(hold.merchant_id, hold.wallet_id) for hold in desk.holds.values()}
    keys |= {
        (known.transaction.merchant_id, known.transaction.wallet_id)
        for known in desk.transactions.values()
    }
    for order in orders:
        if isinstance(order, OpenWallet):
            keys.add((order.merchant_id, order.id))
        elif isinstance(order, Spend | PlaceHold | UpdateWallet | MoveWallet | Transfer):
            keys.add((order.merchant_id, order.wallet_id))
        if isinstance(order, Transfer):
            keys.add((order.merchant_id, order.to_wallet_id))
    return keys


async def _open_accounts(tx: Tx, desk: Desk, openings: Sequence[OpenWallet]) -> None:
    wanted = {
        (order.merchant_id, order.customer_id, order.currency.code): order
        for order in reversed(openings)
    }
    for wallet in await store.select_wallets_of(tx, wanted.keys()):
        desk.take_in(wallet)
    terms = [
        (order.merchant_id, account(order.id, order.currency.code))
        for order in reversed(wanted.values())
        if desk.wallet_of(order.merchant_id, order.customer_id, order.currency.code) is None
        and (order.merchant_id, order.id) not in desk.wallets
        for account in (wallet_principal, wallet_bonus)
    ]
    if terms:
        await ledger.ensure_accounts(tx, desk.books, terms, at=openings[0].at)


async def _load_books(tx: Tx, desk: Desk, orders: Sequence[AnyOrder]) -> None:
    await ledger.load(
        tx,
        desk.books,
        accounts=_account_keys(desk),
        causes=causes_of(orders),
        holds=[
            (order.merchant_id, order.id if isinstance(order, PlaceHold) else order.hold_id)
            for order in orders
            if isinstance(order, PlaceHold | CaptureHold | ReleaseHold)
        ],
    )
    if any(isinstance(order, Spend | CaptureHold | RefundSpend) for order in orders):
        counter = {
            (wallet.merchant_id, sales(wallet.currency.code)) for wallet in desk.wallets.values()
        }
        await ledger.ensure_accounts(tx, desk.books, counter, at=orders[0].at)
    repeated = {
        (order.merchant_id, order.id)
        for order in orders
        if isinstance(order, Spend | RefundSpend | CaptureHold | Transfer)
        and (order.merchant_id, cause_of(order)) in desk.books.posted
    }
    if repeated:
        await _load_transactions(tx, desk, repeated)
        await load_wallets(tx, desk, wallet_keys(desk, ()))
        await ledger.load(tx, desk.books, accounts=_account_keys(desk))


def _account_keys(desk: Desk) -> list[tuple[int, int]]:
    return [
        (wallet.merchant_id, number)
        for wallet in desk.wallets.values()
        for number in (wallet.principal_account, wallet.bonus_account)
    ]


def causes_of(orders: Iterable[AnyOrder]) -> set[tuple[int, str]]:
    """Return merchant and cause of the journals that orders lead to."""
    return {
        (order.merchant_id, cause) for order in orders if (cause := cause_of(order)) is not None
    }


def cause_of(order: AnyOrder) -> str | None:
    """Return the unique reason of the journal an order leads to."""
    match order:
        case Spend():
            return f"spend:{order.id}"
        case RefundSpend():
            return f"spend_refund:{order.id}"
        case CaptureHold():
            return f"capture:{order.id}"
        case Transfer():
            return f"transfer:{order.id}"
        case _:
            return None


def spent_on_day(wallet: Wallet, at: datetime) -> int:
    """Return what the daily limit has seen on the UTC day of `at`.

    Who asked before midnight and was let in after it, behind another, counts for the new day.
    """
    is_so_late = wallet.spent_on is not None and at.date() <= wallet.spent_on
    return wallet.spent_today if is_so_late else 0


def moved_by(posted: Posted, wallet: Wallet) -> tuple[int, int]:
    """Return what a journal did to a wallet's principal and bonus, signed."""
    moved = {wallet.principal_account: 0, wallet.bonus_account: 0}
    for line in posted.lines:
        if line.debit in moved:
            moved[line.debit] -= line.amount
        if line.credit in moved:
            moved[line.credit] += line.amount
    return moved[wallet.principal_account], moved[wallet.bonus_account]


async def views(tx: Tx, found: Sequence[Wallet]) -> list[WalletView]:
    """Return wallets with their balances, as they stand outside any lock."""
    accounts = await ledger_queries.accounts(
        tx,
        [
            (terms.merchant_id, number)
            for terms in found
            for number in (terms.principal_account, terms.bonus_account)
        ],
    )
    views: list[WalletView] = []
    for terms in found:
        principal = accounts[terms.merchant_id, terms.principal_account]
        bonus = accounts[terms.merchant_id, terms.bonus_account]
        views.append(view_of(terms, principal.balance, bonus.balance, principal.held + bonus.held))
    return views


def view_of(wallet: Wallet, principal: int, bonus: int, held: int) -> WalletView:
    """Put a wallet and its balances together."""
    return WalletView(
        merchant_id=wallet.merchant_id,
        id=wallet.id,
        customer_id=wallet.customer_id,
        currency=wallet.currency.code,
        status=wallet.status.value,
        balance=principal + bonus,
        principal=principal,
        bonus=bonus,
        held=held,
        available=principal + bonus - held,
        limits=wallet.limits,
        description=wallet.description,
        metadata=wallet.metadata,
        sequence=wallet.sequence,
        created_at=wallet.created_at,
    )
