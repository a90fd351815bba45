"""The connectors we have, by name.

A connector is stateless but for what it has learned of a provider's certificates: build one for
each provider account and keep it while the account's settings stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

Config = Mapping[str, Any] | str | bytes

_MAKERS: Final[Mapping[str, Callable[[Config, Client], Connector]]] = {
    "alipay": lambda config, client: Alipay(read_alipay(config), client),
    "wechat_pay": lambda config, client: WechatPay(read_wechat(config), client),
    "stripe": lambda config, client: Stripe(read_stripe(config), client),
}
NAMES: Final = tuple(_MAKERS)
#: What some connector takes payments in.
CURRENCIES: Final = Alipay.currencies | WechatPay.currencies | Stripe.currencies


def build(
    name: str, config: Config, transport: Transport, observe: Observe = unobserved
) -> Connector:
    """Return the connector of a provider account; refuse settings that cannot work."""
    make = _MAKERS.get(name)
    if make is None:
        raise FieldRefused("provider", f"There is no connector {name[:40]!r}.")
    return make(config, Client(transport, name, observe))
