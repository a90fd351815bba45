"""Orders: create (native, JSAPI, H5, APP), query, close."""

import secrets
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

from simulators.common.books import Order, OrderState
from simulators.common.clock import in_beijing
from simulators.common.faults import Drawn, FaultKind
from simulators.common.signatures import nonce
from simulators.wechat.call import Call
from simulators.wechat.errors import Failed, wrong_field
from simulators.wechat.reading import Body, OrderTerms, read_order, required, text
from simulators.wechat.shapes import show_transaction, trade_state

if TYPE_CHECKING:
    from simulators.wechat.simulator import Wechat


def peek(body: Body) -> tuple[int | None, str]:
    """Amount and number of an order before it is checked."""
    amount = body.get("amount")
    total = cast("Body", amount).get("total") if isinstance(amount, dict) else None
    return (total if isinstance(total, int) else None), str(body.get("out_trade_no", ""))


def create(call: Call, drawn: Drawn) -> dict[str, object]:
    """Open an order. The same terms again give a fresh link, other terms are refused."""
    product = call.arguments[0]
    body = required(call.body)
    _check_owner(call, body)
    now = call.wechat.clock.seconds()
    terms = read_order(body, product, now)
    if drawn.kind is FaultKind.REFUSE:
        raise Failed(403, "RULE_LIMIT", "商户号收款功能受限", 268448010)
    order = call.wechat.books.order_of(call.merchant.account.mchid, terms.out_trade_no)
    if order is None:
        order = _make_order(call, product, terms, now)
        call.wechat.add_order(order)
    else:
        _check_same(call.wechat, order, terms)
    answer = _fresh_link(call.wechat, order, product, now)
    call.wechat.pay_by_itself(order, drawn)
    return answer


def query(call: Call, drawn: Drawn) -> dict[str, object]:
    """By the merchant's number."""
    mchid = _read_mchid(call)
    return _show(call.wechat, call.wechat.books.order_of(mchid, call.arguments[0]), drawn)


def query_by_id(call: Call, drawn: Drawn) -> dict[str, object]:
    """By the transaction's number, which exists once the order is paid."""
    mchid = _read_mchid(call)
    order = call.wechat.by_transaction.get(call.arguments[0])
    return _show(call.wechat, order if order and order.merchant == mchid else None, drawn)


def close(call: Call, _: Drawn) -> None:
    """Close an unpaid order; again is fine."""
    body = required(call.body)
    if text(body, "mchid", 32) != call.merchant.account.mchid:
        raise wrong_field("/mchid", "与签名商户号不一致")
    order = call.wechat.books.order_of(call.merchant.account.mchid, call.arguments[0])
    if order is None:
        raise Failed(404, "ORDER_NOT_EXIST", "订单不存在", 268512771)
    call.wechat.expire(order)
    if order.state is OrderState.PAID:
        raise Failed(400, "INVALID_REQUEST", "该订单已支付", 268449538)
    call.wechat.close(order.id)


def _check_owner(call: Call, body: Body) -> None:
    account = call.merchant.account
    if text(body, "mchid", 32) != account.mchid:
        raise wrong_field("/mchid", "与签名商户号不一致", body["mchid"])
    if text(body, "appid", 32) != account.appid:
        raise Failed(400, "APPID_MCHID_NOT_MATCH", "appid和mchid不匹配", 268445527)


def _check_same(wechat: "Wechat", order: Order, terms: OrderTerms) -> None:
    wechat.expire(order)
    if order.state is OrderState.PAID:
        raise Failed(400, "INVALID_REQUEST", "该订单已支付", 268449538)
    if order.state is OrderState.CLOSED:
        raise Failed(400, "ORDER_CLOSED", "该订单已关闭，请更换商户订单号", 268447914)
    if order.fingerprint != terms.fingerprint:
        raise Failed(403, "OUT_TRADE_NO_USED", "商户订单号重复，请求参数不一致", 268498688)


def _make_order(call: Call, product: str, terms: OrderTerms, now: float) -> Order:
    account = call.merchant.account
    extra = {"signer": call.request.headers.get("wechatpay-serial", "")}
    if terms.attach:
        extra["attach"] = terms.attach
    return Order(
        id=call.wechat.numbers.next(now, prefix="10"),
        merchant=account.mchid,
        app_id=account.appid,
        out_trade_no=terms.out_trade_no,
        amount=terms.amount,
        currency="CNY",
        product=product,
        subject=terms.description,
        state=OrderState.WAITING,
        created_at=now,
        expires_at=terms.expires_at,
        notify_url=terms.notify_url,
        fingerprint=terms.fingerprint,
        payer=terms.openid,
        extra=extra,
    )


def _fresh_link(wechat: "Wechat", order: Order, product: str, now: float) -> dict[str, object]:
    """A new link each time; all of an order's links work."""
    if product == "native":
        link = f"weixin://wxpay/bizpayurl?pr={nonce(12)}zz"
        wechat.relink(order, link)
        return {"code_url": link}
    prepay_id = f"wx{in_beijing(now).strftime('%Y%m%d%H%M%S')}{nonce(20)}"
    order.extra = order.extra | {"linked_at": str(now)}
    wechat.relink(order, prepay_id)
    if product != "h5":
        return {"prepay_id": prepay_id}
    query = urlencode({"prepay_id": prepay_id, "package": str(secrets.randbits(31))})
    return {"h5_url": f"{wechat.server.url}/cgi-bin/mmpayweb-bin/checkmweb?{query}"}


def _read_mchid(call: Call) -> str:
    mchid = call.request.query().get("mchid", "")
    if mchid != call.merchant.account.mchid:
        raise Failed(400, "PARAM_ERROR", "mchid与签名商户号不一致", 268447843)
    return mchid


def _show(wechat: "Wechat", order: Order | None, drawn: Drawn) -> dict[str, object]:
    if order is None:
        raise Failed(404, "ORDER_NOT_EXIST", "订单不存在", 268512771)
    wechat.expire(order)
    state = trade_state(order, has_refund=bool(wechat.books.refunds_of(order)))
    if drawn.kind is FaultKind.NOT_PAID_YET:
        state = "NOTPAY"
    told = order.told_amount or order.amount
    if drawn.kind is FaultKind.WRONG_AMOUNT:
        told = order.amount + 1
    return show_transaction(order, amount=told, state=state)
