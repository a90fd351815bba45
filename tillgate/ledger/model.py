"""Accounts, journals and lines as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

NormalSide = Literal["credit", "debit"]


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What an account is opened with. `floor=None`: it may go anywhere."""

    code: str
    currency: str
    normal_side: NormalSide = "credit"
    floor: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Move `amount` minor units from account number `debit` to account number `credit`."""

    debit: int
    credit: int
    amount: int

    def __post_init__(self) -> None:
        assert self.amount > 0, "a line moves something"
        assert self.debit != self.credit, "a line moves value between two accounts"


@dataclass(frozen=True, slots=True)
class Journal:
    """All lines of one cause, posted together or not at all."""

    merchant_id: int
    cause: str
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        assert self.lines, "a journal has lines"


@dataclass(frozen=True, slots=True)
class PostedLine:
    """A line as it stands in the books."""

    debit: int
    credit: int
    amount: int
    currency: str
    debit_after: int
    credit_after: int


@dataclass(frozen=True, slots=True)
class Posted:
    """A journal as it stands in the books: its number, and when it was posted."""

    merchant_id: int
    number: int
    cause: str
    at: datetime
    lines: tuple[PostedLine, ...]
    #: True where the cause had been posted before: nothing moved now.
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Account:
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
class Posting:
    """One side of a line, seen from its account. `amount` is signed: + for a credit."""

    account: int
    journal: int
    line: int
    cause: str
    currency: str
    amount: int
    balance_after: int
    other_account: int
    at: datetime
