"""What WeChat Pay says about orders and refunds."""

from typing import Final

from simulators.common.books import Order, OrderState, Refund, RefundState
from simulators.common.clock import wall_time

TRADE_TYPES: Final = {"jsapi": "JSAPI", "native": "NATIVE", "h5": "MWEB", "app": "APP"}
_STATES: Final = {
    "NOTPAY": "订单未支付",
    "SUCCESS": "支付成功",
    "CLOSED": "订单已关闭",
    "REFUND": "订单发生过退款",
}
_REFUND_STATES: Final = {
    RefundState.PROCESSING: "PROCESSING",
    RefundState.SUCCESS: "SUCCESS",
    RefundState.ABNORMAL: "ABNORMAL",
    RefundState.CLOSED: "CLOSED",
}
_PAYER_ACCOUNT: Final = "招商银行信用卡0403"


def show_transaction(order: Order, *, amount: int, state: str = "SUCCESS") -> dict[str, object]:
    """The order as query and notice tell it. `amount` is what is said, not always the truth."""
    told: dict[str, object] = {
        "appid": order.app_id,
        "mchid": order.merchant,
        "out_trade_no": order.out_trade_no,
        "trade_state": state,
        "trade_state_desc": _STATES[state],
        "attach": order.extra.get("attach", ""),
        "amount": {"total": amount, "currency": "CNY"},
    }
    if state not in ("SUCCESS", "REFUND"):
        return told
    return told | {
        "transaction_id": order.extra["transaction_id"],
        "trade_type": TRADE_TYPES[order.product],
        "bank_type": "OTHERS",
        "success_time": stamp(order.paid_at),
        "payer": {"openid": order.payer},
        "amount": {
            "total": amount,
            "payer_total": amount,
            "currency": "CNY",
            "payer_currency": "CNY",
        },
    }


def trade_state(order: Order, *, has_refund: bool) -> str:
    """WeChat Pay's word for the order's state. Any refund, even a part, makes it REFUND."""
    if order.state is OrderState.PAID:
        return "REFUND" if has_refund else "SUCCESS"
    return "CLOSED" if order.state is OrderState.CLOSED else "NOTPAY"


def show_refund(order: Order, refund: Refund) -> dict[str, object]:
    """The refund as its calls tell it."""
    told: dict[str, object] = {
        "refund_id": refund.id,
        "out_refund_no": refund.out_refund_no,
        "transaction_id": order.extra["transaction_id"],
        "out_trade_no": order.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": _PAYER_ACCOUNT,
        "create_time": stamp(refund.created_at),
        "status": _REFUND_STATES[refund.state],
        "funds_account": "AVAILABLE",
        "amount": {
            "total": order.amount,
            "refund": refund.amount,
            "from": [],
            "payer_total": order.amount,
            "payer_refund": refund.amount,
            "settlement_refund": refund.amount,
            "settlement_total": order.amount,
            "discount_refund": 0,
            "currency": "CNY",
        },
    }
    if refund.state is RefundState.SUCCESS:
        told["success_time"] = stamp(refund.done_at)
    return told


def show_refund_notice(order: Order, refund: Refund) -> dict[str, object]:
    """The refund as its notice tells it: `refund_status`, and no channel."""
    told: dict[str, object] = {
        "mchid": order.merchant,
        "out_trade_no": order.out_trade_no,
        "transaction_id": order.extra["transaction_id"],
        "out_refund_no": refund.out_refund_no,
        "refund_id": refund.id,
        "refund_status": _REFUND_STATES[refund.state],
        "user_received_account": _PAYER_ACCOUNT,
        "amount": {
            "total": order.amount,
            "refund": refund.amount,
            "payer_total": order.amount,
            "payer_refund": refund.amount,
        },
    }
    if refund.state is RefundState.SUCCESS:
        told["success_time"] = stamp(refund.done_at)
    return told


def stamp(seconds: float) -> str:
    """RFC 3339 in Beijing."""
    return wall_time(seconds).replace(" ", "T") + "+08:00"
