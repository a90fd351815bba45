"""A WeChat Pay account: the merchant's number, its key, and how WeChat Pay signs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from tillgate.connectors.account import AccountFields, Hosts
from tillgate.kernel.errors import FieldRefused

_LIVE_API: Final = "https://api.mch.weixin.qq.com"
_HOSTS: Final = Hosts(live=("weixin.qq.com", "wechatpay.cn", "tenpay.com"))


@dataclass(frozen=True, slots=True)
class WechatAccount:
    """Who we are to WeChat Pay. Without a public key the platform certificates are used."""

    livemode: bool
    base_url: str
    appid: str
    mchid: str
    serial_no: str
    private_key: RSAPrivateKey
    apiv3_key: bytes
    public_key_id: str | None
    public_key: RSAPublicKey | None


def read_account(config: Mapping[str, Any] | str | bytes) -> WechatAccount:
    """Read the account's JSON; refuse what cannot work, naming the field."""
    fields = AccountFields(config)
    public_key_id = fields.optional_text("public_key_id", limit=64)
    public_key = fields.optional_public_key("public_key")
    if (public_key_id is None) != (public_key is None):
        missing = "public_key" if public_key is None else "public_key_id"
        raise FieldRefused(missing, f"Missing required field: {missing}.", code="parameter_missing")
    return WechatAccount(
        livemode=fields.livemode,
        base_url=fields.base_url("base_url", default_live=_LIVE_API, hosts=_HOSTS),
        appid=fields.text("appid", limit=32),
        mchid=fields.text("mchid", limit=32),
        serial_no=fields.text("merchant_serial_no", limit=64),
        private_key=fields.private_key("merchant_private_key"),
        apiv3_key=_apiv3_key(fields),
        public_key_id=public_key_id,
        public_key=public_key,
    )


def _apiv3_key(fields: AccountFields) -> bytes:
    key = fields.text("apiv3_key", limit=64).encode()
    if len(key) != 32:
        raise FieldRefused("apiv3_key", "apiv3_key must be exactly 32 bytes.")
    return key
