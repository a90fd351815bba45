"""WeChat Pay's words to ours and back. Pure. Amounts are whole fen on this wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

import msgspec

from tillgate.connectors.port import (
    Ack,
    BadNotice,
    BillUnavailable,
    Charge,
    Closed,
    Declined,
    NotFound,
    NotSent,
    Outcome,
    Paid,
    Redirect,
    Refunded,
    RefundFailed,
    RefundOrder,
    RefundOutcome,
    RefundPending,
    ShowQr,
    Unknown,
    Waiting,
)
from tillgate.connectors.wechat.config import WechatAccount
from tillgate.kernel.money import CNY, Money

BEIJING: Final = timezone(timedelta(hours=8))
PRODUCTS: Final = {"qr": "native", "jsapi": "jsapi", "h5": "h5", "app": "app"}
REFUNDS: Final = "/v3/refund/domestic/refunds"
CERTIFICATES: Final = "/v3/certificates"

#: Refused before the business was looked at: the account's settings are wrong.
_UNPROCESSED: Final = frozenset(
    {"SIGN_ERROR", "NO_AUTH", "APPID_MCHID_NOT_MATCH", "MCH_NOT_EXISTS"}
)
_DECLINES: Final = {
    "PARAM_ERROR": "processing_error",
    "ORDER_CLOSED": "order_closed",
    "RULE_LIMIT": "payment_method_provider_decline",
    "ACCOUNT_ERROR": "payment_method_provider_decline",
    "ACCOUNTERROR": "payment_method_provider_decline",
    "USER_ACCOUNT_ABNORMAL": "payment_method_provider_decline",
}
_REFUND_FAILURES: Final = {
    "NOT_ENOUGH": "insufficient_funds",
    "REFUND_FEE_MISMATCH": "declined",
    "INVALID_REQUEST": "declined",
    "PARAM_ERROR": "declined",
    "RESOURCE_NOT_EXISTS": "declined",
    "ORDER_NOT_EXIST": "declined",
    "USER_ACCOUNT_ABNORMAL": "declined",
}
_QR_LIFE: Final = timedelta(hours=2)
_H5_LIFE: Final = timedelta(minutes=5)

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error WeChat Pay gave a code for."""

    status: int
    code: str
    message: str


# What we say --------------------------------------------------------------------------------------


def unfit(charge: Charge) -> NotSent | None:
    """Tell what a presentation needs and the charge lacks."""
    if charge.presentation == "jsapi" and not charge.openid:
        return NotSent("jsapi needs the customer's openid")
    if charge.presentation == "h5" and not charge.client_ip:
        return NotSent("h5 needs the customer's address")
    return None


def charge_body(account: WechatAccount, charge: Charge) -> bytes:
    """Return the order."""
    order: dict[str, Any] = {
        "appid": account.appid,
        "mchid": account.mchid,
        "description": charge.description[:127] or charge.attempt_id,
        "out_trade_no": charge.attempt_id,
        "notify_url": charge.notify_url,
        "amount": {"total": charge.amount.minor, "currency": "CNY"},
    }
    if charge.expires_at is not None:
        order["time_expire"] = beijing(charge.expires_at)
    if charge.presentation == "jsapi":
        order["payer"] = {"openid": charge.openid}
    if charge.client_ip is not None:
        h5 = {"h5_info": {"type": "Wap"}} if charge.presentation == "h5" else {}
        order["scene_info"] = {"payer_client_ip": charge.client_ip, **h5}
    return msgspec.json.encode(order)


def order_path(attempt_id: str, action: str = "") -> str:
    """Return the path of an order by our number."""
    return f"/v3/pay/transactions/out-trade-no/{quote(attempt_id, safe='')}{action}"


def close_body(account: WechatAccount) -> bytes:
    """Return the body of a close."""
    return msgspec.json.encode({"mchid": account.mchid})


def refund_path(refund_id: str) -> str:
    """Return the path of a refund by our number."""
    return f"{REFUNDS}/{quote(refund_id, safe='')}"


def refund_body(order: RefundOrder) -> bytes:
    """Return the refund; `out_refund_no` makes it one refund, however often sent."""
    refund: dict[str, Any] = {
        "out_trade_no": order.attempt_id,
        "out_refund_no": order.refund_id,
        "notify_url": order.notify_url,
        "amount": {"refund": order.amount.minor, "total": order.total.minor, "currency": "CNY"},
    }
    if order.reason:
        refund["reason"] = order.reason[:80]
    return msgspec.json.encode(refund)


def bill_path(day: date, kind: str) -> str:
    """Return the path of a day's bill: `trade` or `fundflow`."""
    if kind == "fundflow":
        params = {"bill_date": day.isoformat(), "account_type": "BASIC"}
        return f"/v3/bill/fundflowbill?{urlencode(params)}"
    return f"/v3/bill/tradebill?{urlencode({'bill_date': day.isoformat(), 'bill_type': 'ALL'})}"


# What they say ------------------------------------------------------------------------------------


def shown(answer: Body, charge: Charge, now: datetime) -> Outcome:
    """Read a new order for a QR code or the mobile web."""
    match answer:
        case {"code_url": str(content)}:
            return Waiting(ShowQr(content, _sooner(charge.expires_at, now + _QR_LIFE)))
        case {"h5_url": str(url)}:
            back = charge.return_url
            joined = url if back is None else f"{url}&redirect_url={quote(back, safe='')}"
            return Waiting(Redirect(joined, _sooner(charge.expires_at, now + _H5_LIFE)))
        case _:
            return Unknown("an order without a way to pay it")


def charge_refusal(refusal: Refusal) -> Outcome:
    """Read an error as the answer to a new order."""
    if refusal.status == 401 or refusal.code in _UNPROCESSED:
        return NotSent(f"refused unprocessed: {refusal.code}")
    if refusal.code in _DECLINES:
        code = _DECLINES[refusal.code]
        return Declined(code, refusal.message, provider_code=refusal.code)
    return unrecognised(refusal)


def trade_outcome(account: WechatAccount, trade: Body, attempt_id: str) -> Outcome | Closed:
    """Read the state of an order that should be this attempt's."""
    ours = trade.get("mchid") == account.mchid and trade.get("appid") == account.appid
    if not ours or trade.get("out_trade_no") != attempt_id:
        return Unknown("the answer is about another order")
    reference = trade.get("transaction_id")
    known = reference if isinstance(reference, str) and reference else None
    match trade.get("trade_state"):
        case "SUCCESS" | "REFUND":
            return _paid(trade, known)
        case "NOTPAY" | "USERPAYING" | "ACCEPT":
            return Waiting(reference=known, amount=fen(trade, "total"), account=account.mchid)
        case "CLOSED" | "REVOKED":
            return Closed()
        case other:
            return Unknown(f"unrecognised trade_state {str(other)[:40]!r}", known)


def _paid(trade: Body, reference: str | None) -> Outcome:
    amount = fen(trade, "total")
    if reference is None or amount is None:
        return Unknown("paid without a number or a readable amount", reference)
    bank = trade.get("bank_type")
    instrument = {"type": "wechat_pay", **({"bank_type": bank} if isinstance(bank, str) else {})}
    at = read_time(trade.get("success_time"))
    return Paid(reference, amount, at=at, account=str(trade["mchid"]), instrument=instrument)


def refund_outcome(refund: Body, order: RefundOrder) -> RefundOutcome:
    """Read a refund object that should be this refund."""
    if refund.get("out_refund_no") != order.refund_id:
        return Unknown("the answer is about another refund")
    if fen(refund, "refund") != order.amount:
        return Unknown("the refund is of another amount")
    return refund_state(refund, "status")


def refund_state(refund: Body, field: str) -> RefundOutcome:
    """Read a refund's state, in a notice under another name."""
    reference = refund.get("refund_id")
    amount = fen(refund, "refund")
    if not isinstance(reference, str) or amount is None:
        return Unknown("an unreadable refund")
    match refund.get(field):
        case "SUCCESS":
            return Refunded(reference, amount, read_time(refund.get("success_time")))
        case "PROCESSING":
            return RefundPending(reference)
        case "CLOSED":
            return RefundFailed("declined", "WeChat Pay closed the refund.", reference)
        case "ABNORMAL":
            message = "The customer's account no longer takes refunds."
            return RefundFailed("expired_or_canceled_card", message, reference)
        case other:
            return Unknown(f"unrecognised refund status {str(other)[:40]!r}", reference)


def refund_refusal(refusal: Refusal) -> RefundOutcome:
    """Read an error as the answer to a refund."""
    if refusal.status == 401 or refusal.code in _UNPROCESSED:
        return NotSent(f"refused unprocessed: {refusal.code}")
    if refusal.code in _REFUND_FAILURES:
        return RefundFailed(_REFUND_FAILURES[refusal.code], refusal.message)
    return unrecognised(refusal)


def not_found(refusal: Refusal) -> NotFound | Unknown:
    """Read an error as the answer to a question."""
    if refusal.status == 404 and refusal.code in ("ORDER_NOT_EXIST", "RESOURCE_NOT_EXISTS"):
        return NotFound()
    return unrecognised(refusal)


def bill_unavailable(refusal: Refusal) -> BillUnavailable:
    """Read why there is no bill."""
    return BillUnavailable(refusal.code, retry=refusal.code != "NO_STATEMENT_EXIST")


def unrecognised(refusal: Refusal) -> Unknown:
    """Return an error that decides nothing."""
    return Unknown(f"answered HTTP {refusal.status} {refusal.code}")


def refusal_of(status: int, error: Body) -> Refusal | None:
    """Read an error's code; None where it has none."""
    code = error.get("code")
    if not isinstance(code, str) or not code:
        return None
    return Refusal(status, code[:64], str(error.get("message") or code)[:256])


def order_of(trade: Body) -> str:
    """Return our number in a notice's order."""
    attempt_id = trade.get("out_trade_no")
    if not isinstance(attempt_id, str) or not attempt_id:
        raise BadNotice("the notice names no order")
    return attempt_id


def ack(*, accepted: bool) -> Ack:
    """Return what ends WeChat Pay's repeats, or asks for the next one: 4xx and 5xx do."""
    if accepted:
        return Ack(200, b'{"code":"SUCCESS","message":"OK"}', "application/json")
    return Ack(401, b'{"code":"FAIL","message":"not accepted"}', "application/json")


# Amounts and times --------------------------------------------------------------------------------


def fen(subject: Body, name: str) -> Money | None:
    """Return an amount of whole fen; None in another currency or where unreadable."""
    amount = subject.get("amount")
    if not isinstance(amount, dict):
        return None
    fields = cast(Body, amount)
    minor = fields.get(name)
    if not isinstance(minor, int) or isinstance(minor, bool) or minor < 0:
        return None
    return Money(minor, CNY) if fields.get("currency", "CNY") == "CNY" else None


def beijing(moment: datetime) -> str:
    """Return a moment as WeChat Pay writes it."""
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")


def read_time(text: object) -> datetime | None:
    """Read an RFC 3339 moment."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo else None


def _sooner(wanted: datetime | None, limit: datetime) -> datetime:
    return limit if wanted is None else min(wanted, limit)
