"""Alipay's bills: a 30 s address, then a ZIP of GBK CSV files for one day or month.

`trade` gives the business detail and its summary, `signcustomer` the account's fund flow.
"""

import hashlib
import hmac
import io
import re
import secrets
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from simulators.alipay.answers import Node, business, success
from simulators.alipay.biz import required
from simulators.alipay.trades import Call, Work
from simulators.common.bills import BillRow, cell, rows_of_day
from simulators.common.clock import in_beijing, wall_time
from simulators.common.faults import Drawn, Stage
from simulators.common.http import Response
from simulators.common.orders import yuan

if TYPE_CHECKING:
    from simulators.alipay.simulator import Alipay

FEE_BASIS_POINTS: Final = 60
_VALID_SECONDS: Final = 30.0
_READY_HOUR: Final = 9
_SECRET: Final = secrets.token_bytes(32)
_TRADE_HEADER: Final = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,"
    "对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,"
    "券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,"
    "分润（元）,备注"
)
_SUMMARY_HEADER: Final = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,支付宝优惠（元）,"
    "商家优惠（元）,卡消费金额（元）,服务费（元）,分润（元）,实收净额（元）"
)
_FUND_HEADER: Final = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,"
    "账户余额（元）,交易渠道,业务类型,备注"
)


def query_address(call: Call, _: Drawn) -> Node:
    """Where the bill can be fetched for the next 30 seconds."""
    bill_type, bill_date = required(call.biz, "bill_type"), required(call.biz, "bill_date")
    if bill_type not in ("trade", "signcustomer"):
        raise business("ACQ.INVALID_PARAMETER", "，bill_type")
    if not re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", bill_date):
        raise business("ACQ.INVALID_PARAMETER", "，bill_date")
    now = call.alipay.clock.seconds()
    ready = in_beijing(now - _READY_HOUR * 3600).strftime("%Y-%m-%d")
    if bill_date >= ready[: len(bill_date)] and not call.alipay.bill_change.is_ready:
        raise business("BILL_NOT_EXIST")
    account = call.merchant.account
    if not _rows(call.alipay, account.seller_id, bill_date):
        raise business("NO_BILL_DATA")
    parameters = {
        "seller": account.seller_id,
        "type": bill_type,
        "date": bill_date,
        "until": str(int(now + _VALID_SECONDS)),
    }
    parameters["token"] = _token(parameters)
    address = f"{call.alipay.server.url}/bill/download?{urlencode(parameters)}"
    return success(bill_download_url=address)


METHODS: Final[Mapping[str, tuple[Stage, Work]]] = {
    "alipay.data.dataservice.bill.downloadurl.query": (Stage.BILL, query_address),
}


def download(alipay: "Alipay", parameters: dict[str, str]) -> Response:
    """The ZIP, if the address is one we gave and still good."""
    token = parameters.pop("token", "")
    if not hmac.compare_digest(token.encode(), _token(parameters).encode()):
        return Response(403)
    if alipay.clock.seconds() > int(parameters["until"]):
        return Response(403, b"expired")
    files = bill_files(alipay, parameters["seller"], parameters["type"], parameters["date"])
    return Response(200, _zip(files), {"Content-Type": "application/octet-stream"})


def bill_files(alipay: "Alipay", seller: str, bill_type: str, date: str) -> dict[str, str]:
    """The files inside, by name."""
    rows = _rows(alipay, seller, date)
    stem = f"{seller}0156_{date.replace('-', '')}"
    made = in_beijing(alipay.clock.seconds()).strftime("%Y年%m月%d日 %H:%M:%S")
    if bill_type == "signcustomer":
        body = _frame("账务明细", seller, date, _FUND_HEADER, _fund_rows(rows))
        return {f"{stem}_账务明细.csv": body + f"#导出时间：[{made}]\r\n"}
    detail = _frame("业务明细", seller, date, _TRADE_HEADER, [_trade_row(row) for row in rows])
    summary = _frame("业务汇总", seller, date, _SUMMARY_HEADER, [_summary_row(rows)])
    return {
        f"{stem}_业务明细.csv": detail + _totals(rows) + f"#导出时间：[{made}]\r\n",
        f"{stem}_业务明细(汇总).csv": summary + f"#导出时间：[{made}]\r\n",
    }


def _rows(alipay: "Alipay", seller: str, date: str) -> list[BillRow]:
    return rows_of_day(alipay.books, seller, date, FEE_BASIS_POINTS, alipay.bill_change)


def _frame(title: str, seller: str, date: str, header: str, rows: list[str]) -> str:
    day = f"{date.replace('-', '年', 1).replace('-', '月')}{'日' if date.count('-') > 1 else '月'}"
    rule = "-" * 41
    lines = [
        f"#支付宝{title}查询",
        f"#账号：[{seller}0156]",
        f"#起始日期：[{day} 00:00:00]   终止日期：[{day} 24:00:00]",
        f"#{rule}{title}列表{rule}",
        header,
        *rows,
        f"#{rule}{title}列表结束{rule}",
    ]
    return "\r\n".join(lines) + "\r\n"


def _trade_row(row: BillRow) -> str:
    sign = -1 if row.is_refund else 1
    amount = yuan(sign * row.amount)
    cells = [
        f"{row.trade_no}\t",
        f"{row.out_trade_no}\t",
        "退款" if row.is_refund else "交易",
        cell(row.subject),
        wall_time(row.refund_created_at or row.created_at),
        wall_time(row.at),
        *["", "", "", ""],
        "*(138****0000)",
        amount,
        amount,
        *["0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00", "0.00"],
        f"{row.out_refund_no}\t" if row.is_refund else "",
        yuan(-sign * row.fee),
        "0.00",
        "",
    ]
    return ",".join(cells)


def _summary_row(rows: list[BillRow]) -> str:
    paid = [row for row in rows if not row.is_refund]
    back = [row for row in rows if row.is_refund]
    gross = sum(row.amount for row in paid) - sum(row.amount for row in back)
    fee = sum(row.fee for row in paid) - sum(row.fee for row in back)
    cells = ["合计", "", str(len(paid)), str(len(back)), yuan(gross), yuan(gross)]
    return ",".join([*cells, "0.00", "0.00", "0.00", yuan(-fee), "0.00", yuan(gross - fee)])


def _totals(rows: list[BillRow]) -> str:
    paid = [row.amount for row in rows if not row.is_refund]
    back = [row.amount for row in rows if row.is_refund]
    return (
        f"#交易合计：{len(paid)}笔，商家实收共{yuan(sum(paid))}元，商家优惠共0.00元\r\n"
        f"#退款合计：{len(back)}笔，商家实收退款共{yuan(-sum(back))}元，商家优惠退款共0.00元\r\n"
    )


def _fund_rows(rows: list[BillRow]) -> list[str]:
    """Each payment and refund, and beside it the fee taken or given back."""
    lines: list[str] = []
    balance = 0
    for row in rows:
        sign = -1 if row.is_refund else 1
        moves = [("退款（交易退款）" if row.is_refund else "在线支付", sign * row.amount)]
        if row.fee:
            moves.append(("退费" if row.is_refund else "收费", -sign * row.fee))
        for kind, amount in moves:
            balance += amount
            lines.append(_fund_row(row, kind, amount, balance))
    return lines


def _fund_row(row: BillRow, kind: str, amount: int, balance: int) -> str:
    flow = hashlib.sha256(f"{row.trade_no}{row.refund_id}{kind}".encode()).hexdigest()
    cells = [
        f"{int(flow[:16], 16):020d}\t",
        f"{row.trade_no}\t",
        f"{row.out_trade_no}\t",
        cell(row.subject),
        wall_time(row.at),
        "138****0000",
        yuan(amount) if amount > 0 else "",
        yuan(amount) if amount < 0 else "",
        yuan(balance),
        "支付宝",
        kind,
        row.out_refund_no,
    ]
    return ",".join(cells)


class _GbkName(zipfile.ZipInfo):
    """An entry whose name is GBK, as Alipay writes it, and not marked as UTF-8."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.filename.encode("gbk"), self.flag_bits


def _zip(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            entry = _GbkName(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, body.encode("gbk", "replace"))
    return packed.getvalue()


def _token(parameters: Mapping[str, str]) -> str:
    content = urlencode(sorted(parameters.items())).encode()
    return hmac.new(_SECRET, content, hashlib.sha256).hexdigest()
