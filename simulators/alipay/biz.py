"""Reading biz_content: the fields of an order as Alipay checks them."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from simulators.alipay.answers import business
from simulators.common.clock import BEIJING, in_beijing
from simulators.common.orders import fen

_NUMBER: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_NOT_IN_A_SUBJECT: Final = frozenset("/=&")
_TIMEOUT: Final = re.compile(r"(\d{1,5})(m|h|d)")
_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_MOST_FEN: Final = 100_000_000_00
_MOST_SECONDS: Final = 15 * 86400

Biz = dict[str, object]
_DECODER: Final = msgspec.json.Decoder(Biz)


class OrderTerms(msgspec.Struct, frozen=True):
    """What an order call asks for."""

    out_trade_no: str
    amount: int
    subject: str
    expires_at: float
    passback: str
    fingerprint: str


def read_biz(content: str) -> Biz:
    """The JSON object inside biz_content."""
    try:
        return _DECODER.decode(content or "{}")
    except msgspec.MsgspecError:
        raise business("ACQ.INVALID_PARAMETER", "，biz_content") from None


def text(biz: Biz, name: str) -> str:
    """A field as text; absent is empty."""
    found = biz.get(name)
    return "" if found is None else str(found)


def required(biz: Biz, name: str) -> str:
    """A field that must be there."""
    found = text(biz, name)
    if not found:
        raise business("ACQ.INVALID_PARAMETER", f"，{name}不能为空")
    return found


def read_amount(biz: Biz, name: str) -> int:
    """Yuan text as fen, within Alipay's limits."""
    amount = fen(required(biz, name))
    if amount is None or amount < 1:
        raise business("ACQ.INVALID_PARAMETER", f"，{name}")
    if amount > _MOST_FEN:
        raise business("ACQ.TOTAL_FEE_EXCEED")
    return amount


def read_order(biz: Biz, now: float, life_seconds: float) -> OrderTerms:
    """An order's terms, checked."""
    number = required(biz, "out_trade_no")
    if not _NUMBER.fullmatch(number):
        raise business("ACQ.INVALID_PARAMETER", "，out_trade_no")
    subject = required(biz, "subject")
    if len(subject) > 256 or not _NOT_IN_A_SUBJECT.isdisjoint(subject):
        raise business("ACQ.INVALID_PARAMETER", "，subject")
    amount = read_amount(biz, "total_amount")
    return OrderTerms(
        out_trade_no=number,
        amount=amount,
        subject=subject,
        expires_at=_read_expiry(biz, now, life_seconds),
        passback=text(biz, "passback_params"),
        fingerprint=f"{amount}|{subject}|{text(biz, 'body')}|{text(biz, 'seller_id')}",
    )


def _read_expiry(biz: Biz, now: float, life_seconds: float) -> float:
    """When the order dies; time_expire wins over timeout_express."""
    expire = text(biz, "time_expire")
    if expire:
        at = _read_time(expire)
        if at <= now:
            raise business("ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
        return at
    timeout = text(biz, "timeout_express")
    if not timeout:
        return now + life_seconds
    if timeout == "1c":
        midnight = in_beijing(now).replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight + timedelta(days=1)).timestamp()
    found = _TIMEOUT.fullmatch(timeout)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 60 <= seconds <= _MOST_SECONDS:
        raise business("ACQ.INVALID_PARAMETER", "，timeout_express")
    return now + seconds


@lru_cache(maxsize=512)
def _read_time(written: str) -> float:
    for shape in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"):
        try:
            return datetime.strptime(written, shape).replace(tzinfo=BEIJING).timestamp()
        except ValueError:
            continue
    raise business("ACQ.INVALID_PARAMETER", "，time_expire")
