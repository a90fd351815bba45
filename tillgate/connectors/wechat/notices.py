"""WeChat Pay's notices: unseal, check that they are for us, read. Pure."""

from __future__ import annotations

from typing import Any, cast

from tillgate.connectors.port import (
    AttemptNotice,
    BadNotice,
    ForeignRefund,
    Notice,
    OtherNotice,
    RefundNotice,
    is_ours,
)
from tillgate.connectors.wechat import signing, wire
from tillgate.connectors.wechat.config import WechatAccount


def read(account: WechatAccount, body: bytes) -> Notice:
    """Read a notice whose signature has been checked."""
    notice = signing.json_object(body)
    if notice is None:
        raise BadNotice("the notice is not JSON")
    kind = str(notice.get("event_type"))[:64]
    if kind == "TRANSACTION.SUCCESS":
        trade = _resource(account, notice)
        attempt_id = wire.order_of(trade)
        return AttemptNotice(attempt_id, wire.trade_outcome(account, trade, attempt_id))
    if kind.startswith("REFUND."):
        refund = _resource(account, notice)
        refund_id = refund.get("out_refund_no")
        if not isinstance(refund_id, str):
            raise BadNotice("the notice names no refund")
        outcome = wire.refund_state(refund, "refund_status")
        if is_ours(refund_id):
            return RefundNotice(refund_id, outcome)
        number = str(refund.get("refund_id") or refund_id)
        return ForeignRefund(number, outcome, wire.order_of(refund))
    return OtherNotice(kind)


def _resource(account: WechatAccount, notice: wire.Body) -> wire.Body:
    sealed = notice.get("resource")
    plain = None
    if isinstance(sealed, dict):
        plain = signing.unsealed(account.apiv3_key, cast(dict[str, Any], sealed))
    resource = signing.json_object(plain) if plain is not None else None
    if resource is None:
        raise BadNotice("the notice's resource cannot be opened")
    appid = resource.get("appid", account.appid)
    if resource.get("mchid") != account.mchid or appid != account.appid:
        raise BadNotice("the notice is for another merchant or app")
    return resource
