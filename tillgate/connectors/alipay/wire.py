"""Alipay's words to ours and back. Pure.

Paid only if they say so, closed or declined only if they say so; anything else is unknown.
Amounts are decimal strings of yuan on this wire.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final

from tillgate.connectors.port import (
    Ack,
    AttemptNotice,
    BadNotice,
    BillUnavailable,
    Charge,
    Closed,
    Declined,
    ForeignRefund,
    NotFound,
    Notice,
    NotSent,
    OtherNotice,
    Outcome,
    Paid,
    Refunded,
    RefundFailed,
    RefundNotice,
    RefundOrder,
    RefundOutcome,
    RefundPending,
    ShowQr,
    Unknown,
    Waiting,
    is_ours,
)
from tillgate.kernel.money import CNY, Money

BEIJING: Final = timezone(timedelta(hours=8))
#: Characters of a moment as Alipay writes it: `2026-05-04 12:30:00`.
_SECONDS: Final = 19

#: Presentation to method and product code.
METHODS: Final = {
    "page": ("alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"),
    "wap": ("alipay.trade.wap.pay", "QUICK_WAP_WAY"),
    "app": ("alipay.trade.app.pay", "QUICK_MSECURITY_PAY"),
    "qr": ("alipay.trade.precreate", "QR_CODE_OFFLINE"),
}
QUERY: Final = "alipay.trade.query"
CLOSE: Final = "alipay.trade.close"
CANCEL: Final = "alipay.trade.cancel"
REFUND: Final = "alipay.trade.refund"
REFUND_QUERY: Final = "alipay.trade.fastpay.refund.query"
BILL_URL: Final = "alipay.data.dataservice.bill.downloadurl.query"

#: The request was refused before Alipay looked at the business in it.
_UNPROCESSED: Final = frozenset({"20001", "40001", "40002", "40003", "40006"})
_DECLINES: Final = {
    "ACQ.BUYER_SELLER_EQUAL": "payment_method_provider_decline",
    "ACQ.EXIST_FORBIDDEN_WORD": "payment_method_provider_decline",
    "ACQ.TOTAL_FEE_EXCEED": "amount_too_large",
    "ACQ.INVALID_PARAMETER": "processing_error",
    "ACQ.ACCESS_FORBIDDEN": "processing_error",
    "ACQ.PARTNER_ERROR": "processing_error",
    "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR": "order_closed",
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": "payment_method_provider_decline",
}
_REFUND_FAILURES: Final = {
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": "insufficient_funds",
    "ACQ.TRADE_NOT_EXIST": "declined",
    "ACQ.TRADE_STATUS_ERROR": "declined",
    "ACQ.REASON_TRADE_STATUS_INVALID": "declined",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": "declined",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": "declined",
    "ACQ.REASON_TRADE_BEEN_FREEZEN": "declined",
    "ACQ.TRADE_NOT_ALLOW_REFUND": "declined",
    "ACQ.NOT_ALLOW_PARTIAL_REFUND": "declined",
    "ACQ.TRADE_HAS_FINISHED": "declined",
    "ACQ.TRADE_HAS_CLOSE": "declined",
    "ACQ.INVALID_PARAMETER": "unknown",
}
#: Closing came too late (or twice): the order itself tells which.
_ALREADY_DECIDED: Final = frozenset(
    {
        "ACQ.TRADE_STATUS_ERROR",
        "ACQ.REASON_TRADE_STATUS_INVALID",
        "ACQ.REASON_ILLEGAL_STATUS",
        "ACQ.TRADE_HAS_SUCCESS",
        "ACQ.TRADE_HAS_FINISHED",
        "ACQ.TRADE_HAS_CLOSE",
    }
)
_SUBJECT: Final = str.maketrans("/=&", "   ")
_RATE_PAUSE_SECONDS: Final = 5.0

Node = Mapping[str, Any]


# What we say ------------------------------------------------------------------------------------


def common_params(app_id: str, method: str, now: datetime) -> dict[str, str]:
    """Return the parameters every request carries."""
    return {
        "app_id": app_id,
        "method": method,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": beijing(now),
        "version": "1.0",
    }


def charge_content(charge: Charge) -> str:
    """Return the biz_content of an order."""
    content: dict[str, Any] = {
        "out_trade_no": charge.attempt_id,
        "total_amount": charge.amount.major(),
        "subject": charge.description.translate(_SUBJECT)[:256] or charge.attempt_id,
        "product_code": METHODS[charge.presentation][1],
    }
    if charge.expires_at is not None:
        content["time_expire"] = beijing(charge.expires_at)
    if charge.client_ip is not None:
        content["business_params"] = {"mc_create_trade_ip": charge.client_ip}
    if charge.presentation == "wap" and charge.return_url is not None:
        content["quit_url"] = charge.return_url
    return content_of(content)


def refund_content(order: RefundOrder) -> str:
    """Return the biz_content of a refund; its number makes it one, however often sent."""
    content = {
        "out_trade_no": order.attempt_id,
        "refund_amount": order.amount.major(),
        "out_request_no": order.refund_id,
    }
    if order.reason:
        content["refund_reason"] = order.reason[:256]
    return content_of(content)


def refund_query_content(order: RefundOrder) -> str:
    """Return the biz_content of the question about one refund."""
    return content_of(
        {
            "out_trade_no": order.attempt_id,
            "out_request_no": order.refund_id,
            "query_options": ["gmt_refund_pay"],
        }
    )


def order_content(attempt_id: str) -> str:
    """Return the biz_content that names an order."""
    return content_of({"out_trade_no": attempt_id})


def bill_content(day: date, kind: str) -> str:
    """Return the biz_content that asks for a day's bill."""
    return content_of({"bill_type": kind, "bill_date": day.isoformat()})


def content_of(content: Mapping[str, Any]) -> str:
    """Return a biz_content."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


# What they say ----------------------------------------------------------------------------------


def precreate_outcome(node: Node, charge: Charge) -> Outcome:
    """Read the answer to precreate."""
    match node:
        case {"code": "10000", "out_trade_no": str(order), "qr_code": str(content)}:
            if order != charge.attempt_id:
                return Unknown("the answer is about another order")
            return Waiting(ShowQr(content, charge.expires_at))
        case {"code": "40004", "sub_code": str(sub_code)} if sub_code in _DECLINES:
            return Declined(_DECLINES[sub_code], _message(node), provider_code=sub_code)
        case {"code": str(code)} if code in _UNPROCESSED:
            return NotSent(f"refused unprocessed: {_code(node)}")
        case _:
            return _unknown(node)


def query_outcome(node: Node, attempt_id: str) -> Outcome | Closed | NotFound:
    """Read the answer to a query."""
    match node:
        case {"code": "10000", "out_trade_no": str(order)} if order != attempt_id:
            return Unknown("the answer is about another order")
        case {"code": "10000", "out_trade_no": str()}:
            return _trade(node, paid_at="send_pay_date")
        case {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}:
            return NotFound()
        case _:
            return _unknown(node)


def _trade(trade: Node, *, paid_at: str) -> Outcome | Closed:
    reference = trade.get("trade_no")
    if not isinstance(reference, str) or not reference:
        return Unknown("a trade without its number")
    match trade.get("trade_status"):
        case "TRADE_SUCCESS" | "TRADE_FINISHED":
            return _paid(trade, reference, paid_at)
        case "TRADE_CLOSED" if trade.get(paid_at):
            # Closed because all of it was refunded; the money did come.
            return _paid(trade, reference, paid_at)
        case "TRADE_CLOSED":
            return Closed()
        case "WAIT_BUYER_PAY":
            return Waiting(reference=reference, amount=yuan(trade.get("total_amount")))
        case other:
            return Unknown(f"unrecognised trade_status {str(other)[:40]!r}", reference)


def _paid(trade: Node, reference: str, paid_at: str) -> Outcome:
    amount = yuan(trade.get("total_amount"))
    if amount is None:
        return Unknown("paid an unreadable amount", reference)
    account = trade.get("seller_id")
    return Paid(
        reference,
        amount,
        at=read_beijing(trade.get(paid_at)),
        account=account if isinstance(account, str) and account else None,
        instrument=_instrument(trade),
    )


def _instrument(trade: Node) -> dict[str, str]:
    login = trade.get("buyer_logon_id")
    shown = {"buyer_logon_id": login[:64]} if isinstance(login, str) and "*" in login else {}
    return {"type": "alipay", **shown}


def is_already_decided(node: Node) -> bool:
    """Tell whether a close came too late: the order is paid or closed already."""
    return node.get("code") == "40004" and _code(node) in _ALREADY_DECIDED


def close_outcome(node: Node, attempt_id: str) -> Outcome | Closed | NotFound:
    """Read the answer to close, other than "too late"."""
    match node:
        case {"code": "10000", "out_trade_no": str(order)} if order == attempt_id:
            return Closed()
        case {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}:
            return NotFound()
        case _:
            return _unknown(node)


def cancel_outcome(node: Node, attempt_id: str) -> Outcome | Closed | NotFound:
    """Read the answer to cancel: either way no money stays with us, or nobody knows yet."""
    match node:
        case {"code": "10000", "retry_flag": "Y"}:
            return Unknown("cancel asks to be repeated")
        case {"code": "10000", "action": "close" | "refund", "out_trade_no": str(order)}:
            return Closed() if order == attempt_id else Unknown("the answer is about another order")
        case {"code": "10000"} | {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}:
            return NotFound()
        case _:
            return _unknown(node)


def refund_outcome(node: Node, order: RefundOrder) -> RefundOutcome:
    """Read the answer to a refund. `refund_fee` is the sum of all refunds, so it is not read."""
    match node:
        case {"code": "10000", "out_trade_no": str(number)} if number != order.attempt_id:
            return Unknown("the answer is about another order")
        case {"code": "10000", "fund_change": "Y"}:
            at = read_beijing(node.get("gmt_refund_pay"))
            return Refunded(order.refund_id, order.amount, at)
        case {"code": "10000"}:
            return RefundPending(order.refund_id)
        case {"code": "40004", "sub_code": str(sub_code)} if sub_code in _REFUND_FAILURES:
            return RefundFailed(_REFUND_FAILURES[sub_code], _message(node))
        case {"code": str(code)} if code in _UNPROCESSED:
            return NotSent(f"refused unprocessed: {_code(node)}")
        case _:
            return _unknown(node)


def refund_query_outcome(node: Node, order: RefundOrder) -> RefundOutcome | NotFound:
    """Read the answer to the question about one refund."""
    match node:
        case {"code": "10000", "out_request_no": str(number)} if number != order.refund_id:
            return Unknown("the answer is about another refund")
        case {"code": "10000", "refund_status": "REFUND_SUCCESS"}:
            amount = yuan(node.get("refund_amount"))
            if amount is None:
                return Unknown("refunded an unreadable amount")
            return Refunded(order.refund_id, amount, read_beijing(node.get("gmt_refund_pay")))
        case {"code": "10000", "refund_status": "REFUND_FAIL"}:
            return RefundFailed("unknown", _message(node), order.refund_id)
        case {"code": "10000", "out_request_no": str()}:
            return RefundPending(order.refund_id)
        case {"code": "10000"} | {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}:
            return NotFound()
        case _:
            return _unknown(node)


def bill_unavailable(node: Node) -> BillUnavailable:
    """Read why there is no bill; one that does not exist may still be made."""
    code = _code(node)
    return BillUnavailable(code, retry=not code.endswith("NO_BILL_DATA"))


def notice_of(form: Mapping[str, str], app_id: str, seller_id: str) -> Notice:
    """Read a genuine notice; refuse one for another app or merchant."""
    if form.get("app_id") != app_id or form.get("seller_id", seller_id) != seller_id:
        raise BadNotice("the notice is for another app or merchant")
    if form.get("notify_type") != "trade_status_sync":
        return OtherNotice(form.get("notify_type", "")[:64])
    if form.get("refund_fee") or form.get("out_biz_no") or form.get("gmt_refund"):
        return _refund_notice(form)
    attempt_id = form.get("out_trade_no")
    if not attempt_id:
        raise BadNotice("the notice names no order")
    return AttemptNotice(attempt_id, _trade(form, paid_at="gmt_payment"))


def _refund_notice(form: Mapping[str, str]) -> Notice:
    """A refund's notice tells the sum of all refunds only: which one, but not how much."""
    refund_id = form.get("out_biz_no")
    if not refund_id:
        return OtherNotice("refund")
    if is_ours(refund_id):
        return RefundNotice(refund_id, RefundPending(refund_id))
    total, attempt_id = yuan(form.get("refund_fee")), form.get("out_trade_no")
    if not attempt_id:
        raise BadNotice("the notice names no order")
    if total is None:
        return ForeignRefund(refund_id, Unknown("refunded an unreadable amount"), attempt_id)
    told = Refunded(refund_id, total, read_beijing(form.get("gmt_refund")))
    return ForeignRefund(refund_id, told, attempt_id, is_total=True)


def ack(*, accepted: bool) -> Ack:
    """Return what ends Alipay's repeats, or asks for the next one."""
    return Ack(200, b"success" if accepted else b"fail", "text/plain")


# Amounts and times ------------------------------------------------------------------------------


def yuan(text: object) -> Money | None:
    """Read a decimal amount of yuan exactly."""
    if not isinstance(text, str) or len(text) > 16:
        return None
    amount = Money.from_major(text, CNY)
    return amount if amount is not None and amount.minor >= 0 else None


def beijing(moment: datetime) -> str:
    """Return a moment as Alipay writes it."""
    return moment.astimezone(BEIJING).isoformat(" ", "seconds")[:_SECONDS]


def read_beijing(text: object) -> datetime | None:
    """Read a moment as Alipay writes it."""
    if not isinstance(text, str) or len(text) < _SECONDS:
        return None
    try:
        moment = datetime.fromisoformat(text[:_SECONDS]).replace(tzinfo=BEIJING)
    except ValueError:
        return None
    return moment.astimezone(UTC)


def _code(node: Node) -> str:
    return str(node.get("sub_code") or node.get("code") or "no code")[:64]


def _message(node: Node) -> str:
    return str(node.get("sub_msg") or node.get("msg") or _code(node))[:256]


def _unknown(node: Node) -> Unknown:
    pause = _RATE_PAUSE_SECONDS if node.get("code") == "40005" else None
    return Unknown(f"answered {_code(node)}", retry_after_seconds=pause)
