"""Key material of the pretend providers and of the merchants they know, made once and kept.

Two files. `--keys FILE` (mode 0600) holds everything, the providers' private halves too; only the
simulators read it. Beside it `merchants.json` (mode 0600) holds what a real merchant would hold,
and is what Tillgate's seed reads to set up a test merchant's provider accounts:

    {"version": 1,
     "merchants": [
       {"name": "demo",
        "alipay": {
          "gateway_url": "http://127.0.0.1:P/gateway.do",
          "app_id": "2021…(16 digits)", "seller_id": "2088…(16 digits, the pid)",
          "app_private_key": PEM PKCS#8, "app_public_key": PEM, "alipay_public_key": PEM},
        "wechat": {
          "base_url": "http://127.0.0.1:P",
          "mchid": "16…(10 digits)", "appid": "wx…(18 chars)",
          "merchant_serial_no": 40 hex, "merchant_private_key": PEM PKCS#8,
          "merchant_certificate": PEM, "apiv3_key": 32 chars,
          "public_key_id": "PUB_KEY_ID_…", "public_key": PEM,
          "platform_serial_no": 40 hex, "platform_certificate": PEM},
        "card": {
          "base_url": "http://127.0.0.1:P", "account": "acct_…",
          "secret_key": "sk_test_…", "publishable_key": "pk_test_…",
          "webhook_secret": "whsec_…"}}]}

Every PEM is a JSON string with newlines. The base addresses are those of the running simulators.
"""

import secrets
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from simulators.common.clock import Clock, in_utc

_RSA_BITS: Final = 2048
_CERTIFICATE_DAYS: Final = 5 * 365


class KeyPair(msgspec.Struct, frozen=True):
    """An RSA key pair as PEM text: PKCS#8 and SubjectPublicKeyInfo."""

    private: str
    public: str


class AlipayAccount(msgspec.Struct, frozen=True):
    """One merchant application at Alipay, with the provider's key for it."""

    app_id: str
    seller_id: str
    app: KeyPair
    alipay: KeyPair


class WechatAccount(msgspec.Struct, frozen=True):
    """One direct merchant at WeChat Pay."""

    mchid: str
    appid: str
    merchant: KeyPair
    merchant_serial_no: str
    merchant_certificate: str
    apiv3_key: str


class WechatPlatform(msgspec.Struct, frozen=True):
    """WeChat Pay's own keys: the platform certificate and the newer public key."""

    platform: KeyPair
    platform_serial_no: str
    platform_certificate: str
    public: KeyPair
    public_key_id: str


class CardAccount(msgspec.Struct, frozen=True):
    """One merchant at the card acquirer."""

    account: str
    secret_key: str
    publishable_key: str
    webhook_secret: str


class MerchantKeys(msgspec.Struct, frozen=True):
    """One merchant at all three providers."""

    name: str
    alipay: AlipayAccount
    wechat: WechatAccount
    card: CardAccount


class Keys(msgspec.Struct, frozen=True):
    """Everything the simulators hold."""

    version: int
    wechat: WechatPlatform
    merchants: tuple[MerchantKeys, ...]


class Addresses(msgspec.Struct, frozen=True):
    """Where the running simulators are."""

    alipay: str = ""
    wechat: str = ""
    card: str = ""


def open_keys(path: Path, names: tuple[str, ...] = ("demo",)) -> Keys:
    """Read the file of keys, or make it; merchants it does not know yet are added."""
    keys = msgspec.json.decode(path.read_bytes(), type=Keys) if path.exists() else make_keys(())
    known = {merchant.name for merchant in keys.merchants}
    new = tuple(make_merchant(name) for name in names if name not in known)
    if new or not path.exists():
        keys = msgspec.structs.replace(keys, merchants=keys.merchants + new)
        write_private(path, msgspec.json.encode(keys))
    return keys


def make_keys(names: tuple[str, ...] = ("demo",)) -> Keys:
    """Fresh keys for the providers and for the named merchants."""
    platform, serial, certificate = _make_certificate("Tenpay.com Root CA (simulator)")
    return Keys(
        version=1,
        wechat=WechatPlatform(
            platform=platform,
            platform_serial_no=serial,
            platform_certificate=certificate,
            public=_make_pair(),
            public_key_id="PUB_KEY_ID_" + _digits(33),
        ),
        merchants=tuple(make_merchant(name) for name in names),
    )


def make_merchant(name: str) -> MerchantKeys:
    """A fresh merchant at all three providers."""
    pair, serial, certificate = _make_certificate(f"{name} (simulator)")
    return MerchantKeys(
        name=name,
        alipay=AlipayAccount(
            app_id="2021" + _digits(12),
            seller_id="2088" + _digits(12),
            app=_make_pair(),
            alipay=_make_pair(),
        ),
        wechat=WechatAccount(
            mchid="16" + _digits(8),
            appid="wx" + secrets.token_hex(8),
            merchant=pair,
            merchant_serial_no=serial,
            merchant_certificate=certificate,
            apiv3_key=secrets.token_hex(16),
        ),
        card=CardAccount(
            account="acct_" + secrets.token_hex(8),
            secret_key="sk_test_" + secrets.token_hex(16),
            publishable_key="pk_test_" + secrets.token_hex(16),
            webhook_secret="whsec_" + secrets.token_hex(16),
        ),
    )


def write_merchants(path: Path, keys: Keys, addresses: Addresses) -> None:
    """Write the merchants' halves, for the seed to read."""
    merchants = [show_merchant(merchant, keys.wechat, addresses) for merchant in keys.merchants]
    write_private(path, msgspec.json.encode({"version": 1, "merchants": merchants}))


def show_merchant(
    merchant: MerchantKeys, platform: WechatPlatform, addresses: Addresses
) -> dict[str, object]:
    """What this merchant would hold, as the module's docstring lays it out."""
    alipay, wechat = merchant.alipay, merchant.wechat
    return {
        "name": merchant.name,
        "alipay": {
            "gateway_url": f"{addresses.alipay}/gateway.do",
            "app_id": alipay.app_id,
            "seller_id": alipay.seller_id,
            "app_private_key": alipay.app.private,
            "app_public_key": alipay.app.public,
            "alipay_public_key": alipay.alipay.public,
        },
        "wechat": {
            "base_url": addresses.wechat,
            "mchid": wechat.mchid,
            "appid": wechat.appid,
            "merchant_serial_no": wechat.merchant_serial_no,
            "merchant_private_key": wechat.merchant.private,
            "merchant_certificate": wechat.merchant_certificate,
            "apiv3_key": wechat.apiv3_key,
            "public_key_id": platform.public_key_id,
            "public_key": platform.public.public,
            "platform_serial_no": platform.platform_serial_no,
            "platform_certificate": platform.platform_certificate,
        },
        "card": {"base_url": addresses.card} | msgspec.structs.asdict(merchant.card),
    }


def load_private_key(pem: str) -> rsa.RSAPrivateKey:
    """The key object; make it once and keep it, parsing costs more than signing."""
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def load_public_key(pem: str) -> rsa.RSAPublicKey:
    """The key object of a public PEM."""
    key = serialization.load_pem_public_key(pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def _make_pair() -> KeyPair:
    return _show_pair(rsa.generate_private_key(65537, _RSA_BITS))


def _show_pair(key: rsa.RSAPrivateKey) -> KeyPair:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return KeyPair(private.decode(), public.decode())


def _make_certificate(common_name: str) -> tuple[KeyPair, str, str]:
    """A key, the serial number as 40 upper-case hex digits, and a self-signed certificate."""
    key = rsa.generate_private_key(65537, _RSA_BITS)
    serial = x509.random_serial_number() | (1 << 158)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = in_utc(Clock().seconds())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return _show_pair(key), f"{serial:040X}", pem


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def write_private(path: Path, body: bytes) -> None:
    """Replace the file whole; nobody else may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_bytes(body)
    draft.replace(path)
