"""The balance at the provider: what a charge brings after its fee, and when it is ours to have.

Every movement is a balance transaction, because that is what the merchant reconciles with.
"""

import re
from dataclasses import dataclass
from typing import Final

from simulators.card.books import Books
from simulators.card.errors import invalid
from simulators.card.objects import BalanceTransaction, Charge, Plain, Refund

DAY_SECONDS: Final = 86_400
MAX_AMOUNT: Final = 99_999_999
_LEAST: Final = {"jpy": 50, "hkd": 400, "gbp": 30, "cny": 1, "mxn": 1000, "krw": 100, "twd": 2000}
_LEAST_ELSEWHERE: Final = 50
_CURRENCY: Final = re.compile(r"[a-z]{3}\Z")


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the provider keeps of each charge, and how long it holds the rest."""

    basis_points: int = 290
    fixed: int = 30
    hold_days: int = 2

    def fee(self, amount: int) -> int:
        """Return the fee in minor units, half a unit rounded up."""
        return (amount * self.basis_points + 5_000) // 10_000 + self.fixed


def check_currency(value: str) -> str:
    """Return the currency in small letters, or refuse what is not one."""
    currency = value.lower()
    if not _CURRENCY.match(currency):
        raise invalid(f"Invalid currency: {value}.", "currency")
    return currency


def check_amount(amount: int, currency: str) -> int:
    """Return the amount if the provider takes charges of that size."""
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise invalid(message, "amount", "parameter_invalid_integer")
    if amount > MAX_AMOUNT:
        raise invalid("Amount must be no more than 99999999.", "amount", "amount_too_large")
    if amount < _LEAST.get(currency, _LEAST_ELSEWHERE):
        message = "Amount must convert to at least 50 cents."
        raise invalid(message, "amount", "amount_too_small")
    return amount


def book_charge(books: Books, charge: Charge, tariff: Tariff, *, at_once: bool) -> None:
    """Enter a captured charge: the fee is taken here, the rest waits for its day."""
    hold = 0 if at_once else tariff.hold_days * DAY_SECONDS
    amount = charge.amount_captured
    fee = tariff.fee(amount)
    entry = _enter(books, charge, amount, "charge", charge.id)
    entry.fee = fee
    entry.net = amount - fee
    entry.available_on += hold
    entry.status = "pending" if hold else "available"
    entry.description = charge.description
    entry.fee_details = [_fee_detail(fee, charge.currency)]
    charge.balance_transaction = entry.id
    books.entries.save(entry)


def _fee_detail(fee: int, currency: str) -> Plain:
    return {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }


def book_refund(books: Books, refund: Refund) -> None:
    """Enter a refund; the charge's fee is not given back."""
    refund.balance_transaction = _enter(books, refund, -refund.amount, "refund", refund.id).id


def book_refund_failure(books: Books, refund: Refund) -> None:
    """Enter that a refund came back."""
    entry = _enter(books, refund, refund.amount, "refund_failure", refund.id)
    refund.failure_balance_transaction = entry.id


def _enter(
    books: Books, about: Charge | Refund, amount: int, kind: str, source: str
) -> BalanceTransaction:
    now = books.now()
    return books.entries.add(
        BalanceTransaction(
            id=books.new_id("txn"),
            amount=amount,
            available_on=now,
            created=now,
            currency=about.currency,
            fee=0,
            fee_details=[],
            net=amount,
            reporting_category=kind,
            source=source,
            status="available",
            type=kind,
        )
    )


def mature(books: Books, entry: BalanceTransaction) -> BalanceTransaction:
    """Let the entry become available once its day has come; done when it is looked at."""
    if entry.status == "pending" and entry.available_on <= books.now():
        entry.status = "available"
        books.entries.save(entry)
    return entry


def balance(books: Books) -> Plain:
    """Return what is available and what is pending, by currency."""
    sums = {("available", currency): net for currency, net in books.carried.net.items()}
    for entry in books.entries:
        mature(books, entry)
        place = (entry.status, entry.currency)
        sums[place] = sums.get(place, 0) + entry.net
    currencies = sorted({currency for _, currency in sums}) or ["usd"]

    def part(status: str) -> list[Plain]:
        return [_part(sums.get((status, currency), 0), currency) for currency in currencies]

    return {
        "object": "balance",
        "available": part("available"),
        "connect_reserved": None,
        "livemode": False,
        "pending": part("pending"),
    }


def _part(amount: int, currency: str) -> Plain:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}
