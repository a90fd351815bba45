"""The trade methods: precreate, page, wap and app orders, query, close, cancel and refunds."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from simulators.alipay.answers import Failed, Node, business, success
from simulators.alipay.biz import Biz, OrderTerms, read_amount, read_biz, read_order, required, text
from simulators.alipay.signing import request_content
from simulators.common.books import Order, OrderState, Refund, RefundState
from simulators.common.clock import wall_time
from simulators.common.faults import NOTHING, Drawn, FaultKind, Stage
from simulators.common.orders import yuan
from simulators.common.signatures import is_signed

if TYPE_CHECKING:
    from simulators.alipay.simulator import Alipay, Merchant

_QR_SECONDS: Final = 2 * 3600.0
_PAGE_SECONDS: Final = 15 * 86400.0
_REFUND_SECONDS: Final = 365 * 86400.0


class Call(msgspec.Struct, frozen=True):
    """One checked call: who asks, what for, and the common parameters."""

    alipay: "Alipay"
    merchant: "Merchant"
    biz: Biz
    parameters: Mapping[str, str]


Work = Callable[[Call, Drawn], Node]


def open_page_order(call: Call, method: str, drawn: Drawn) -> Order:
    """The payer's browser arrived with a signed order: page or wap."""
    product = PAGES[method]
    return _open_order(call, product, _PAGE_SECONDS, drawn)


def open_app_order(alipay: "Alipay", parameters: Mapping[str, str]) -> str | None:
    """The payer's app was handed a signed order string; None when it is not rightly signed."""
    merchant = alipay.merchants.get(parameters.get("app_id", ""))
    if merchant is None:
        return None
    content = request_content(parameters, parameters.get("charset", "utf-8"))
    if not is_signed(merchant.app_key, content, parameters.get("sign", "")):
        return None
    try:
        call = Call(alipay, merchant, read_biz(parameters.get("biz_content", "")), parameters)
        return _open_order(call, "app", _PAGE_SECONDS, NOTHING).id
    except Failed:
        return None


def precreate(call: Call, drawn: Drawn) -> Node:
    """An order with a QR text; asking again with the same terms gives the same QR."""
    order = _open_order(call, "precreate", _QR_SECONDS, drawn)
    return success(out_trade_no=order.out_trade_no, qr_code=order.pay_url)


def query(call: Call, drawn: Drawn) -> Node:
    """The trade's state. Before the payer scans there is no trade."""
    order = _find(call)
    if order.state is OrderState.CREATED:
        raise business("ACQ.TRADE_NOT_EXIST")
    status = trade_status(call.alipay, order)
    if drawn.kind is FaultKind.NOT_PAID_YET:
        status = "WAIT_BUYER_PAY"
    told = order.told_amount or order.amount
    if drawn.kind is FaultKind.WRONG_AMOUNT:
        told = order.amount + 1
    node = success(
        trade_no=order.id,
        out_trade_no=order.out_trade_no,
        buyer_logon_id="138****0000",
        trade_status=status,
        total_amount=yuan(told),
    )
    if not order.paid_at or status == "WAIT_BUYER_PAY":
        return node
    paid = yuan(told)
    return node | {
        "buyer_user_id": order.payer,
        "receipt_amount": paid,
        "buyer_pay_amount": paid,
        "invoice_amount": paid,
        "point_amount": "0.00",
        "send_pay_date": wall_time(order.paid_at),
        "fund_bill_list": [{"amount": paid, "fund_channel": "ALIPAYACCOUNT"}],
    }


def close(call: Call, _: Drawn) -> Node:
    """Only an unpaid trade can be closed, and only once a payer has opened it."""
    order = _find(call)
    if order.state is OrderState.CREATED:
        raise business("ACQ.TRADE_NOT_EXIST")
    if order.state is not OrderState.WAITING:
        raise business("ACQ.TRADE_STATUS_ERROR")
    call.alipay.close(order.id)
    return success(trade_no=order.id, out_trade_no=order.out_trade_no)


def cancel(call: Call, _: Drawn) -> Node:
    """Undo whatever the order is: unopened or unpaid is closed, paid is refunded in full."""
    order = _find(call)
    common = success(out_trade_no=order.out_trade_no, retry_flag="N")
    if order.state is OrderState.CREATED:
        call.alipay.close(order.id)
        return common
    if order.state is OrderState.WAITING:
        call.alipay.close(order.id)
        return common | {"trade_no": order.id, "action": "close"}
    left = order.amount - order.refunded
    if order.state is OrderState.PAID and left > 0:
        _make_refund(call.alipay, order, f"{order.out_trade_no}_cancel", left, NOTHING)
        return common | {"trade_no": order.id, "action": "refund"}
    return common | {"trade_no": order.id}


def refund(call: Call, drawn: Drawn) -> Node:
    """Give money back. The same out_request_no gives it back once."""
    order = _find(call)
    if drawn.kind is FaultKind.REFUSE:
        # Also said of a refund that has been made, once the trade is closed by it.
        raise business("ACQ.TRADE_HAS_CLOSE")
    amount = read_amount(call.biz, "refund_amount")
    number = text(call.biz, "out_request_no")
    if not number and amount != order.amount:
        raise business("ACQ.INVALID_PARAMETER", "，out_request_no不能为空")
    number = number or order.out_trade_no
    known = _refund_numbered(call.alipay, order, number)
    if known is not None and known.amount != amount:
        raise business("ACQ.DISCORDANT_REPEAT_REQUEST")
    if known is not None and known.state in (RefundState.SUCCESS, RefundState.PROCESSING):
        return _refund_node(call.alipay, order, known, has_moved=False)
    _check_refundable(call.alipay, order, amount)
    if known is not None:
        call.alipay.end_refund(known, RefundState.SUCCESS)
        return _refund_node(call.alipay, order, known, has_moved=True)
    made = _make_refund(call.alipay, order, number, amount, drawn, text(call.biz, "refund_reason"))
    has_moved = made.state is RefundState.SUCCESS
    return _refund_node(call.alipay, order, made, has_moved=has_moved)


def query_refund(call: Call, _: Drawn) -> Node:
    """A refund that is not done, or that nobody asked for, is code 10000 without its fields."""
    order = _find(call)
    number = required(call.biz, "out_request_no")
    found = _refund_numbered(call.alipay, order, number)
    if found is None or found.state is not RefundState.SUCCESS:
        return success()
    return success(
        trade_no=order.id,
        out_trade_no=order.out_trade_no,
        out_request_no=number,
        total_amount=yuan(order.amount),
        refund_amount=yuan(found.amount),
        refund_status="REFUND_SUCCESS",
        gmt_refund_pay=wall_time(found.done_at),
    )


METHODS: Final[Mapping[str, tuple[Stage, Work]]] = {
    "alipay.trade.precreate": (Stage.CREATE, precreate),
    "alipay.trade.query": (Stage.QUERY, query),
    "alipay.trade.close": (Stage.CLOSE, close),
    "alipay.trade.cancel": (Stage.CLOSE, cancel),
    "alipay.trade.refund": (Stage.REFUND, refund),
    "alipay.trade.fastpay.refund.query": (Stage.REFUND_QUERY, query_refund),
}
PAGES: Final[Mapping[str, str]] = {
    "alipay.trade.page.pay": "page",
    "alipay.trade.wap.pay": "wap",
}


def trade_status(alipay: "Alipay", order: Order) -> str:
    """Alipay's word for the order's state."""
    if order.state is not OrderState.PAID:
        return "TRADE_CLOSED" if order.state is OrderState.CLOSED else "WAIT_BUYER_PAY"
    if _refunded(alipay, order) >= order.amount:
        return "TRADE_CLOSED"
    is_over = alipay.clock.seconds() - order.paid_at > _REFUND_SECONDS
    return "TRADE_FINISHED" if is_over else "TRADE_SUCCESS"


def _open_order(call: Call, product: str, life_seconds: float, drawn: Drawn) -> Order:
    alipay = call.alipay
    if drawn.kind is FaultKind.REFUSE:
        raise business("ACQ.ACCESS_FORBIDDEN")
    now = alipay.clock.seconds()
    terms = read_order(call.biz, now, life_seconds)
    known = alipay.books.order_of(call.merchant.account.seller_id, terms.out_trade_no)
    if known is not None:
        return _same_order(alipay, known, terms)
    order = _make_order(call, product, terms, now)
    alipay.add_order(order)
    alipay.pay_by_itself(order, drawn)
    return order


def _same_order(alipay: "Alipay", order: Order, terms: OrderTerms) -> Order:
    alipay.expire(order)
    if order.state is OrderState.PAID:
        raise business("ACQ.TRADE_HAS_SUCCESS")
    if order.state is OrderState.CLOSED:
        raise business("ACQ.TRADE_HAS_CLOSE")
    if order.fingerprint != terms.fingerprint:
        raise business("ACQ.CONTEXT_INCONSISTENT")
    return order


def _make_order(call: Call, product: str, terms: OrderTerms, now: float) -> Order:
    account = call.merchant.account
    number = call.alipay.numbers.next(now)
    link = f"https://qr.alipay.com/bax{number[-16:]}" if product == "precreate" else ""
    extra = {"passback": terms.passback} if terms.passback else {}
    if text(call.biz, "quit_url"):
        extra["quit_url"] = text(call.biz, "quit_url")
    return Order(
        id=number,
        merchant=account.seller_id,
        app_id=account.app_id,
        out_trade_no=terms.out_trade_no,
        amount=terms.amount,
        currency="CNY",
        product=product,
        subject=terms.subject,
        state=OrderState.CREATED,
        created_at=now,
        expires_at=terms.expires_at,
        notify_url=call.parameters.get("notify_url", ""),
        return_url=call.parameters.get("return_url", ""),
        pay_url=link,
        fingerprint=terms.fingerprint,
        extra=extra,
    )


def _find(call: Call) -> Order:
    books, seller = call.alipay.books, call.merchant.account.seller_id
    trade_no = text(call.biz, "trade_no")
    order = books.orders.get(trade_no) if trade_no else None
    if order is None:
        number = text(call.biz, "out_trade_no")
        if not number and not trade_no:
            raise business("ACQ.INVALID_PARAMETER", "，out_trade_no与trade_no不能同时为空")
        order = books.order_of(seller, number)
    if order is None or order.merchant != seller:
        raise business("ACQ.TRADE_NOT_EXIST")
    call.alipay.expire(order)
    return order


def _check_refundable(alipay: "Alipay", order: Order, amount: int) -> None:
    if order.state is OrderState.CREATED:
        raise business("ACQ.TRADE_NOT_EXIST")
    status = trade_status(alipay, order)
    if status == "TRADE_FINISHED":
        raise business("ACQ.TRADE_HAS_FINISHED")
    if order.state is not OrderState.PAID:
        raise business("ACQ.TRADE_STATUS_ERROR")
    if order.refunded + amount > order.amount:
        raise business("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL")


def _make_refund(
    alipay: "Alipay", order: Order, number: str, amount: int, drawn: Drawn, reason: str = ""
) -> Refund:
    now = alipay.clock.seconds()
    made = Refund(
        id=alipay.numbers.next(now, digits=28),
        order_id=order.id,
        merchant=order.merchant,
        out_refund_no=number,
        amount=amount,
        state=RefundState.PROCESSING,
        created_at=now,
        reason=reason,
    )
    order.refunded += amount
    alipay.books.add_refund(made)
    if drawn.kind is FaultKind.REFUND_FAILS_LATER:
        alipay.finish_refund_later(made, 2.0, RefundState.ABNORMAL)
    elif drawn.kind is not FaultKind.REFUND_STUCK:
        alipay.end_refund(made, RefundState.SUCCESS)
    return made


def _refund_node(alipay: "Alipay", order: Order, made: Refund, *, has_moved: bool) -> Node:
    node = success(
        trade_no=order.id,
        out_trade_no=order.out_trade_no,
        buyer_logon_id="138****0000",
        buyer_user_id=order.payer,
        fund_change="Y" if has_moved else "N",
        refund_fee=yuan(_refunded(alipay, order)),
        send_back_fee=yuan(made.amount),
    )
    if made.done_at:
        node["gmt_refund_pay"] = wall_time(made.done_at)
    return node


def _refunded(alipay: "Alipay", order: Order) -> int:
    """What has really gone back so far, over all refunds."""
    refunds = alipay.books.refunds_of(order)
    return sum(each.amount for each in refunds if each.state is RefundState.SUCCESS)


def _refund_numbered(alipay: "Alipay", order: Order, number: str) -> Refund | None:
    for each in alipay.books.refunds_of(order):
        if each.out_refund_no == number:
            return each
    return None
