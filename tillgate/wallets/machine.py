"""The rules of wallets: status moves, which part is spent first, which day a limit counts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class Status(Enum):
    """Where a wallet is in its life."""

    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


class News(Enum):
    """What the merchant tells us about a wallet."""

    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    CLOSED = "closed"
    REOPENED = "reopened"


MOVES: Final[Mapping[tuple[Status, News], Status]] = MappingProxyType(
    {
        (Status.OPEN, News.FROZEN): Status.FROZEN,
        (Status.OPEN, News.UNFROZEN): Status.OPEN,
        (Status.OPEN, News.CLOSED): Status.CLOSED,
        (Status.OPEN, News.REOPENED): Status.OPEN,
        (Status.FROZEN, News.FROZEN): Status.FROZEN,
        (Status.FROZEN, News.UNFROZEN): Status.OPEN,
        (Status.FROZEN, News.CLOSED): Status.CLOSED,
        (Status.FROZEN, News.REOPENED): Status.FROZEN,
        (Status.CLOSED, News.CLOSED): Status.CLOSED,
        (Status.CLOSED, News.REOPENED): Status.OPEN,
    }
)

#: What a journal meant to the wallets on it, by the first word of its cause.
TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "payment": "top_up",
        "bonus": "bonus",
        "spend": "spend",
        "spend_refund": "spend_refund",
        "capture": "capture",
        "transfer": "transfer",
        "refund": "refund",
        "refund_failed": "refund_reversal",
    }
)


def after(status: Status, news: News) -> Status | None:
    """Return the status once `news` has been heard; None where it cannot be."""
    return MOVES.get((status, news))


def type_of(cause: str, amount: int) -> str:
    """Return what a journal with this cause is called on a wallet's statement."""
    found = TYPES.get(cause.partition(":")[0], "adjustment")
    if found == "transfer":
        return "transfer_in" if amount > 0 else "transfer_out"
    return found


def split_spend(amount: int, principal: int, bonus: int) -> tuple[int, int] | None:
    """Take `amount` from principal first, then from bonus; None where there is not enough."""
    from_principal = min(amount, max(principal, 0))
    from_bonus = amount - from_principal
    return (from_principal, from_bonus) if from_bonus <= bonus else None


def split_refund(amount: int, principal_left: int, bonus_left: int) -> tuple[int, int] | None:
    """Give `amount` of a spend back from its end: bonus first; None where less was spent."""
    to_bonus = min(amount, bonus_left)
    to_principal = amount - to_bonus
    return (to_principal, to_bonus) if to_principal <= principal_left else None
