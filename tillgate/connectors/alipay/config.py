"""An Alipay account: the merchant's app, its key, and Alipay's public key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from tillgate.connectors.account import AccountFields, Hosts

_LIVE_GATEWAY: Final = "https://openapi.alipay.com/gateway.do"
_HOSTS: Final = Hosts(live=("alipay.com", "alipayobjects.com"), test=("alipaydev.com",))


@dataclass(frozen=True, slots=True)
class AlipayAccount:
    """Who we are to Alipay, and how both sides sign."""

    livemode: bool
    gateway_url: str
    app_id: str
    #: The merchant's own number (pid, 2088…); a notice for another is not ours.
    seller_id: str
    private_key: RSAPrivateKey
    alipay_public_key: RSAPublicKey


def read_account(config: Mapping[str, Any] | str | bytes) -> AlipayAccount:
    """Read the account's JSON; refuse what cannot work, naming the field."""
    fields = AccountFields(config)
    return AlipayAccount(
        livemode=fields.livemode,
        gateway_url=fields.base_url("gateway_url", default_live=_LIVE_GATEWAY, hosts=_HOSTS),
        app_id=fields.text("app_id", limit=32),
        seller_id=fields.text("seller_id", limit=32),
        private_key=fields.private_key("app_private_key"),
        alipay_public_key=fields.public_key("alipay_public_key"),
    )
