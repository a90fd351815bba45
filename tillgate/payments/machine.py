"""The lives of attempts, payments and refunds, as tables: pure, no clock, no database, no provider.

A missing pair is a contradiction: nothing moves, and a break is opened for a person to look at.
The same grids stand in the docs; a test parses them and compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tillgate.connectors import port


class Status(StrEnum):
    """Where an attempt stands."""

    CREATED = "created"  # committed, not yet called, or its process died while calling
    WAITING = "waiting"  # the provider has the order
    UNKNOWN = "unknown"  # we called and cannot tell
    AUTHORISED = "authorised"  # money reserved, not taken
    MISMATCHED = "mismatched"  # paid, they say, but not what we asked: held back, looked at
    PAID = "paid"
    DECLINED = "declined"
    NOT_SENT = "not_sent"
    CLOSED = "closed"
    RETURNED = "returned"  # was mismatched, and a person has seen to it that the payer has it back


class News(StrEnum):
    """What was heard, bare."""

    WAITING = "waiting"
    UNKNOWN = "unknown"
    AUTHORISED = "authorised"
    MISMATCHED = "mismatched"
    PAID = "paid"
    DECLINED = "declined"
    NOT_SENT = "not_sent"
    CLOSED = "closed"
    ABSENT = "absent"  # the provider's records do not hold it (yet)


#: An attempt that can still become paid while we look: only one of them per payment.
OPEN: Final = frozenset(
    {Status.CREATED, Status.WAITING, Status.UNKNOWN, Status.AUTHORISED, Status.MISMATCHED}
)

#: `!` is a contradiction. Money that comes late is still money: everything but `paid` can turn paid.
GRID: Final = """
             waiting     unknown     authorised  mismatched  paid  declined  not_sent  closed  absent
created      waiting     unknown     authorised  mismatched  paid  declined  not_sent  closed  created
unknown      waiting     unknown     authorised  mismatched  paid  declined  unknown   closed  unknown
waiting      waiting     waiting     authorised  mismatched  paid  declined  waiting   closed  waiting
authorised   authorised  authorised  authorised  mismatched  paid  declined  authorised closed authorised
mismatched   mismatched  mismatched  mismatched  mismatched  paid  mismatched mismatched mismatched mismatched
paid         paid        paid        paid        !           paid  !         paid      paid    paid
declined     declined    declined    !           mismatched  paid  declined  declined  declined declined
not_sent     not_sent    not_sent    !           mismatched  paid  declined  not_sent  closed  not_sent
closed       closed      closed      closed      mismatched  paid  closed    closed    closed  closed
returned     returned    returned    returned    returned    paid  returned  returned  returned returned
"""


class RefundStatus(StrEnum):
    """Where a refund stands. On the wire `created` and `unknown` are `pending`."""

    CREATED = "created"
    UNKNOWN = "unknown"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefundNews(StrEnum):
    """What was heard of a refund, bare."""

    PENDING = "pending"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_SENT = "not_sent"
    ABSENT = "absent"


#: A refund may fail after it had succeeded (the money came back): the customer is credited again.
REFUND_GRID: Final = """
             pending    unknown    succeeded  failed  not_sent   absent
created      pending    unknown    succeeded  failed  created    created
unknown      pending    unknown    succeeded  failed  unknown    unknown
pending      pending    pending    succeeded  failed  pending    pending
succeeded    succeeded  succeeded  succeeded  failed  succeeded  succeeded
failed       failed     failed     !          failed  failed     failed
"""


class PaymentStatus(StrEnum):
    """Where a payment stands, in the wire's own words."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


CONFIRMABLE: Final = frozenset(
    {PaymentStatus.REQUIRES_PAYMENT_METHOD, PaymentStatus.REQUIRES_CONFIRMATION}
)
CANCELABLE: Final = CONFIRMABLE | {
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.REQUIRES_CAPTURE,
    PaymentStatus.PROCESSING,
}


class Contradiction(Exception):
    """This news cannot follow this state."""


def read_grid(grid: str) -> dict[tuple[str, str], str]:
    """Read a grid: columns are news, rows are states; `!` pairs are left out."""
    header, *rows = [line.split() for line in grid.strip().splitlines()]
    return {
        (state, news): target
        for state, *targets in rows
        for news, target in zip(header, targets, strict=True)
        if target != "!"
    }


MOVES: Final[Mapping[tuple[str, str], str]] = read_grid(GRID)
REFUND_MOVES: Final[Mapping[tuple[str, str], str]] = read_grid(REFUND_GRID)


def after(status: str, news: str) -> Status:
    """Return the attempt's status once `news` has been heard. Old news changes nothing."""
    try:
        return Status(MOVES[status, news])
    except KeyError:
        raise Contradiction(f"{news} after {status}") from None


def refund_after(status: str, news: str) -> RefundStatus:
    """Return the refund's status once `news` has been heard."""
    try:
        return RefundStatus(REFUND_MOVES[status, news])
    except KeyError:
        raise Contradiction(f"{news} after {status}") from None


def news_of(outcome: object) -> News:
    """Return the bare kind of an outcome."""
    match outcome:
        case port.Paid():
            return News.PAID
        case port.Waiting(on="capture"):
            return News.AUTHORISED
        case port.Waiting():
            return News.WAITING
        case port.Declined():
            return News.DECLINED
        case port.NotSent() | port.CaptureRefused():
            return News.NOT_SENT
        case port.Closed():
            return News.CLOSED
        case port.NotFound():
            return News.ABSENT
        case _:
            return News.UNKNOWN


def refund_news_of(outcome: object) -> RefundNews:
    """Return the bare kind of a refund's outcome."""
    match outcome:
        case port.Refunded():
            return RefundNews.SUCCEEDED
        case port.RefundPending():
            return RefundNews.PENDING
        case port.RefundFailed():
            return RefundNews.FAILED
        case port.NotSent():
            return RefundNews.NOT_SENT
        case port.NotFound():
            return RefundNews.ABSENT
        case _:
            return RefundNews.UNKNOWN


def payment_status(attempt: str, *, on: str, canceling: bool) -> PaymentStatus:
    """Return where a payment stands whose latest attempt stands at `attempt`.

    `on`: whom a waiting attempt waits for. `canceling`: the merchant or the deadline wants it ended.
    """
    match attempt:
        case Status.PAID:
            return PaymentStatus.SUCCEEDED
        case Status.AUTHORISED:
            return PaymentStatus.REQUIRES_CAPTURE
        case Status.WAITING if on == "customer":
            return PaymentStatus.REQUIRES_ACTION
        case Status.DECLINED | Status.NOT_SENT | Status.CLOSED | Status.RETURNED:
            return PaymentStatus.CANCELED if canceling else PaymentStatus.REQUIRES_PAYMENT_METHOD
        case _:
            return PaymentStatus.PROCESSING


def is_released(attempt: str, authorised: int) -> bool:
    """Whether an attempt's money was reserved and let go: the wire's charge succeeded all the same."""
    return attempt == Status.CLOSED and authorised > 0


def next_look_up(
    now: datetime,
    look_ups: int,
    *,
    first_seconds: float,
    most_seconds: float,
    deadline: datetime | None,
) -> datetime:
    """Return when to ask the provider again: doubling, capped, and right at the deadline."""
    wait = min(first_seconds * 2 ** min(look_ups, 30), most_seconds)
    moment = now + timedelta(seconds=wait)
    if deadline is not None and now < deadline < moment:
        return deadline
    return moment


def gift_share(gift: int, refunded: int, amount: int) -> int:
    """Return how much of a gift has been taken back once `refunded` of `amount` has been refunded.

    Rounded down, so the customer keeps the odd unit, and exact at the end: all of it for all.
    """
    return gift * refunded // amount
