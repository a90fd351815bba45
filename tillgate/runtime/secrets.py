"""Secrets at rest: AES-256-GCM under the installation's key, bound to where the secret belongs.

The key lives outside the database, in a file only its owner can read. API keys are not encrypted
but hashed: they are random, so one round of SHA-256 is enough and can be looked up by index.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class SecretUnreadable(Exception):
    """The secret does not open with this installation's key, or was moved from its place."""


class Vault:
    """Seals and opens small secrets with one key."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    @staticmethod
    def from_file(path: Path) -> Vault:
        """Read the key file; make one (mode 0600) where there is none."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(base64.b64encode(secrets.token_bytes(32)).decode())
        return Vault(base64.b64decode(path.read_text(encoding="ascii")))

    def seal(self, plain: bytes, place: str) -> bytes:
        """Encrypt; `place` (table, row, column) must be given again to open it."""
        nonce = secrets.token_bytes(12)
        return b"\x01" + nonce + self._aead.encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Decrypt, or raise `SecretUnreadable`."""
        try:
            return self._aead.decrypt(sealed[1:13], sealed[13:], place.encode())
        except InvalidTag:
            raise SecretUnreadable(place) from None


def digest_of_key(key: str) -> bytes:
    """Return what is stored of an API key."""
    return hashlib.sha256(key.encode()).digest()


def random_text(length: int) -> str:
    """Return random letters and digits, for keys and secrets."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    return "".join(secrets.choice(alphabet) for _ in range(length))
