"""What the gateway answers: one signed node, and the codes it knows."""

from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from simulators.common.http import Response
from simulators.common.signatures import sign

Node = dict[str, object]
_MESSAGES: Final = {
    "10000": "Success",
    "10003": "order success pay inprocess",
    "20000": "Service Currently Unavailable",
    "40001": "Missing Required Arguments",
    "40002": "Invalid Arguments",
    "40004": "Business Failed",
    "40005": "Call Limited",
    "40006": "Insufficient Permissions",
}
_SUB_MESSAGES: Final = {
    "isv.missing-app-id": "缺少AppID参数",
    "isv.missing-method": "缺少方法名参数",
    "isv.missing-signature": "缺少签名参数",
    "isv.missing-timestamp": "缺少时间戳参数",
    "isv.invalid-app-id": "无效的AppID参数",
    "isv.invalid-signature": "验签出错，请确认签名串、签名方式和应用公钥是否匹配",
    "isv.invalid-signature-type": "无效的签名类型",
    "isv.invalid-method": "不存在的方法名",
    "isv.invalid-timestamp": "非法的时间戳参数",
    "isv.invalid-parameter": "参数无效",
    "isp.unknow-error": "系统繁忙",
    "ACQ.SYSTEM_ERROR": "系统错误",
    "ACQ.INVALID_PARAMETER": "参数无效",
    "ACQ.ACCESS_FORBIDDEN": "无权限使用接口",
    "ACQ.TRADE_NOT_EXIST": "交易不存在",
    "ACQ.TRADE_HAS_SUCCESS": "交易已被支付",
    "ACQ.TRADE_HAS_CLOSE": "交易已经关闭",
    "ACQ.TRADE_HAS_FINISHED": "交易已完结",
    "ACQ.CONTEXT_INCONSISTENT": "交易信息被篡改",
    "ACQ.TOTAL_FEE_EXCEED": "订单总金额超过限额",
    "ACQ.TRADE_STATUS_ERROR": "交易状态不合法",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": "退款金额超限",
    "ACQ.DISCORDANT_REPEAT_REQUEST": "不一致的请求",
    "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR": "当前时间已超过允许支付的时间",
    "NO_BILL_DATA": "账单数据不存在",
    "BILL_NOT_EXIST": "账单不存在",
}


class Failed(Exception):
    """The call ends with this code."""

    def __init__(self, code: str, sub_code: str, detail: str = "") -> None:
        super().__init__(sub_code)
        self.code = code
        self.sub_code = sub_code
        self.detail = detail

    def node(self) -> Node:
        """The answer's node."""
        message = _SUB_MESSAGES.get(self.sub_code, self.sub_code)
        return {
            "code": self.code,
            "msg": _MESSAGES[self.code],
            "sub_code": self.sub_code,
            "sub_msg": f"{message}{self.detail}",
        }


def business(sub_code: str, detail: str = "") -> Failed:
    """A refusal by the business rules, code 40004."""
    return Failed("40004", sub_code, detail)


def success(**fields: object) -> Node:
    """An accepted call's node."""
    return {"code": "10000", "msg": _MESSAGES["10000"], **fields}


def node_name(method: str) -> str:
    """The node that answers this method."""
    return method.replace(".", "_") + "_response"


def signed_answer(
    method: str, node: Node, key: rsa.RSAPrivateKey | None, charset: str, *, spoil: bool = False
) -> Response:
    """The whole answer. The signature covers the node's bytes exactly as they are sent."""
    content = msgspec.json.encode(node).replace(b"/", b"\\/")
    if charset != "utf-8":
        content = content.decode().encode(charset, "replace")
    parts = [b'{"', node_name(method).encode(), b'":', content]
    if key is not None:
        signature = sign(key, b"spoiled" + content if spoil else content)
        parts += [b',"sign":"', signature.encode(), b'"']
    parts.append(b"}")
    return Response(200, b"".join(parts), {"Content-Type": f"text/html;charset={charset}"})


def error_page(failed: Failed) -> Response:
    """What the payer's browser shows when a page order is wrong: HTML in GBK, nothing signed."""
    node = failed.node()
    html = (
        "<!DOCTYPE html><html><head><meta charset='GBK'><title>支付宝 - 错误</title></head><body>"
        f"<h1>调试错误，请回到请求来源地，重新发起请求。</h1><p>错误代码 {node['sub_code']}</p>"
        f"<p>错误原因: {_escape(str(node['sub_msg']))}</p></body></html>"
    )
    return Response(200, html.encode("gbk", "replace"), {"Content-Type": "text/html;charset=GBK"})


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
