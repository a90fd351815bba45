"""Refunds: accepted first, finished later; the same out_refund_no gives money back once."""

from typing import TYPE_CHECKING, Final

from simulators.common.books import Order, OrderState, Refund, RefundState
from simulators.common.faults import Drawn, FaultKind
from simulators.wechat.call import Call
from simulators.wechat.errors import Failed
from simulators.wechat.reading import Body, RefundTerms, read_refund, required
from simulators.wechat.shapes import show_refund

if TYPE_CHECKING:
    from simulators.wechat.simulator import Wechat

_PROCESSING_SECONDS: Final = 1.0
_MOST_REFUNDS: Final = 50
_WINDOW_SECONDS: Final = 365 * 86400.0
_FATES: Final = {
    FaultKind.REFUND_FAILS_LATER: RefundState.ABNORMAL,
    FaultKind.REFUND_STUCK: RefundState.PROCESSING,
}


def peek(body: Body) -> str:
    """The number of the order a refund is about, before it is checked."""
    return str(body.get("out_trade_no") or body.get("transaction_id") or "")


def create(call: Call, drawn: Drawn) -> dict[str, object]:
    """Accept a refund; acceptance is not success."""
    terms = read_refund(required(call.body))
    order = _find_order(call, terms)
    if drawn.kind is FaultKind.REFUSE:
        raise Failed(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
    known = call.wechat.books.refund_of(order.merchant, terms.out_refund_no)
    if known is not None:
        _check_same(order, known, terms)
        return show_refund(order, known)
    _check_refundable(call.wechat, order, terms)
    return show_refund(order, _make_refund(call.wechat, order, terms, drawn))


def query(call: Call, _: Drawn) -> dict[str, object]:
    """One refund by the merchant's number."""
    found = call.wechat.books.refund_of(call.merchant.account.mchid, call.arguments[0])
    if found is None:
        raise Failed(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    return show_refund(call.wechat.books.orders[found.order_id], found)


def _find_order(call: Call, terms: RefundTerms) -> Order:
    mchid = call.merchant.account.mchid
    order = call.wechat.by_transaction.get(terms.transaction_id)
    if order is None and terms.out_trade_no:
        order = call.wechat.books.order_of(mchid, terms.out_trade_no)
    if order is None or order.merchant != mchid:
        raise Failed(404, "RESOURCE_NOT_EXISTS", "订单不存在")
    return order


def _check_same(order: Order, known: Refund, terms: RefundTerms) -> None:
    if (known.order_id, known.amount) != (order.id, terms.refund) or terms.total != order.amount:
        raise Failed(400, "INVALID_REQUEST", "同一退款单号的请求参数与原请求不一致")


def _check_refundable(wechat: "Wechat", order: Order, terms: RefundTerms) -> None:
    if order.state is not OrderState.PAID:
        raise Failed(400, "INVALID_REQUEST", "订单未支付")
    if terms.total != order.amount:
        raise Failed(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试")
    if order.refunded + terms.refund > order.amount:
        raise Failed(400, "REFUND_FEE_MISMATCH", "订单金额或退款金额不一致，退款金额超限")
    if wechat.clock.seconds() - order.paid_at > _WINDOW_SECONDS:
        raise Failed(400, "INVALID_REQUEST", "订单已经超过退款期限")
    if len(wechat.books.refunds_of(order)) >= _MOST_REFUNDS:
        raise Failed(403, "RULE_LIMIT", "部分退款次数超限")


def _make_refund(wechat: "Wechat", order: Order, terms: RefundTerms, drawn: Drawn) -> Refund:
    now = wechat.clock.seconds()
    made = Refund(
        id=wechat.numbers.next(now, prefix="503", digits=29),
        order_id=order.id,
        merchant=order.merchant,
        out_refund_no=terms.out_refund_no,
        amount=terms.refund,
        state=RefundState.PROCESSING,
        created_at=now,
        notify_url=terms.notify_url,
        reason=terms.reason,
    )
    order.refunded += terms.refund
    wechat.books.add_refund(made)
    wechat.books.save_order(order)
    fate = _FATES.get(drawn.kind, RefundState.SUCCESS) if drawn.kind else RefundState.SUCCESS
    wechat.finish_refund_later(made, _PROCESSING_SECONDS, fate)
    return made
