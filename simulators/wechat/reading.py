"""Reading request bodies: the fields of orders and refunds as WeChat Pay checks them."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec

from simulators.wechat.errors import Failed, wrong_field

_ORDER_NUMBER: Final = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
_REFUND_NUMBER: Final = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
_LIFE_SECONDS: Final = 7200.0
_MOST_SECONDS: Final = 7 * 86400.0
_H5_TYPES: Final = ("Wap", "iOS", "Android")

Body = dict[str, object]
_DECODER: Final = msgspec.json.Decoder(Body)


class OrderTerms(msgspec.Struct, frozen=True):
    """What an order call asks for."""

    out_trade_no: str
    amount: int
    description: str
    expires_at: float
    notify_url: str
    attach: str
    openid: str
    fingerprint: str


class RefundTerms(msgspec.Struct, frozen=True):
    """What a refund call asks for."""

    out_refund_no: str
    transaction_id: str
    out_trade_no: str
    refund: int
    total: int
    reason: str
    notify_url: str


def read_body(raw: bytes) -> Body | None:
    """The JSON object of a body, if it is one."""
    try:
        return _DECODER.decode(raw) if raw else None
    except msgspec.MsgspecError:
        return None


def required(body: Body | None) -> Body:
    """The JSON object without which a call is nothing."""
    if body is None:
        raise Failed(400, "PARAM_ERROR", "请求体不是合法的JSON", 268435461)
    return body


def read_order(body: Body, product: str, now: float) -> OrderTerms:
    """An order's terms, checked; `product` is jsapi, native, h5 or app."""
    number = text(body, "out_trade_no", 32)
    if not _ORDER_NUMBER.fullmatch(number):
        raise wrong_field("/out_trade_no", "格式错误", number)
    return OrderTerms(
        out_trade_no=number,
        amount=_read_total(body),
        description=text(body, "description", 127),
        expires_at=_read_expiry(body, now),
        notify_url=_read_notify_url(body, required=True),
        attach=text(body, "attach", 128, required=False),
        openid=_read_payer(body) if product == "jsapi" else "",
        fingerprint=_fingerprint(_checked_scene(body, product), product),
    )


def read_refund(body: Body) -> RefundTerms:
    """A refund's terms, checked."""
    number = text(body, "out_refund_no", 64)
    if not _REFUND_NUMBER.fullmatch(number):
        raise wrong_field("/out_refund_no", "格式错误", number)
    transaction_id = text(body, "transaction_id", 32, required=False)
    out_trade_no = text(body, "out_trade_no", 32, required=False)
    if bool(transaction_id) == bool(out_trade_no):
        raise wrong_field("/out_trade_no", "transaction_id与out_trade_no二选一")
    amount = _object(body, "amount")
    _check_currency(amount)
    return RefundTerms(
        out_refund_no=number,
        transaction_id=transaction_id,
        out_trade_no=out_trade_no,
        refund=_whole(amount, "refund"),
        total=_whole(amount, "total"),
        reason=text(body, "reason", 80, required=False),
        notify_url=_read_notify_url(body, required=False),
    )


def text(body: Body, name: str, most: int, *, required: bool = True) -> str:
    """A text field within its length."""
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise wrong_field(f"/{name}", "必填" if value in (None, "") else "类型错误", value)
    if len(value) > most:
        raise Failed(400, "PARAM_ERROR", f"输入源“/body/{name}”长度超过{most}", 268435462)
    return value


def _read_total(body: Body) -> int:
    amount = _object(body, "amount")
    _check_currency(amount)
    return _whole(amount, "total")


def _check_currency(amount: Mapping[str, object]) -> None:
    currency = amount.get("currency", "CNY")
    if currency != "CNY":
        raise wrong_field("/amount/currency", "不支持的币种", currency)


def _whole(amount: Mapping[str, object], name: str) -> int:
    value = amount.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_field(f"/amount/{name}", "必须是整数", value)
    if value < 1:
        raise wrong_field(f"/amount/{name}", "必须大于0", value)
    return value


def _read_payer(body: Body) -> str:
    openid = _object(body, "payer").get("openid")
    if not isinstance(openid, str) or not 0 < len(openid) <= 128:
        raise Failed(400, "PARAM_ERROR", "输入源“/body/payer/openid”必填", 268501013)
    return openid


def _checked_scene(body: Body, product: str) -> Body:
    if product != "h5":
        return body
    scene = _object(body, "scene_info")
    if not scene.get("payer_client_ip"):
        raise wrong_field("/scene_info/payer_client_ip", "必填")
    if _object(scene, "h5_info").get("type") not in _H5_TYPES:
        raise wrong_field("/scene_info/h5_info/type", "必填")
    return body


def _object(body: Mapping[str, object], name: str) -> dict[str, object]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise wrong_field(f"/{name}", "必填")
    return cast("dict[str, object]", value)


def _read_expiry(body: Body, now: float) -> float:
    written = text(body, "time_expire", 64, required=False)
    if not written:
        return now + _LIFE_SECONDS
    at = _read_instant(written)
    if at is None:
        raise wrong_field("/time_expire", "格式错误", written)
    # A minute's grace is what WeChat Pay asks for; half a minute here spares slow test machines.
    if not now + 30 <= at <= now + _MOST_SECONDS:
        raise wrong_field("/time_expire", "time_expire时间过短或过长", written)
    return at


@lru_cache(maxsize=512)
def _read_instant(written: str) -> float | None:
    """Read once a second rather than at each call; None is not an instant."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    return None if at.tzinfo is None else at.timestamp()


def _read_notify_url(body: Body, *, required: bool) -> str:
    url = text(body, "notify_url", 255, required=required)
    if url and not _may_be_told(url):
        raise wrong_field("/notify_url", "通知地址不合法", url)
    return url


@lru_cache(maxsize=512)
def _may_be_told(url: str) -> bool:
    """Merchants give the same address with every order."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.netloc) and "?" not in url


def _fingerprint(body: Body, product: str) -> str:
    content = product.encode() + msgspec.json.encode(body, order="sorted")
    return hashlib.blake2b(content, digest_size=16).hexdigest()
