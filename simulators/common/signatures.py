"""SHA256withRSA (PKCS#1 v1.5) as base64 text, which Alipay and WeChat Pay both use."""

import random
import secrets
from binascii import a2b_base64, b2a_base64
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

_PADDING = padding.PKCS1v15()
_HASH = SHA256()
#: Seeded by the system once; asking it for each nonce is a call into the kernel each time.
_CHANCE: Final = random.Random(secrets.randbits(256))


def nonce(digits: int) -> str:
    """Hexadecimal digits that nobody has had before."""
    return f"{_CHANCE.getrandbits(4 * digits):0{digits}x}"


def sign(key: rsa.RSAPrivateKey, content: bytes) -> str:
    """The signature as base64 text."""
    return b2a_base64(key.sign(content, _PADDING, _HASH), newline=False).decode()


def is_signed(key: rsa.RSAPublicKey, content: bytes, signature: str) -> bool:
    """Whether the signature is this key's over this content."""
    try:
        key.verify(a2b_base64(signature, strict_mode=True), content, _PADDING, _HASH)
    except (InvalidSignature, ValueError):
        return False
    return True
