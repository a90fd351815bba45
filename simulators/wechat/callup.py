"""The objects that call up WeChat on a phone: a bare prepay_id, or JSAPI and APP parameters."""

from typing import TYPE_CHECKING

import msgspec

from simulators.common.signatures import is_signed

if TYPE_CHECKING:
    from simulators.wechat.simulator import Wechat


def read_prepay_id(wechat: "Wechat", content: str) -> str:
    """The prepay_id that the text holds, if it is signed where it must be; else nothing."""
    if not content.startswith("{"):
        return content.removeprefix("prepay_id=")
    try:
        parameters = msgspec.json.decode(content, type=dict[str, str])
    except msgspec.MsgspecError:
        return ""
    if "paySign" in parameters:
        package = parameters.get("package", "")
        return _checked(wechat, parameters, parameters.get("appId", ""), package)
    return _checked(wechat, parameters, parameters.get("appId", parameters.get("appid", "")), "")


def _checked(wechat: "Wechat", parameters: dict[str, str], appid: str, package: str) -> str:
    """JSAPI signs `prepay_id=…`, APP the bare id."""
    last = package or parameters.get("prepayId", parameters.get("prepayid", ""))
    stamp = parameters.get("timeStamp", parameters.get("timestamp", ""))
    nonce = parameters.get("nonceStr", parameters.get("noncestr", ""))
    signature = parameters.get("paySign", parameters.get("sign", ""))
    content = f"{appid}\n{stamp}\n{nonce}\n{last}\n".encode()
    for merchant in wechat.merchants.values():
        if merchant.account.appid == appid and is_signed(merchant.key, content, signature):
            return last.removeprefix("prepay_id=")
    return ""
