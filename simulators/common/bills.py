"""The rows of a bill: what the books say happened on one Beijing day, plus ordered mistakes."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec

from simulators.common.books import Books, Order, OrderState, Refund, RefundState
from simulators.common.clock import in_beijing

_TEN_THOUSAND: Final = 10_000


class ExtraRow(msgspec.Struct, frozen=True):
    """A payment that stands in the bill and in nobody's books."""

    out_trade_no: str
    amount: int
    trade_no: str = ""
    subject: str = "extra"


class BillChange(msgspec.Struct, frozen=True):
    """How the next bills differ from the books. Numbers are the merchant's, of order or refund.

    `is_ready` lets even today's bill be fetched, so that nobody has to wait for tomorrow.
    """

    missing: tuple[str, ...] = ()
    extra: tuple[ExtraRow, ...] = ()
    different: dict[str, int] = {}
    is_ready: bool = False


@dataclass(frozen=True, slots=True)
class BillRow:
    """One payment or refund. Amounts are fen and positive; `fee` is what the provider keeps."""

    at: float
    created_at: float
    trade_no: str
    out_trade_no: str
    subject: str
    product: str
    payer: str
    amount: int
    fee: int
    refund_id: str = ""
    out_refund_no: str = ""
    refund_created_at: float = 0.0
    attach: str = ""

    @property
    def is_refund(self) -> bool:
        """Whether money went back."""
        return self.refund_id != ""


def fee_of(amount: int, basis_points: int) -> int:
    """The provider's fee, rounded half up to a fen."""
    return (amount * basis_points * 2 + _TEN_THOUSAND) // (2 * _TEN_THOUSAND)


def cell(text: str) -> str:
    """Text that cannot break a line of CSV."""
    return text.replace(",", "，").replace("\r", " ").replace("\n", " ")


def rows_of_day(
    books: Books, merchant: str, day: str, basis_points: int, change: BillChange
) -> list[BillRow]:
    """Payments and finished refunds of the day (`YYYY-MM-DD`, or a month `YYYY-MM`) in order."""
    rows = [
        _payment_row(order, basis_points)
        for order in books.orders.values()
        if order.merchant == merchant and order.state is OrderState.PAID
    ]
    rows += [
        _refund_row(books.orders[refund.order_id], refund, basis_points)
        for refund in books.refunds.values()
        if refund.merchant == merchant and refund.state is RefundState.SUCCESS
    ]
    kept = [row for row in rows if in_beijing(row.at).strftime("%Y-%m-%d").startswith(day)]
    kept.sort(key=lambda row: row.at)
    return _changed(kept, day, basis_points, change)


def _changed(rows: list[BillRow], day: str, basis_points: int, change: BillChange) -> list[BillRow]:
    kept = [row for row in rows if _number(row) not in change.missing]
    told = [
        replace(row, amount=change.different[_number(row)])
        if _number(row) in change.different
        else row
        for row in kept
    ]
    return told + [_extra_row(extra, day, basis_points) for extra in change.extra]


def _number(row: BillRow) -> str:
    return row.out_refund_no or row.out_trade_no


def _payment_row(order: Order, basis_points: int) -> BillRow:
    return BillRow(
        at=order.paid_at,
        created_at=order.created_at,
        trade_no=order.extra.get("transaction_id", order.id),
        out_trade_no=order.out_trade_no,
        subject=order.subject,
        product=order.product,
        payer=order.payer,
        amount=order.amount,
        fee=fee_of(order.amount, basis_points),
        attach=order.extra.get("attach", ""),
    )


def _refund_row(order: Order, refund: Refund, basis_points: int) -> BillRow:
    return replace(
        _payment_row(order, basis_points),
        at=refund.done_at,
        amount=refund.amount,
        fee=fee_of(refund.amount, basis_points),
        refund_id=refund.id,
        out_refund_no=refund.out_refund_no,
        refund_created_at=refund.created_at,
    )


def _extra_row(extra: ExtraRow, day: str, basis_points: int) -> BillRow:
    date = day if len(day) == len("2026-01-01") else f"{day}-01"
    noon = datetime.strptime(f"{date} 12:00:00 +0800", "%Y-%m-%d %H:%M:%S %z")
    return BillRow(
        at=noon.timestamp(),
        created_at=noon.timestamp(),
        trade_no=extra.trade_no or "9" * 28,
        out_trade_no=extra.out_trade_no,
        subject=extra.subject,
        product="extra",
        payer="",
        amount=extra.amount,
        fee=fee_of(extra.amount, basis_points),
    )
