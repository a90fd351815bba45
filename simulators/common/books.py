"""The provider's own books: orders, refunds and unfinished notices.

They live in memory; with a file, every change is written behind within 50 ms, so a simulator that
is stopped and started again on the same file still knows them. `Shelf` is the file; a simulator
with other kinds of records keeps them there too, under its own kind names.
"""

import asyncio
import contextlib
import itertools
import sqlite3
import time
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from simulators.common.clock import day

_FLUSH_SECONDS: Final = 0.05
_Record = TypeVar("_Record", bound=msgspec.Struct)


class OrderState(StrEnum):
    """The life of an order. `created` means that no payer has opened it yet."""

    CREATED = "created"
    WAITING = "waiting"
    PAID = "paid"
    CLOSED = "closed"


class RefundState(StrEnum):
    """The life of a refund."""

    PROCESSING = "processing"
    SUCCESS = "success"
    ABNORMAL = "abnormal"
    CLOSED = "closed"


class Order(msgspec.Struct, kw_only=True):
    """What a merchant asked a payer for. Instants are epoch seconds, amounts minor units."""

    id: str
    merchant: str
    app_id: str
    out_trade_no: str
    amount: int
    currency: str
    product: str
    subject: str
    state: OrderState
    created_at: float
    expires_at: float
    notify_url: str = ""
    return_url: str = ""
    pay_url: str = ""
    fingerprint: str = ""
    payer: str = ""
    paid_at: float = 0.0
    closed_at: float = 0.0
    refunded: int = 0
    # What the provider says was paid, when it says another amount than it took.
    told_amount: int = 0
    declined: int = 0
    extra: dict[str, str] = {}


class Refund(msgspec.Struct, kw_only=True):
    """Money given back on one order."""

    id: str
    order_id: str
    merchant: str
    out_refund_no: str
    amount: int
    state: RefundState
    created_at: float
    fingerprint: str = ""
    notify_url: str = ""
    reason: str = ""
    done_at: float = 0.0
    extra: dict[str, str] = {}


class Shelf:
    """Records kept by kind and key, written behind to SQLite when there is a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._dirty: dict[tuple[str, str], msgspec.Struct | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._database: sqlite3.Connection | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
                "CREATE TABLE IF NOT EXISTS records"
                " (kind TEXT, key TEXT, body BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID;"
            )

    def load(self, kind: str, record_type: type[_Record]) -> dict[str, _Record]:
        """Everything of one kind, as it was left."""
        if self._database is None:
            return {}
        rows = self._database.execute("SELECT key, body FROM records WHERE kind = ?", (kind,))
        decoder = msgspec.json.Decoder(record_type)
        return {key: decoder.decode(body) for key, body in rows}

    def put(self, kind: str, key: str, record: msgspec.Struct) -> None:
        """Remember that the record changed; it is read when it is written."""
        if self._database is not None:
            self._mark(kind, key, record)

    def drop(self, kind: str, key: str) -> None:
        """Forget the record."""
        if self._database is not None:
            self._mark(kind, key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._dirty.clear()
        if self._database is not None:
            self._database.execute("DELETE FROM records")

    def flush(self) -> None:
        """Write what is waiting, in one transaction."""
        self._timer = None
        if self._database is None or not self._dirty:
            return
        dirty, self._dirty = self._dirty, {}
        kept = [(k, key, msgspec.json.encode(r)) for (k, key), r in dirty.items() if r is not None]
        gone = [pair for pair, record in dirty.items() if record is None]
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", kept)
        self._database.executemany("DELETE FROM records WHERE kind = ? AND key = ?", gone)
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Write what is waiting and let go of the file."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _mark(self, kind: str, key: str, record: msgspec.Struct | None) -> None:
        self._dirty[kind, key] = record
        if self._timer is None:
            with contextlib.suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(_FLUSH_SECONDS, self.flush)


class Books:
    """Orders and refunds of one provider, with the ways a provider looks them up."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.orders: dict[str, Order] = {}
        self.refunds: dict[str, Refund] = {}
        self._by_number: dict[tuple[str, str], Order] = {}
        self._newest: dict[str, Order] = {}
        self._by_refund_number: dict[tuple[str, str], Refund] = {}
        self._of_order: dict[str, list[Refund]] = {}
        for order in shelf.load("order", Order).values():
            self._index_order(order)
        for refund in shelf.load("refund", Refund).values():
            self._index_refund(refund)

    def add_order(self, order: Order) -> None:
        """Open an order."""
        self._index_order(order)
        self.save_order(order)

    def save_order(self, order: Order) -> None:
        """The order changed."""
        self.shelf.put("order", order.id, order)

    def add_refund(self, refund: Refund) -> None:
        """Open a refund."""
        self._index_refund(refund)
        self.save_refund(refund)

    def save_refund(self, refund: Refund) -> None:
        """The refund changed."""
        self.shelf.put("refund", refund.id, refund)

    def order_of(self, merchant: str, out_trade_no: str) -> Order | None:
        """By the merchant's number."""
        return self._by_number.get((merchant, out_trade_no))

    def order_numbered(self, out_trade_no: str) -> Order | None:
        """By the merchant's number alone, for people and tests: the newest that bears it."""
        return self._newest.get(out_trade_no)

    def refund_of(self, merchant: str, out_refund_no: str) -> Refund | None:
        """By the merchant's refund number."""
        return self._by_refund_number.get((merchant, out_refund_no))

    def refunds_of(self, order: Order) -> list[Refund]:
        """Every refund of one order, oldest first."""
        return self._of_order.get(order.id, [])

    def forget(self, order: Order) -> None:
        """Forget one order with its refunds."""
        for refund in self._of_order.pop(order.id, []):
            del self.refunds[refund.id]
            self._by_refund_number.pop((refund.merchant, refund.out_refund_no), None)
            self.shelf.drop("refund", refund.id)
        del self.orders[order.id]
        self.shelf.drop("order", order.id)
        if self._newest.get(order.out_trade_no) is order:
            del self._newest[order.out_trade_no]
        number = (order.merchant, order.out_trade_no)
        if self._by_number.get(number) is order:
            del self._by_number[number]

    def clear(self) -> None:
        """Forget everything."""
        for index in (self.orders, self.refunds, self._by_number, self._by_refund_number):
            index.clear()
        self._of_order.clear()
        self._newest.clear()
        self.shelf.clear()

    def export(self) -> dict[str, object]:
        """Everything, for a checker written apart."""
        orders = [msgspec.structs.asdict(order) for order in self.orders.values()]
        refunds = [
            msgspec.structs.asdict(refund)
            | {"out_trade_no": self.orders[refund.order_id].out_trade_no}
            for refund in self.refunds.values()
        ]
        return {"orders": orders, "refunds": refunds}

    def _index_order(self, order: Order) -> None:
        self.orders[order.id] = order
        self._by_number[order.merchant, order.out_trade_no] = order
        self._newest[order.out_trade_no] = order

    def _index_refund(self, refund: Refund) -> None:
        self.refunds[refund.id] = refund
        self._by_refund_number[refund.merchant, refund.out_refund_no] = refund
        self._of_order.setdefault(refund.order_id, []).append(refund)


class Numbers:
    """The provider's own numbers: a day, then digits that never repeat, even after a restart."""

    def __init__(self) -> None:
        self._counter = itertools.count(time.time_ns() // 1000)

    def next(self, seconds: float, prefix: str = "", digits: int = 28) -> str:
        """A number of exactly `digits` digits."""
        start = prefix + day(seconds)
        return start + str(next(self._counter)).zfill(digits - len(start))
