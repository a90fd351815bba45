"""Alipay's RSA2: SHA256withRSA over sorted `k=v&…`, base64.

Requests are signed with `sign_type` included, notices with `sign_type` left out: the classic trap.
"""

import base64
import binascii
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

_PADDING = padding.PKCS1v15()
_HASH = SHA256()


def sign(key: rsa.RSAPrivateKey, content: bytes) -> str:
    """The signature as base64 text."""
    return base64.b64encode(key.sign(content, _PADDING, _HASH)).decode()


def is_signed(key: rsa.RSAPublicKey, content: bytes, signature: str) -> bool:
    """Whether the signature is this key's over this content."""
    try:
        key.verify(base64.b64decode(signature, validate=True), content, _PADDING, _HASH)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def request_content(parameters: Mapping[str, str], charset: str) -> bytes:
    """What a request's signature covers."""
    return _join(parameters, ("sign",), charset)


def notice_content(parameters: Mapping[str, str], charset: str = "utf-8") -> bytes:
    """What a notice's signature covers."""
    return _join(parameters, ("sign", "sign_type"), charset)


def _join(parameters: Mapping[str, str], without: tuple[str, ...], charset: str) -> bytes:
    kept = sorted((k, v) for k, v in parameters.items() if v and k not in without)
    return "&".join(f"{k}={v}" for k, v in kept).encode(charset, "replace")
