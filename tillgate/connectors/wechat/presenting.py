"""How the customer is brought to WeChat: by a code, a link, or parameters signed here. Pure."""

from __future__ import annotations

from datetime import datetime

from tillgate.connectors.port import Charge, OpenApp, Outcome, Unknown, Waiting
from tillgate.connectors.wechat import signing, wire
from tillgate.connectors.wechat.config import WechatAccount
from tillgate.kernel.clock import unix
from tillgate.kernel.ids import new_id, suffix


def present(account: WechatAccount, answer: wire.Body, charge: Charge, now: datetime) -> Outcome:
    """Read a new order and say what the customer does next."""
    if charge.presentation in ("qr", "h5"):
        return wire.shown(answer, charge, now)
    prepay_id = answer.get("prepay_id")
    if not isinstance(prepay_id, str) or not prepay_id:
        return Unknown("an order without a way to pay it")
    called = _jsapi if charge.presentation == "jsapi" else _app
    return Waiting(called(account, prepay_id, suffix(new_id("nonce")), str(unix(now))))


def _jsapi(account: WechatAccount, prepay_id: str, nonce: str, stamp: str) -> OpenApp:
    package = f"prepay_id={prepay_id}"
    return OpenApp(
        {
            "appId": account.appid,
            "timeStamp": stamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": signing.pay_sign(account, (account.appid, stamp, nonce, package)),
        }
    )


def _app(account: WechatAccount, prepay_id: str, nonce: str, stamp: str) -> OpenApp:
    return OpenApp(
        {
            "appId": account.appid,
            "partnerId": account.mchid,
            "prepayId": prepay_id,
            "packageValue": "Sign=WXPay",
            "nonceStr": nonce,
            "timeStamp": stamp,
            "sign": signing.pay_sign(account, (account.appid, stamp, nonce, prepay_id)),
        }
    )
