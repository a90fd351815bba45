"""Accounts, journals and lines as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

import msgspec

NormalSide = Literal["credit", "debit"]
HoldStatus = Literal["open", "posted", "voided", "expired"]


class AccountTerms(msgspec.Struct, frozen=True):
    """What an account is opened with. `floor=None`: it may go anywhere."""

    code: str
    currency: str
    normal_side: NormalSide = "credit"
    floor: int | None = None


class Line(msgspec.Struct, frozen=True, gc=False):
    """Move `amount` minor units from account number `debit` to account number `credit`."""

    debit: int
    credit: int
    amount: int

    def __post_init__(self) -> None:
        assert self.amount > 0, "a line moves something"
        assert self.debit != self.credit, "a line moves value between two accounts"


class Journal(msgspec.Struct, frozen=True):
    """All lines of one cause, posted together or not at all."""

    merchant_id: int
    cause: str
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        assert self.lines, "a journal has lines"


class PostedLine(msgspec.Struct, frozen=True, gc=False):
    """A line as it stands in the books."""

    debit: int
    credit: int
    amount: int
    currency: str
    debit_after: int
    credit_after: int


class Posted(msgspec.Struct, frozen=True):
    """A journal as it stands in the books: its number, and when it was posted."""

    merchant_id: int
    number: int
    cause: str
    at: datetime
    lines: tuple[PostedLine, ...]
    #: True where the cause had been posted before: nothing moved now.
    repeated: bool = False


class Account(msgspec.Struct, frozen=True):
    """An account with its balance (credits minus debits) and what is held of it."""

    merchant_id: int
    number: int
    code: str
    currency: str
    normal_side: NormalSide
    floor: int | None
    balance: int
    held: int
    created_at: datetime

    @property
    def available(self) -> int:
        """What may still be debited, were the floor zero."""
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class Hold:
    """Amounts set aside on accounts (number, amount) until they are posted, voided or expired."""

    merchant_id: int
    id: str
    parts: tuple[tuple[int, int], ...]
    created_at: datetime
    expires_at: datetime | None = None
    status: HoldStatus = "open"
    ended_at: datetime | None = None

    def __post_init__(self) -> None:
        assert self.parts, "a hold holds something"
        assert all(amount > 0 for _, amount in self.parts), "each part of a hold is positive"
        assert len({account for account, _ in self.parts}) == len(self.parts), "one part an account"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsWanted:
    """A page of accounts: older than `after`, or the nearest ones newer than `before` (numbers)."""

    after: int | None = None
    before: int | None = None
    #: What their codes begin with.
    prefix: str = ""
    currency: str | None = None
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Movement:
    """What one journal did to a few accounts seen together, and where they stood after it."""

    journal: int
    cause: str
    at: datetime
    currency: str
    amounts: dict[int, int]
    balances: dict[int, int]


@dataclass(frozen=True, slots=True)
class BookedLine:
    """One line as the database has it."""

    journal: int
    line: int
    cause: str
    currency: str
    debit: int
    credit: int
    amount: int
    debit_after: int
    credit_after: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Seal:
    """A link of the hash chain over a merchant's journals."""

    merchant_id: int
    number: int
    first_journal: int
    last_journal: int
    last_at: datetime
    previous: bytes
    #: 16 bytes for each journal of the range.
    digests: bytes
    hash: bytes
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class Digest:
    """What a range of journals digests to now, and which journals are there."""

    journals: tuple[int, ...]
    last_at: datetime | None
    digests: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in the books that is not as it must be."""

    merchant_id: int
    what: str
    journal: int | None = None
    line: int | None = None
    found: int | None = None
    expected: int | None = None

    def __str__(self) -> str:
        where = "" if self.journal is None else f" at journal {self.journal}"
        where += "" if self.line is None else f", line {self.line}"
        seen = "" if self.found is None else f": found {self.found}, expected {self.expected}"
        return f"merchant {self.merchant_id}: {self.what}{where}{seen}"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a merchant's chain; keep it elsewhere, and no history can be cut off unseen."""

    merchant_id: int
    seal: int
    last_journal: int
    hash: str


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit of the books has found."""

    merchants: int
    journals: int
    accounts: int
    seals: int
    differences: tuple[Difference, ...]
    heads: tuple[Head, ...]

    @property
    def is_good(self) -> bool:
        """Whether everything is as it must be."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stood, right after a journal of the books."""

    journal: int
    balance: int


@dataclass(frozen=True, slots=True)
class TrialRow:
    """All accounts of one kind and currency added up (credits minus debits)."""

    currency: str
    kind: str
    normal_side: str
    accounts: int
    balance: int


def movements_of(lines: Sequence[BookedLine], standing: Mapping[int, int]) -> list[Movement]:
    """Gather lines, newest first, by journal; `standing` is where the accounts stood after them."""
    balances = dict(standing)
    movements: list[Movement] = []
    for number, group in groupby(lines, key=lambda line: line.journal):
        amounts = dict.fromkeys(balances, 0)
        booked = list(group)
        for line in booked:
            if line.debit in amounts:
                amounts[line.debit] -= line.amount
            if line.credit in amounts:
                amounts[line.credit] += line.amount
        first = booked[0]
        movements.append(
            Movement(number, first.cause, first.at, first.currency, amounts, dict(balances))
        )
        balances = {account: balances[account] - amounts[account] for account in balances}
    return movements


def wallet_principal(wallet_id: str, currency: str) -> AccountTerms:
    """What a customer paid in and has not spent."""
    return AccountTerms(f"wallet:{wallet_id}:principal", currency, floor=0)


def wallet_bonus(wallet_id: str, currency: str) -> AccountTerms:
    """What a customer was given and has not spent."""
    return AccountTerms(f"wallet:{wallet_id}:bonus", currency, floor=0)


def sales(currency: str) -> AccountTerms:
    """What the merchant has sold, to customers who paid directly or from a wallet."""
    return AccountTerms("sales", currency)


def promotions(currency: str) -> AccountTerms:
    """What bonuses have cost the merchant."""
    return AccountTerms("expense:promotions", currency, "debit")


def receivable(provider: str, currency: str) -> AccountTerms:
    """What a provider has collected and not yet paid out."""
    return AccountTerms(f"provider:{provider}:receivable", currency, "debit")
