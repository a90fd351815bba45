"""The connectors we have, by name.

A connector is stateless but for what it has learned of a provider's certificates: build one for
each provider account and keep it while the account's settings stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tillgate.connectors.alipay.config import read_account as read_alipay
from tillgate.connectors.alipay.connector import Alipay
from tillgate.connectors.client import Client, Observe, Transport, unobserved
from tillgate.connectors.port import Connector
from tillgate.connectors.stripe.config import read_account as read_stripe
from tillgate.connectors.stripe.connector import Stripe
from tillgate.connectors.wechat.config import read_account as read_wechat
from tillgate.connectors.wechat.connector import WechatPay
from tillgate.kernel.errors import FieldRefused

NAMES: Final = ("alipay", "wechat_pay", "stripe")

Config = Mapping[str, Any] | str | bytes


def build(
    name: str, config: Config, transport: Transport, observe: Observe = unobserved
) -> Connector:
    """Return the connector of a provider account; refuse settings that cannot work."""
    client = Client(transport, name, observe)
    match name:
        case "alipay":
            return Alipay(read_alipay(config), client)
        case "stripe":
            return Stripe(read_stripe(config), client)
        case "wechat_pay":
            return WechatPay(read_wechat(config), client)
        case _:
            raise FieldRefused("provider", f"There is no connector {name[:40]!r}.")
