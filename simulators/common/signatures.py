"""SHA256withRSA (PKCS#1 v1.5) as base64 text, which Alipay and WeChat Pay both use."""

import base64
import binascii

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
