"""Trade and fund-flow bills: an address for 5 minutes, a SHA-1 of the plain file, CSV or GZIP.

Every data cell starts with a backtick and money is in yuan, though the API speaks fen.
"""

import gzip
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from simulators.common.bills import BillRow, cell, rows_of_day
from simulators.common.clock import in_beijing, wall_time
from simulators.common.faults import Drawn, FaultKind
from simulators.common.http import Response
from simulators.common.orders import yuan
from simulators.wechat.call import Call
from simulators.wechat.errors import Failed
from simulators.wechat.shapes import TRADE_TYPES

if TYPE_CHECKING:
    from simulators.wechat.simulator import Wechat

FEE_BASIS_POINTS: Final = 60
_VALID_SECONDS: Final = 300.0
_READY_HOUR: Final = 9
_MOST_SECONDS: Final = 92 * 86400
_SECRET: Final = secrets.token_bytes(32)
_HEADER: Final = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
    "付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,"
    "退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
_REFUND_COLUMNS: Final = (
    *("微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "退款类型", "退款状态"),
    "申请退款金额",
)
_SUMMARY: Final = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
_FLOW_HEADER: Final = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
_FLOW_SUMMARY: Final = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
_BILL_TYPES: Final = ("ALL", "SUCCESS", "REFUND")
_ACCOUNTS: Final = ("BASIC", "OPERATION", "FEES")


def trade_bill(call: Call, drawn: Drawn) -> dict[str, object]:
    """Payments and refunds of a Beijing day."""
    return _address(call, "trade", "bill_type", _BILL_TYPES, drawn)


def fund_flow_bill(call: Call, drawn: Drawn) -> dict[str, object]:
    """Every movement of the merchant's money on a Beijing day."""
    return _address(call, "fundflow", "account_type", _ACCOUNTS, drawn)


def download(call: Call, _: Drawn) -> Response:
    """The file behind an address; the request is signed, the answer is not."""
    parameters = call.request.query()
    token = parameters.pop("token", "")
    if not hmac.compare_digest(token.encode(), _token(parameters).encode()):
        raise Failed(403, "NO_AUTH", "token无效")
    if call.wechat.clock.seconds() > int(parameters["until"]):
        raise Failed(400, "INVALID_REQUEST", "下载地址已失效")
    body = bill_file(call.wechat, call.merchant.account.mchid, parameters)
    if parameters["tar"] == "GZIP":
        body = gzip.compress(body, mtime=0)
    return Response(200, body, {"Content-Type": "application/octet-stream"})


def bill_file(wechat: "Wechat", mchid: str, parameters: dict[str, str]) -> bytes:
    """The plain file."""
    rows = _rows(wechat, mchid, parameters["date"], parameters["kind"])
    if parameters["bill"] == "trade":
        appid = wechat.merchants[mchid].account.appid
        lines = _trade_lines(rows, mchid, appid, parameters["kind"])
    else:
        lines = _flow_lines(rows, mchid)
    return ("\r\n".join(lines) + "\r\n").encode("utf-8-sig")


def _address(
    call: Call, bill: str, kind_name: str, kinds: tuple[str, ...], drawn: Drawn
) -> dict[str, object]:
    query = call.request.query()
    date, kind = query.get("bill_date", ""), query.get(kind_name, kinds[0])
    tar = query.get("tar_type", "")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date) or kind not in kinds or tar not in ("", "GZIP"):
        raise Failed(400, "PARAM_ERROR", "账单参数错误", 268435461)
    _check_ready(call.wechat, date, drawn)
    mchid = call.merchant.account.mchid
    if not _rows(call.wechat, mchid, date, kind):
        raise Failed(400, "NO_STATEMENT_EXIST", "请求的账单文件不存在")
    until = str(int(call.wechat.clock.seconds() + _VALID_SECONDS))
    parameters = {"bill": bill, "kind": kind, "date": date, "tar": tar, "until": until}
    plain = bill_file(call.wechat, mchid, parameters)
    digest = hashlib.sha1(plain, usedforsecurity=False).hexdigest()
    if drawn.kind is FaultKind.WRONG_AMOUNT:
        digest = digest[::-1]
    parameters["token"] = _token(parameters)
    return {
        "hash_type": "SHA1",
        "hash_value": digest,
        "download_url": f"{call.wechat.server.url}/v3/billdownload/file?{urlencode(parameters)}",
    }


def _check_ready(wechat: "Wechat", date: str, drawn: Drawn) -> None:
    now = wechat.clock.seconds()
    if wechat.bill_change.is_ready:
        return
    if date >= in_beijing(now).strftime("%Y-%m-%d"):
        raise Failed(400, "INVALID_REQUEST", "账单日期不能是今天或未来")
    if date < in_beijing(now - _MOST_SECONDS).strftime("%Y-%m-%d"):
        raise Failed(400, "INVALID_REQUEST", "仅支持三个月内的账单下载")
    is_early = date >= in_beijing(now - _READY_HOUR * 3600).strftime("%Y-%m-%d")
    if is_early or drawn.kind is FaultKind.REFUSE:
        raise Failed(400, "STATEMENT_CREATING", "账单文件正在生成，请稍后再试")


def _rows(wechat: "Wechat", mchid: str, date: str, kind: str) -> list[BillRow]:
    rows = rows_of_day(wechat.books, mchid, date, FEE_BASIS_POINTS, wechat.bill_change)
    if kind == "SUCCESS":
        return [row for row in rows if not row.is_refund]
    if kind == "REFUND":
        return [row for row in rows if row.is_refund]
    return [] if kind in ("OPERATION", "FEES") else rows


def _trade_lines(rows: list[BillRow], mchid: str, appid: str, kind: str) -> list[str]:
    names = _HEADER.split(",")
    if kind == "SUCCESS":
        names = [name for name in names if name not in _REFUND_COLUMNS]
    if kind == "REFUND":
        names = [*names[:1], "退款申请时间", "退款成功时间", *names[1:]]
    lines = [",".join(names)]
    for row in rows:
        cells = _trade_cells(row, mchid, appid)
        lines.append(_quoted(cells[name] for name in names))
    return [*lines, _SUMMARY, _quoted(_trade_totals(rows))]


def _trade_cells(row: BillRow, mchid: str, appid: str) -> dict[str, str]:
    """A row by column name. A refund row speaks of the order but moves only the refund."""
    is_refund = row.is_refund
    return {
        "交易时间": wall_time(row.at),
        "公众账号ID": appid,
        "商户号": mchid,
        "特约商户号": "0",
        "设备号": "",
        "微信订单号": row.trade_no,
        "商户订单号": row.out_trade_no,
        "用户标识": row.payer,
        "交易类型": TRADE_TYPES.get(row.product, "NATIVE"),
        "交易状态": "REFUND" if is_refund else "SUCCESS",
        "付款银行": "OTHERS",
        "货币种类": "CNY",
        "应结订单金额": "0.00" if is_refund else yuan(row.amount),
        "代金券金额": "0.00",
        "微信退款单号": row.refund_id or "0",
        "商户退款单号": row.out_refund_no or "0",
        "退款金额": yuan(row.amount) if is_refund else "0.00",
        "充值券退款金额": "0.00",
        "退款类型": "ORIGINAL" if is_refund else "",
        "退款状态": "SUCCESS" if is_refund else "",
        "退款申请时间": wall_time(row.refund_created_at),
        "退款成功时间": wall_time(row.at),
        "商品名称": cell(row.subject),
        "商户数据包": cell(row.attach),
        "手续费": f"{'-' if is_refund else ''}{yuan(row.fee)}000",
        "费率": "0.60%",
        "订单金额": "0.00" if is_refund else yuan(row.amount),
        "申请退款金额": yuan(row.amount) if is_refund else "0.00",
        "费率备注": "",
    }


def _trade_totals(rows: list[BillRow]) -> list[str]:
    paid = sum(row.amount for row in rows if not row.is_refund)
    back = sum(row.amount for row in rows if row.is_refund)
    fee = sum(-row.fee if row.is_refund else row.fee for row in rows)
    totals = [str(len(rows)), yuan(paid), yuan(back), "0.00"]
    return [*totals, f"{yuan(fee)}000", yuan(paid), yuan(back)]


def _flow_lines(rows: list[BillRow], mchid: str) -> list[str]:
    """A payment and its fee are two movements; a refund goes out net of the fee given back."""
    lines = [_FLOW_HEADER]
    moved: list[int] = []
    for row in rows:
        net = row.amount - row.fee
        moves = [("退款", -net)] if row.is_refund else [("交易", row.amount)]
        if row.fee and not row.is_refund:
            moves.append(("扣除交易手续费", -row.fee))
        for name, amount in moves:
            moved.append(amount)
            lines.append(_quoted(_flow_cells(row, mchid, name, amount, sum(moved))))
    earned = [amount for amount in moved if amount > 0]
    spent = [-amount for amount in moved if amount < 0]
    totals = (len(moved), len(earned), yuan(sum(earned)), len(spent), yuan(sum(spent)))
    return [*lines, _FLOW_SUMMARY, _quoted(str(total) for total in totals)]


def _flow_cells(row: BillRow, mchid: str, name: str, amount: int, balance: int) -> list[str]:
    note = f"金额{yuan(row.amount)}元;含手续费{yuan(row.fee)}元"
    return [
        wall_time(row.at),
        row.refund_id or row.trade_no,
        row.trade_no,
        name,
        name,
        "支出" if amount < 0 else "收入",
        yuan(abs(amount)),
        yuan(balance),
        f"{mchid}API" if row.is_refund else "system",
        f"退款总{note}" if row.is_refund else f"结算{note}",
        row.out_refund_no or row.out_trade_no,
    ]


def _quoted(cells: Iterable[str]) -> str:
    return ",".join(f"`{cell}" for cell in cells)


def _token(parameters: dict[str, str]) -> str:
    content = urlencode(sorted(parameters.items())).encode()
    return hmac.new(_SECRET, content, hashlib.sha256).hexdigest()
