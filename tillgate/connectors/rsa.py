"""RSA PKCS#1 v1.5 with SHA-256, as Alipay and WeChat Pay sign; keys are parsed once and kept."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

_PADDING = padding.PKCS1v15()
_DIGEST = hashes.SHA256()


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """Return the signature in base64."""
    return base64.b64encode(key.sign(message, _PADDING, _DIGEST)).decode("ascii")


def is_signed(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Tell whether this base64 signature is the key holder's over exactly these bytes."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, _PADDING, _DIGEST)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


@lru_cache(maxsize=4096)
def private_key(text: str) -> RSAPrivateKey | None:
    """Read a PEM, or bare base64 of PKCS#8 or PKCS#1 as Alipay's tool writes it."""
    for kind in ("", "PRIVATE KEY", "RSA PRIVATE KEY"):
        try:
            key = serialization.load_pem_private_key(_pem(text, kind), password=None)
        except (ValueError, TypeError):
            continue
        return key if isinstance(key, RSAPrivateKey) and key.key_size >= 2048 else None
    return None


@lru_cache(maxsize=4096)
def public_key(text: str) -> RSAPublicKey | None:
    """Read a PEM public key, a PEM certificate, or bare base64 of a public key."""
    if "BEGIN CERTIFICATE" in text:
        found = certificate(text)
        return found[1] if found else None
    for kind in ("", "PUBLIC KEY", "RSA PUBLIC KEY"):
        try:
            key = serialization.load_pem_public_key(_pem(text, kind))
        except ValueError:
            continue
        return key if isinstance(key, RSAPublicKey) else None
    return None


@lru_cache(maxsize=4096)
def certificate(text: str) -> tuple[x509.Certificate, RSAPublicKey] | None:
    """Read a PEM certificate and its key."""
    try:
        read = x509.load_pem_x509_certificate(text.encode())
        key = read.public_key()
    except ValueError:
        return None
    return (read, key) if isinstance(key, RSAPublicKey) else None


def serial_of(read: x509.Certificate) -> str:
    """Return the serial number as WeChat Pay writes it: upper-case hexadecimal."""
    return f"{read.serial_number:X}"


def _pem(text: str, kind: str) -> bytes:
    if not kind or "-----BEGIN" in text:
        return text.encode()
    body = "".join(text.split())
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n".encode()
