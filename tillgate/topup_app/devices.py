"""Which way to pay suits the customer's device: a code to scan, or the app on this very phone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from tillgate.connectors.port import Presentation

Device = Literal["desktop", "phone", "wechat", "alipay"]

_PHONE: Final = re.compile(r"\b(?:Mobile|Android|iPhone|iPad|iPod|HarmonyOS)\b")
#: An H5 order is refused inside WeChat, and Alipay does not open there.
_PRESENTATIONS: Final[Mapping[tuple[str, Device], Presentation]] = {
    ("alipay", "phone"): "wap",
    ("alipay", "alipay"): "wap",
    ("wechat_pay", "phone"): "h5",
}


def device_of(headers: Mapping[str, str]) -> Device:
    """Tell a phone from a desktop, and the browsers inside the two wallet apps from others."""
    agent = headers.get("user-agent", "")
    if "MicroMessenger" in agent:
        return "wechat"
    if "AlipayClient" in agent:
        return "alipay"
    hint = headers.get("sec-ch-ua-mobile")
    if hint == "?1" or _PHONE.search(agent):
        return "phone"
    return "desktop"


def presentation_of(method: str, device: Device) -> Presentation:
    """Return how a method is shown on a device."""
    return "card" if method == "card" else _PRESENTATIONS.get((method, device), "qr")


def suits(method: str, device: Device) -> bool:
    """Whether a method can be used at all from inside this app."""
    return (method, device) not in {("alipay", "wechat"), ("wechat_pay", "alipay")}
