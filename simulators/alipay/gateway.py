"""gateway.do: the checks in Alipay's order (app_id, signature, method, business), then the call."""

from collections.abc import Awaitable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from simulators.alipay import bills, trades
from simulators.alipay.answers import Failed, Node, error_page, signed_answer
from simulators.alipay.biz import fen, read_biz, text
from simulators.alipay.signing import request_content
from simulators.common.clock import BEIJING
from simulators.common.faults import Drawn, FaultKind, Stage
from simulators.common.forms import read_form
from simulators.common.http import Request, Response
from simulators.common.signatures import is_signed

if TYPE_CHECKING:
    from simulators.alipay.simulator import Alipay, Merchant

_CHARSETS: Final = {"utf-8": "utf-8", "gbk": "gbk", "gb2312": "gbk"}
_SKEW_SECONDS: Final = 86400
BUSY: Final = Response(
    429,
    b'{"error_response":{"code":"40005","msg":"Call Limited",'
    b'"sub_code":"isv.app-call-limited","sub_msg":"call limited"}}',
    {"Content-Type": "text/html;charset=utf-8"},
)


def answer(alipay: "Alipay", request: Request) -> Response | Awaitable[Response]:
    """Answer one call of the gateway."""
    parameters, charset = _read_parameters(request)
    method = parameters.get("method", "")
    merchant = alipay.merchants.get(parameters.get("app_id", ""))
    key = merchant.alipay_key if merchant else None
    try:
        merchant = _check(alipay, parameters, charset)
        call = trades.Call(
            alipay, merchant, read_biz(parameters.get("biz_content", "")), parameters
        )
    except Failed as failed:
        if method in trades.PAGES:
            return error_page(failed)
        return signed_answer(method or "error", failed.node(), key, charset)
    if method in trades.PAGES:
        return _answer_page(call, method)
    stage, work = trades.METHODS.get(method) or bills.METHODS[method]
    drawn = _draw(call, stage, method)

    def act(drawn: Drawn) -> Response:
        return _act(call, work, drawn, charset)

    return alipay.deliver(drawn, act, BUSY)


def download_bill(alipay: "Alipay", request: Request) -> Response:
    """The bill behind a download address: valid 30 s, no signature."""
    return bills.download(alipay, request.query())


def _act(call: "trades.Call", work: "trades.Work", drawn: Drawn, charset: str) -> Response:
    try:
        if drawn.kind is FaultKind.SYSTEM_ERROR_BEFORE:
            raise Failed("20000", "isp.unknow-error")
        node: Node = work(call, drawn)
        if drawn.kind is FaultKind.SYSTEM_ERROR_AFTER:
            raise Failed("20000", "isp.unknow-error")
    except Failed as failed:
        node = failed.node()
    key = None if drawn.kind is FaultKind.NO_SIGNATURE else call.merchant.alipay_key
    spoil = drawn.kind is FaultKind.BAD_SIGNATURE
    return signed_answer(call.parameters["method"], node, key, charset, spoil=spoil)


def _answer_page(call: "trades.Call", method: str) -> Response | Awaitable[Response]:
    drawn = _draw(call, Stage.CREATE, method)

    def act(drawn: Drawn) -> Response:
        try:
            order = trades.open_page_order(call, method, drawn)
        except Failed as failed:
            return error_page(failed)
        return Response(302, b"", {"Location": f"/phone/order/alipay/{order.id}"})

    return call.alipay.deliver(drawn, act, BUSY)


def _draw(call: "trades.Call", stage: Stage, method: str) -> Drawn:
    """Magic amounts work on creation and on what happens to a paid order afterwards."""
    number = text(call.biz, "out_trade_no")
    if stage is Stage.CREATE:
        amount = fen(text(call.biz, "total_amount"))
    else:
        order = call.alipay.books.order_of(call.merchant.account.seller_id, number)
        amount = order.amount if order is not None and order.paid_at else None
    return call.alipay.plan.draw(stage, method, amount, number)


def _read_parameters(request: Request) -> tuple[dict[str, str], str]:
    """Query string and form merged, in the charset the caller names; and that charset."""
    joined = request.query_string
    is_form = request.headers.get("content-type", "").startswith(
        "application/x-www-form-urlencoded"
    )
    if request.body and is_form:
        joined += "&" + request.body.decode("latin-1")
    charset = "gbk" if "charset=gb" in joined.lower() else "utf-8"
    return read_form(joined, charset, blanks=False), charset


def _check(alipay: "Alipay", parameters: Mapping[str, str], charset: str) -> "Merchant":
    """app_id, then signature, then what may be called."""
    if not parameters.get("app_id"):
        raise Failed("40001", "isv.missing-app-id")
    merchant = alipay.merchants.get(parameters["app_id"])
    if merchant is None:
        raise Failed("40002", "isv.invalid-app-id")
    if parameters.get("sign_type", "RSA2") != "RSA2":
        raise Failed("40002", "isv.invalid-signature-type")
    signature = parameters.get("sign")
    if not signature:
        raise Failed("40001", "isv.missing-signature")
    if not is_signed(merchant.app_key, request_content(parameters, charset), signature):
        raise Failed("40002", "isv.invalid-signature")
    _check_time(alipay, parameters.get("timestamp", ""))
    _check_method(parameters.get("method", ""))
    return merchant


def _check_time(alipay: "Alipay", written: str) -> None:
    if not written:
        raise Failed("40001", "isv.missing-timestamp")
    try:
        at = _read_time(written)
    except ValueError:
        raise Failed("40002", "isv.invalid-timestamp") from None
    if abs(alipay.clock.seconds() - at) > _SKEW_SECONDS:
        raise Failed("40002", "isv.invalid-timestamp")


@lru_cache(maxsize=512)
def _read_time(written: str) -> float:
    """Read once a second rather than at each call: strptime is slow."""
    return datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).timestamp()


def _check_method(method: str) -> None:
    if not method:
        raise Failed("40001", "isv.missing-method")
    if method not in trades.METHODS and method not in trades.PAGES and method not in bills.METHODS:
        raise Failed("40002", "isv.invalid-method")
