"""How WeChat Pay v3 signs and seals; pure.

A request is signed over its method, path, time, nonce and raw body; an answer or a notice over
its time, nonce and raw body. The resource of a notice is sealed with AES-256-GCM.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tillgate.connectors import rsa
from tillgate.connectors.wechat.config import WechatAccount
from tillgate.kernel.clock import unix

SCHEMA: Final = "WECHATPAY2-SHA256-RSA2048"
TOLERANCE_SECONDS: Final = 300


def authorization(
    account: WechatAccount, request: tuple[str, str, bytes], nonce: str, now: datetime
) -> str:
    """Return the Authorization header of a request (method, path with query, body)."""
    method, path, body = request
    stamp = str(unix(now))
    message = f"{method}\n{path}\n{stamp}\n{nonce}\n".encode() + body + b"\n"
    signature = rsa.sign(account.private_key, message)
    return (
        f'{SCHEMA} mchid="{account.mchid}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{stamp}",serial_no="{account.serial_no}"'
    )


def pay_sign(account: WechatAccount, lines: tuple[str, ...]) -> str:
    """Return the signature that the customer's app or page hands to WeChat."""
    return rsa.sign(account.private_key, "".join(f"{line}\n" for line in lines).encode())


def is_fresh(headers: Mapping[str, str], now: datetime) -> bool:
    """Tell whether the signature's time is within five minutes of ours."""
    stamp = headers.get("wechatpay-timestamp", "")
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
        return False
    return abs(unix(now) - int(stamp)) <= TOLERANCE_SECONDS


def is_genuine(key: RSAPublicKey, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether the key's holder signed these raw bytes; WeChat's test signatures fail."""
    stamp = headers.get("wechatpay-timestamp", "")
    nonce = headers.get("wechatpay-nonce", "")
    message = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
    return rsa.is_signed(key, message, headers.get("wechatpay-signature", ""))


def unsealed(key: bytes, sealed: Mapping[str, Any]) -> bytes | None:
    """Open an AEAD_AES_256_GCM resource; None where it is not whole and ours."""
    if sealed.get("algorithm") != "AEAD_AES_256_GCM":
        return None
    nonce, ciphertext = sealed.get("nonce"), sealed.get("ciphertext")
    data = sealed.get("associated_data") or ""
    if not (isinstance(nonce, str) and isinstance(ciphertext, str) and isinstance(data, str)):
        return None
    try:
        secret = base64.b64decode(ciphertext, validate=True)
        return AESGCM(key).decrypt(nonce.encode(), secret, data.encode())
    except (InvalidTag, ValueError):
        return None


def json_object(body: bytes) -> dict[str, Any] | None:
    """Read a JSON object, or None."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
