"""What Alipay and WeChat Pay share: an order that a payer opens, pays, declines or lets expire."""

import asyncio
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from typing import Final

from simulators.common.books import Books, Numbers, Order, OrderState, Refund, RefundState
from simulators.common.faults import NOTHING, Drawn, FaultKind, Stage
from simulators.common.forgetting import RESTING_SECONDS, Forgetting
from simulators.common.notices import Notice, Sender
from simulators.common.simulator import NoSuchOrder, PhoneOrder, Setup, Simulator, WrongState

_OPEN: Final = frozenset({OrderState.CREATED, OrderState.WAITING})
_WRONG_BY: Final = 1
_PHONE_ORDERS: Final = 60
# Enough to send any recent notice again; a long benchmark must not fill the memory.
_KEPT_NOTICES: Final = 5000


class OrderSimulator(Simulator):
    """A provider whose orders are paid on the payer's phone."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.books = Books(self.shelf)
        self.forgetting = Forgetting(setup.keep_orders)
        self.numbers = Numbers()
        self._by_link: dict[str, str] = {
            order.pay_url: order.id for order in self.books.orders.values() if order.pay_url
        }
        self._last_notice: OrderedDict[str, Notice] = OrderedDict()
        self._sender = self.make_sender()

    @abstractmethod
    def make_sender(self) -> Sender:
        """The sender with this provider's rules."""

    @abstractmethod
    def payment_notice(self, order: Order, *, amount: int) -> Notice:
        """The notice that the order is paid, saying this amount."""

    @abstractmethod
    def refund_notice(self, refund: Refund) -> Notice:
        """The notice that a refund came to its end."""

    @abstractmethod
    def merchant_name(self, order: Order) -> str:
        """Whom the payer pays."""

    @abstractmethod
    def return_link(self, order: Order) -> str:
        """Where the payer's browser goes back to, or nothing."""

    @property
    def sender(self) -> Sender:
        """Delivers this provider's notices."""
        return self._sender

    def find(self, order_id: str) -> Order:
        """By the provider's id or the merchant's number."""
        order = self.books.orders.get(order_id) or self.books.order_numbered(order_id)
        if order is None:
            raise NoSuchOrder(f"{self.name} has no order {order_id}")
        self.expire(order)
        return order

    def add_order(self, order: Order) -> None:
        """Open an order and remember its link."""
        self.books.add_order(order)
        if order.pay_url:
            self._by_link[order.pay_url] = order.id
        self._forget_old()

    def forget(self, order: Order) -> None:
        """Forget an order that is over."""
        self.books.forget(order)
        self._last_notice.pop(order.id, None)

    def _forget_old(self) -> None:
        surplus = self.forgetting.surplus(len(self.books.orders))
        if not surplus:
            return
        untold = {notice.order_id for notice in self.sender.unfinished.values()}
        before = self.clock.seconds() - RESTING_SECONDS
        over = (
            order
            for order in self.books.orders.values()
            # The young ones, which may be many, are not looked at any closer.
            if order.created_at <= before
            and order.id not in untold
            and self._is_over(order, before)
        )
        for order in list(islice(over, surplus)):
            self.forget(order)
        kept = self.books.orders
        self._by_link = {link: name for link, name in self._by_link.items() if name in kept}
        self.forgetting.looked(len(kept))

    def _is_over(self, order: Order, before: float) -> bool:
        self.expire(order)
        refunds = self.books.refunds_of(order)
        if order.state in _OPEN or any(r.state is RefundState.PROCESSING for r in refunds):
            return False
        last = max(order.paid_at, order.closed_at, *(refund.done_at for refund in refunds))
        return last <= before

    def relink(self, order: Order, link: str) -> None:
        """Give the order another link; the older one goes on working."""
        order.pay_url = link
        self._by_link[link] = order.id
        self.books.save_order(order)

    def expire(self, order: Order) -> None:
        """Close the order if its time has passed."""
        if order.state in _OPEN and self.clock.seconds() >= order.expires_at:
            self._close(order)

    def is_open(self, order: Order) -> bool:
        """Whether it could still be paid."""
        self.expire(order)
        return order.state in _OPEN

    def open_order(self, order_id: str) -> PhoneOrder:
        """The payer looks at the order: from now on the provider knows of the trade."""
        order = self.find(order_id)
        if order.state is OrderState.CREATED:
            order.state = OrderState.WAITING
            self.books.save_order(order)
        return self.show(order)

    def phone_orders(self) -> list[PhoneOrder]:
        """The newest orders."""
        newest = list(self.books.orders.values())[-_PHONE_ORDERS:]
        for order in newest:
            self.expire(order)
        return [self.show(order) for order in reversed(newest)]

    def phone_order(self, order_id: str) -> PhoneOrder:
        """One order, without touching it."""
        return self.show(self.find(order_id))

    def scan(self, content: str) -> str | None:
        """The order behind a link that we gave out."""
        return self._by_link.get(content.strip())

    def pay(self, order_id: str, *, late: bool = False) -> PhoneOrder:
        """The payer pays, unless the bank refuses."""
        order = self.find(order_id)
        drawn = self.plan.draw(Stage.PAY, "pay", order.amount, order.out_trade_no)
        if drawn.kind is FaultKind.DECLINE:
            return self.decline(order.id)
        self.take_payment(order, drawn, late=late)
        return self.show(order)

    def take_payment(self, order: Order, drawn: Drawn = NOTHING, *, late: bool = False) -> None:
        """Money moves: write it down and tell the merchant."""
        if order.state is OrderState.PAID:
            raise WrongState(f"{order.out_trade_no} is paid already")
        if order.state is OrderState.CLOSED and not late:
            raise WrongState(f"{order.out_trade_no} is closed")
        is_wrong = drawn.kind is FaultKind.WRONG_AMOUNT
        order.told_amount = order.amount + _WRONG_BY if is_wrong else 0
        order.state = OrderState.PAID
        order.paid_at = self.clock.seconds()
        self.settle_order(order)
        self.books.save_order(order)
        self._notify_payment(order)

    def pay_by_itself(self, order: Order, drawn: Drawn) -> None:
        """Some orders are paid by nobody: before the answer, or right (or a while) after it."""
        if drawn.kind is FaultKind.NOTICE_FIRST:
            self.take_payment(order)
        elif drawn.kind is FaultKind.PAID_AT_ONCE:
            self.later(drawn.seconds, lambda: self._pay_if_open(order))

    def _pay_if_open(self, order: Order) -> None:
        if self.is_open(order):
            self.take_payment(order)

    def settle_order(self, order: Order) -> None:
        """What else a provider writes down at payment."""

    def decline(self, order_id: str) -> PhoneOrder:
        """The bank refuses; the order stays open and no notice is sent, as in real life."""
        order = self.find(order_id)
        if order.state not in _OPEN:
            raise WrongState(f"{order.out_trade_no} is {order.state}")
        order.state = OrderState.WAITING
        order.declined += 1
        self.books.save_order(order)
        return self.show(order)

    def close(self, order_id: str) -> PhoneOrder:
        """The provider closes an unpaid order."""
        order = self.find(order_id)
        if order.state is OrderState.PAID:
            raise WrongState(f"{order.out_trade_no} is paid")
        if order.state is not OrderState.CLOSED:
            self._close(order)
        return self.show(order)

    def renotify(self, order_id: str, times: int = 1) -> int:
        """Send the last notice of the order again, all at once."""
        order = self.find(order_id)
        notice = self._last_notice.get(order.id)
        if notice is None:
            if order.state is not OrderState.PAID:
                raise WrongState(f"{order.out_trade_no} has had no notice")
            notice = self.payment_notice(order, amount=order.told_amount or order.amount)
        for _ in range(times):
            self.sender.post(notice)
        return times

    def finish_refund(self, refund_id: str, state: str) -> None:
        """Bring a refund to its end and tell the merchant."""
        for refund in self.books.refunds.values():
            if refund_id in (refund.id, refund.out_refund_no):
                self.end_refund(refund, RefundState(state))
                return
        raise NoSuchOrder(f"{self.name} has no refund {refund_id}")

    def end_refund(self, refund: Refund, state: RefundState) -> None:
        """The refund succeeds or fails; money that did not move may be refunded again."""
        if refund.state is state:
            return
        order = self.books.orders[refund.order_id]
        held = (RefundState.PROCESSING, RefundState.SUCCESS)
        if refund.state in held and state not in held:
            order.refunded -= refund.amount
        elif refund.state not in held and state in held:
            order.refunded += refund.amount
        refund.state = state
        refund.done_at = self.clock.seconds()
        self.books.save_refund(refund)
        self.books.save_order(order)
        drawn = self.plan.draw(Stage.NOTICE, "notice.refund", None, refund.out_refund_no)
        self._post(order, self.refund_notice(refund), drawn)

    def finish_refund_later(self, refund: Refund, seconds: float, fate: RefundState) -> None:
        """Let a refund come to its end by itself; `processing` as its fate is for ever."""
        refund.extra = {"fate": fate.value}
        self.books.save_refund(refund)
        self._schedule(refund, seconds)

    async def start(self) -> None:
        """Go on with the refunds that were under way."""
        await super().start()
        self._forget_old()
        for refund in self.books.refunds.values():
            if refund.state is RefundState.PROCESSING and "fate" in refund.extra:
                self._schedule(refund, 1.0)

    def _schedule(self, refund: Refund, seconds: float) -> None:
        def finish() -> None:
            if refund.state is RefundState.PROCESSING:
                self.end_refund(refund, RefundState(refund.extra["fate"]))

        self.later(seconds, finish)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen by itself after a while, sooner at a higher speed."""
        asyncio.get_running_loop().call_later(seconds / self.setup.speed, act)

    def export(self) -> dict[str, object]:
        """The books, with every order's time looked at."""
        for order in self.books.orders.values():
            self.expire(order)
        return {"provider": self.name} | self.books.export()

    def reset(self) -> None:
        """Forget every order and notice."""
        self.books.clear()
        self._by_link.clear()
        self._last_notice.clear()

    def show(self, order: Order) -> PhoneOrder:
        """The order as the phone shows it."""
        is_refunded = order.state is OrderState.PAID and order.refunded >= order.amount
        status = OrderState.WAITING if order.state is OrderState.CREATED else order.state
        return PhoneOrder(
            provider=self.name,
            id=order.id,
            out_trade_no=order.out_trade_no,
            merchant=self.merchant_name(order),
            amount=order.amount,
            currency=order.currency,
            subject=order.subject,
            product=order.product,
            status="refunded" if is_refunded else status.value,
            created_at=order.created_at,
            expires_at=order.expires_at,
            return_to=self.return_link(order),
            declined=order.declined,
        )

    def _close(self, order: Order) -> None:
        order.state = OrderState.CLOSED
        order.closed_at = min(self.clock.seconds(), order.expires_at)
        self.books.save_order(order)

    def _notify_payment(self, order: Order) -> None:
        drawn = self.plan.draw(Stage.NOTICE, "notice.payment", order.amount, order.out_trade_no)
        told = order.told_amount or order.amount
        if drawn.kind is FaultKind.WRONG_AMOUNT:
            told = order.amount + _WRONG_BY
        self._post(order, self.payment_notice(order, amount=told), drawn)

    def _post(self, order: Order, notice: Notice, drawn: Drawn) -> None:
        if notice.url:
            self._last_notice[order.id] = notice
            if len(self._last_notice) > _KEPT_NOTICES:
                self._last_notice.popitem(last=False)
        self.sender.post(notice, drawn)


def yuan(amount: int) -> str:
    """Fen as the yuan text that bills and Alipay use."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


@lru_cache(maxsize=512)
def fen(text: str) -> int | None:
    """Yuan text with at most two decimals as fen; None when it is not that."""
    whole, point, part = text.partition(".")
    if not whole.isascii() or not whole.isdigit() or len(whole) > 12:
        return None
    if point and not (part.isascii() and part.isdigit() and len(part) <= 2):
        return None
    return int(whole) * 100 + int(part.ljust(2, "0") or "0")
