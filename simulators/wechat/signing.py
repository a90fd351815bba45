"""API v3 signatures over raw bytes, and AES-256-GCM for what is told in confidence."""

import base64
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from simulators.common.signatures import nonce, sign

SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"
_PAIR: Final = re.compile(r'(\w+)="([^"]*)"')
_PARTS: Final = frozenset({"mchid", "nonce_str", "signature", "timestamp", "serial_no"})


@dataclass(frozen=True, slots=True)
class Signer:
    """One of the provider's keys and the name it goes by."""

    serial: str
    key: rsa.RSAPrivateKey

    def headers(self, body: bytes, timestamp: int, *, spoiled: bool = False) -> dict[str, str]:
        """The Wechatpay-* headers over this body; spoiled ones probe the merchant's check."""
        once = nonce(32)
        content = f"{timestamp}\n{once}\n".encode() + body + b"\n"
        signature = sign(self.key, content)
        if spoiled:
            signature = "WECHATPAY/SIGNTEST/" + signature[19:]
        return {
            "Wechatpay-Timestamp": str(timestamp),
            "Wechatpay-Nonce": once,
            "Wechatpay-Signature": signature,
            "Wechatpay-Serial": self.serial,
            "Wechatpay-Signature-Type": SCHEME,
        }


def read_authorization(header: str) -> dict[str, str] | None:
    """The five parts of an Authorization header; None when it is not one."""
    scheme, _, rest = header.partition(" ")
    if scheme != SCHEME:
        return None
    parts = dict(_PAIR.findall(rest))
    return parts if parts.keys() >= _PARTS else None


def request_content(method: str, target: str, parts: dict[str, str], body: bytes) -> bytes:
    """What a request's signature covers: the target and body exactly as sent."""
    head = f"{method}\n{target}\n{parts['timestamp']}\n{parts['nonce_str']}\n"
    return head.encode() + body + b"\n"


def encrypt(apiv3_key: str, plain: bytes, associated_data: str) -> dict[str, str]:
    """AEAD_AES_256_GCM as it stands in notices and certificates."""
    once = nonce(12)
    sealed = _cipher(apiv3_key).encrypt(once.encode(), plain, associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "nonce": once,
        "associated_data": associated_data,
        "ciphertext": base64.b64encode(sealed).decode(),
    }


@lru_cache(maxsize=64)
def _cipher(apiv3_key: str) -> AESGCM:
    return AESGCM(apiv3_key.encode())
