"""Balance transactions as the merchant fetches them; they can be made to differ from the books."""

from typing import cast

import msgspec

from simulators.card.accounts import Account
from simulators.card.form import Form, only, text
from simulators.card.listing import PAGING, Source, few, page, whole_drawer
from simulators.card.money import mature
from simulators.card.objects import BalanceTransaction, Plain

URL = "/v1/balance_transactions"
_FILTERS = PAGING | {"currency", "source", "type", "payout"}


def entries(account: Account, form: Form) -> Plain:
    """GET /v1/balance_transactions"""
    only(form, frozenset(_FILTERS))
    wanted = {name: text(form, name) for name in ("currency", "source", "type")}
    asked = [(name, value) for name, value in wanted.items() if value is not None]

    def fits(entry: BalanceTransaction) -> bool:
        return all(getattr(entry, name) == value for name, value in asked)

    answer = page(_source(account), URL, form, fits if asked else None)
    for entry in cast("list[BalanceTransaction]", answer["data"]):
        mature(account.books, entry)
    return answer


def _source(account: Account) -> Source[BalanceTransaction]:
    if not account.bill:
        return whole_drawer(account.books.entries)
    missing = msgspec.convert(account.bill.get("missing", []), list[str])
    different = msgspec.convert(account.bill.get("different", {}), dict[str, int])
    extra = msgspec.convert(account.bill.get("extra", []), list[Plain])
    rows: list[BalanceTransaction] = []
    for entry in account.books.entries:
        names = _names(account, entry)
        if names.isdisjoint(missing):
            amount = next((different[name] for name in names if name in different), entry.amount)
            rows.append(_changed(entry, amount))
    rows += [_extra(account, row) for row in extra]
    rows.sort(key=lambda row: row.created)
    return few("balance_transaction", rows)


def _names(account: Account, entry: BalanceTransaction) -> set[str]:
    """Return every number by which a person may mean this row."""
    books = account.books
    names = {entry.id, entry.source}
    refund = books.refunds.find(entry.source)
    charge = books.charges.find(entry.source)
    if charge is not None:
        names |= {charge.payment_intent, *charge.metadata.values()}
    if refund is not None:
        names |= set(refund.metadata.values())
    return names


def _changed(entry: BalanceTransaction, amount: int) -> BalanceTransaction:
    if amount == entry.amount:
        return entry
    return msgspec.structs.replace(entry, amount=amount, net=amount - entry.fee)


def _extra(account: Account, row: Plain) -> BalanceTransaction:
    now = account.books.now()
    made: Plain = {
        "id": account.books.new_id("txn"),
        "amount": 0,
        "available_on": now,
        "created": now,
        "currency": "usd",
        "fee": 0,
        "fee_details": [],
        "net": row.get("amount", 0),
        "reporting_category": "charge",
        "source": account.books.new_id("ch"),
        "status": "available",
        "type": "charge",
    }
    return msgspec.convert(made | row, BalanceTransaction)
