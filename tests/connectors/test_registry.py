"""Accounts: what is refused, and that test and live never mix."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from tillgate.connectors.port import (
    Billing,
    Capturing,
    Closing,
    Notifying,
    RefreshingKeys,
    Refunding,
    Vaulting,
)
from tillgate.connectors.registry import NAMES, build
from tillgate.connectors.transport import HttpTransport
from tillgate.kernel.errors import FieldRefused


def _pem(bits: int = 2048) -> tuple[str, str]:
    key = generate_private_key(65537, bits)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


PRIVATE, PUBLIC = _pem()
WEAK, _ = _pem(1024)
ACCOUNTS: dict[str, dict[str, Any]] = {
    "alipay": {
        "livemode": False,
        "gateway_url": "http://127.0.0.1:1/gateway.do",
        "app_id": "2021",
        "seller_id": "2088",
        "app_private_key": PRIVATE,
        "alipay_public_key": PUBLIC,
    },
    "wechat_pay": {
        "livemode": False,
        "base_url": "http://127.0.0.1:1",
        "appid": "wx1",
        "mchid": "1900",
        "merchant_serial_no": "AB",
        "merchant_private_key": PRIVATE,
        "apiv3_key": "k" * 32,
        "public_key_id": "PUB_KEY_ID_1",
        "public_key": PUBLIC,
    },
    "stripe": {
        "livemode": False,
        "base_url": "http://127.0.0.1:1",
        "secret_key": "sk_test_1",
        "webhook_secret": ["whsec_1", "whsec_2"],
    },
}
LIVE: dict[str, dict[str, Any]] = {
    "alipay": {"livemode": True, "gateway_url": "https://openapi.alipay.com/gateway.do"},
    "wechat_pay": {"livemode": True, "base_url": "https://api.mch.weixin.qq.com"},
    "stripe": {"livemode": True, "base_url": "", "secret_key": "sk_live_1"},
}


def _build(name: str, **change: Any) -> Any:
    return build(name, json.dumps({**ACCOUNTS[name], **change}), HttpTransport())


@pytest.mark.parametrize("name", NAMES)
def test_an_account_is_built_from_text_bytes_or_a_mapping(name: str) -> None:
    text = json.dumps(ACCOUNTS[name])
    for config in (text, text.encode(), ACCOUNTS[name]):
        connector = build(name, config, HttpTransport())
        assert connector.name == name
        assert isinstance(connector, Closing)
        assert isinstance(connector, Refunding)
        assert isinstance(connector, Notifying)
        assert isinstance(connector, Billing) is (name != "stripe")
        assert isinstance(connector, Capturing) is (name == "stripe")
        assert isinstance(connector, Vaulting) is (name == "stripe")
        assert isinstance(connector, RefreshingKeys) is (name == "wechat_pay")


@pytest.mark.parametrize("name", NAMES)
def test_a_live_account_is_built(name: str) -> None:
    assert _build(name, **LIVE[name]).name == name


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name, account in ACCOUNTS.items() for field in account],
)
def test_a_missing_field_is_named(name: str, field: str) -> None:
    with pytest.raises(FieldRefused) as refused:
        _build(name, **{field: None})

    assert refused.value.param == field


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "https://127.0.0.1",
        "https://[::1]",
        "https://localhost",
        "https://LOCALHOST.",
        "https://2130706433",
        "https://127.1",
        "https://0x7f.1",
        "https://10.0.0.8",
        "https://simulators.internal",
        "https://simulators",
        "https://teahouse.test",
        "http://api.stripe.com",
        "ftp://api.stripe.com",
    ],
)
def test_a_live_account_never_meets_a_simulator(name: str, url: str) -> None:
    field = "gateway_url" if name == "alipay" else "base_url"

    with pytest.raises(FieldRefused) as refused:
        _build(name, **{**LIVE[name], field: url})

    assert refused.value.param == field


@pytest.mark.parametrize(
    ("name", "change", "param"),
    [
        ("alipay", {"gateway_url": "https://openapi.alipay.com/gateway.do"}, "gateway_url"),
        ("alipay", {"gateway_url": "https://OpenAPI.alipay.com./gateway.do"}, "gateway_url"),
        (
            "alipay",
            {**LIVE["alipay"], "gateway_url": "https://openapi-sandbox.dl.alipaydev.com/g"},
            "gateway_url",
        ),
        ("wechat_pay", {"base_url": "https://api2.mch.weixin.qq.com"}, "base_url"),
        ("stripe", {"secret_key": "sk_live_1"}, "secret_key"),
        ("stripe", {**LIVE["stripe"], "secret_key": "sk_test_1"}, "secret_key"),
        ("stripe", {"secret_key": "pk_test_1"}, "secret_key"),
        ("stripe", {"account": "2088"}, "account"),
        ("stripe", {"base_url": "http://u:p@127.0.0.1"}, "base_url"),
        ("stripe", {"base_url": "http://127.0.0.1/?a=1"}, "base_url"),
        ("stripe", {"base_url": "http://127.0.0.1:x"}, "base_url"),
        ("stripe", {"webhook_secret": []}, "webhook_secret"),
        ("stripe", {"webhook_secret": [1]}, "webhook_secret"),
        ("stripe", {"livemode": "yes"}, "livemode"),
        ("alipay", {"app_private_key": PUBLIC}, "app_private_key"),
        ("alipay", {"app_private_key": WEAK}, "app_private_key"),
        ("alipay", {"alipay_public_key": "rubbish"}, "alipay_public_key"),
        ("alipay", {"app_id": 7}, "app_id"),
        ("wechat_pay", {"apiv3_key": "k" * 31}, "apiv3_key"),
    ],
)
def test_what_cannot_work_is_refused_by_name(name: str, change: dict[str, Any], param: str) -> None:
    with pytest.raises(FieldRefused) as refused:
        _build(name, **change)

    assert refused.value.param == param
    assert PRIVATE[40:80] not in refused.value.message


@pytest.mark.parametrize("config", ["", "[]", "null", b"\xff", "{"])
def test_a_config_that_is_no_object_is_refused(config: str | bytes) -> None:
    with pytest.raises(FieldRefused) as refused:
        build("stripe", config, HttpTransport())

    assert refused.value.param == "config"


def test_keys_without_header_and_footer_are_read_as_alipay_writes_them() -> None:
    bare = "".join(line for line in PRIVATE.splitlines() if not line.startswith("-"))
    bare_public = "".join(line for line in PUBLIC.splitlines() if not line.startswith("-"))

    assert _build("alipay", app_private_key=bare, alipay_public_key=bare_public).name == "alipay"


def test_an_unknown_connector_is_refused() -> None:
    with pytest.raises(FieldRefused) as refused:
        build("paypal", {}, HttpTransport())

    assert refused.value.param == "provider"
