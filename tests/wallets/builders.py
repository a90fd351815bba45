"""Builders: a teahouse's wallets, filled as payments fill them."""

from datetime import UTC, datetime

from tillgate.kernel.ids import new_id
from tillgate.kernel.money import CNY, Money
from tillgate.ledger import commands as ledger
from tillgate.ledger.model import Journal, Line, receivable
from tillgate.runtime.db import Database
from tillgate.wallets import flows, queries
from tillgate.wallets.model import Limits, OpenWallet, Spend, WalletView

TEAHOUSE = 3
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def cny(minor: int) -> Money:
    return Money(minor, CNY)


async def open_wallet(
    db: Database, *, customer: str = "cus_li", limits: Limits | None = None, **parts: int
) -> WalletView:
    told = await flows.order(
        db,
        OpenWallet(
            merchant_id=TEAHOUSE,
            at=NOON,
            id=new_id("wal"),
            customer_id=customer,
            currency=CNY,
            limits=limits or Limits(),
        ),
    )
    for part, amount in parts.items():
        await pay_in(db, told.wallet.id, amount, part=part)
    return told.wallet


async def pay_in(
    db: Database, wallet_id: str, amount: int, *, part: str = "principal", cause: str | None = None
) -> str:
    """Post as payments does: to the account it was told, knowing nothing of wallets."""
    cause = cause or f"payment:{new_id('att')}"
    async with db.transaction() as tx:
        wallet = await queries.wallet_terms(tx, TEAHOUSE, wallet_id)
        books = await ledger.lock(tx, {TEAHOUSE})
        provider = receivable("alipay", "cny")
        await ledger.ensure_accounts(tx, books, [(TEAHOUSE, provider)], at=NOON)
        account = wallet.principal_account if part == "principal" else wallet.bonus_account
        await ledger.load(tx, books, accounts=[(TEAHOUSE, account)], causes=[(TEAHOUSE, cause)])
        collected = books.number(TEAHOUSE, provider.code, "cny")
        books.post(Journal(TEAHOUSE, cause, (Line(collected, account, amount),)), at=NOON)
        ledger.save(tx, books)
    return cause


async def look(db: Database, wallet_id: str) -> WalletView:
    async with db.transaction() as tx:
        return await queries.wallet(tx, TEAHOUSE, wallet_id)


def spend_order(wallet_id: str, amount: int, *, id: str | None = None) -> Spend:  # noqa: A002
    return Spend(
        merchant_id=TEAHOUSE,
        at=NOON,
        id=id or new_id("wtx"),
        wallet_id=wallet_id,
        amount=cny(amount),
    )
