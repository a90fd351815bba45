"""API v3's door: the path, the headers, the clock, the signature over raw bytes, then the call."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from simulators.common.faults import Drawn, FaultKind, Stage
from simulators.common.http import Request, Response
from simulators.common.signatures import is_signed
from simulators.wechat import bills, certificates, refunds, transactions
from simulators.wechat.call import Call
from simulators.wechat.errors import Failed, sign_error, system_error
from simulators.wechat.reading import read_body
from simulators.wechat.signing import read_authorization, request_content

if TYPE_CHECKING:
    from simulators.wechat.simulator import Merchant, Wechat

_SKEW_SECONDS: Final = 300
_STRICT: Final = ("/v3/certificates", "/v3/refund/", "/v3/bill")
Work = Callable[[Call, Drawn], "dict[str, object] | Response | None"]


@dataclass(frozen=True, slots=True)
class Route:
    """One call: how its path looks, what kind it is, and what does it."""

    method: str
    pattern: re.Pattern[str]
    operation: str
    stage: Stage
    work: Work


_TX: Final = "/v3/pay/transactions"
_NO: Final = r"([^/]+)"


def _route(line: str, operation: str, stage: Stage, work: Work) -> Route:
    method, _, pattern = line.partition(" ")
    return Route(method, re.compile(pattern), operation, stage, work)


ROUTES: Final = (
    _route(f"POST {_TX}/(jsapi|native|h5|app)", "order", Stage.CREATE, transactions.create),
    _route(f"GET {_TX}/out-trade-no/{_NO}", "query", Stage.QUERY, transactions.query),
    _route(f"GET {_TX}/id/{_NO}", "query_by_id", Stage.QUERY, transactions.query_by_id),
    _route(f"POST {_TX}/out-trade-no/{_NO}/close", "close", Stage.CLOSE, transactions.close),
    _route("POST /v3/refund/domestic/refunds", "refund", Stage.REFUND, refunds.create),
    _route(
        f"GET /v3/refund/domestic/refunds/{_NO}", "refund_query", Stage.REFUND_QUERY, refunds.query
    ),
    _route("GET /v3/certificates", "certificates", Stage.OTHER, certificates.show),
    _route("GET /v3/bill/tradebill", "tradebill", Stage.BILL, bills.trade_bill),
    _route("GET /v3/bill/fundflowbill", "fundflowbill", Stage.BILL, bills.fund_flow_bill),
    _route("GET /v3/billdownload/file", "billdownload", Stage.BILL, bills.download),
)
BUSY: Final = Failed(429, "FREQUENCY_LIMITED", "频率超限，请降低请求频率", 268447840).response()


def answer(wechat: "Wechat", request: Request) -> Response | Awaitable[Response]:
    """Answer one call of API v3."""
    route, arguments = _find_route(request)
    if route is None:
        return Response(405 if arguments else 404)
    try:
        merchant = _check(wechat, request)
    except Failed as failed:
        return failed.response()
    call = Call(wechat, merchant, request, arguments, read_body(request.body))
    amount, number = _subject(call, route)
    drawn = wechat.plan.draw(route.stage, route.operation, amount, number)

    def act(drawn: Drawn) -> Response:
        return _act(call, route, drawn)

    return wechat.deliver(drawn, act, BUSY)


def _find_route(request: Request) -> tuple[Route | None, tuple[str, ...]]:
    """The route; without one, a non-empty tuple says that the path is known to another method."""
    others: tuple[str, ...] = ()
    for route in ROUTES:
        found = route.pattern.fullmatch(request.path)
        if found and route.method == request.method:
            return route, found.groups()
        if found:
            others = (*others, route.method)
    return None, others


def _check(wechat: "Wechat", request: Request) -> "Merchant":
    headers = request.headers
    parts = read_authorization(headers.get("authorization", ""))
    if parts is None:
        if request.path.startswith(_STRICT):
            raise sign_error(
                "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"
            )
        raise sign_error("签名信息错误，验签失败")
    if request.path.startswith(_STRICT) and not (
        headers.get("user-agent") and headers.get("accept")
    ):
        raise Failed(400, "INVALID_REQUEST", "Http头缺少Accept或User-Agent")
    stamp = parts["timestamp"]
    if not stamp.isdigit() or abs(int(stamp) - wechat.clock.seconds()) > _SKEW_SECONDS:
        raise sign_error("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
    merchant = wechat.merchants.get(parts["mchid"])
    if merchant is None:
        raise sign_error("Http头Authorization中的mchid不存在", 268443715)
    if parts["serial_no"].upper() != merchant.account.merchant_serial_no:
        raise sign_error("商户证书序列号有误")
    content = request_content(request.method, request.target, parts, request.body)
    if not is_signed(merchant.key, content, parts["signature"]):
        raise sign_error("签名错误")
    return merchant


def _subject(call: Call, route: Route) -> tuple[int | None, str]:
    """The order a call is about; magic amounts strike creation, and paid orders afterwards."""
    books, mchid = call.wechat.books, call.merchant.account.mchid
    if route.stage is Stage.CREATE:
        return transactions.peek(call.body or {})
    if route.stage is Stage.REFUND:
        number = refunds.peek(call.body or {})
        order = books.order_of(mchid, number) or call.wechat.by_transaction.get(number)
    elif call.arguments and route.stage in (Stage.QUERY, Stage.CLOSE):
        number = call.arguments[0]
        order = books.order_of(mchid, number) or call.wechat.by_transaction.get(number)
    else:
        return None, call.arguments[0] if call.arguments else ""
    if order is None:
        return None, number
    return (order.amount if order.paid_at else None), order.out_trade_no


def _act(call: Call, route: Route, drawn: Drawn) -> Response:
    try:
        if drawn.kind is FaultKind.SYSTEM_ERROR_BEFORE:
            raise system_error()
        told = route.work(call, drawn)
        if drawn.kind is FaultKind.SYSTEM_ERROR_AFTER:
            raise system_error()
    except Failed as failed:
        return failed.response()
    if isinstance(told, Response):
        return told
    return _signed(call, b"" if told is None else msgspec.json.encode(told), drawn)


def _signed(call: Call, body: bytes, drawn: Drawn) -> Response:
    """A 2xx answer with the Wechatpay-* headers; an empty one is 204 and signed all the same."""
    headers: Mapping[str, str] = {}
    if drawn.kind is not FaultKind.NO_SIGNATURE:
        signer = call.wechat.platform.signer(call.request.headers.get("wechatpay-serial", ""))
        spoiled = drawn.kind is FaultKind.BAD_SIGNATURE
        stamp = int(call.wechat.clock.seconds())
        if drawn.kind is FaultKind.STALE_TIMESTAMP:
            stamp -= 2 * _SKEW_SECONDS
        if drawn.kind is FaultKind.UNKNOWN_SERIAL:
            signer = replace(signer, serial="0" * 39 + "1")
        headers = signer.headers(body, stamp, spoiled=spoiled)
    if not body:
        return Response(204, b"", headers)
    return Response(200, body, {"Content-Type": "application/json; charset=utf-8", **headers})
