"""Reading a merchant's provider account: every refusal names the field to blame.

Test keys and simulators can never touch live money: a live account must stand on a public https
host and with live keys, a test account on anything but the provider's live hosts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from tillgate.connectors import rsa
from tillgate.kernel.errors import FieldRefused

#: A name of the public internet: no address, no bare name, no reserved ending.
_PUBLIC_NAME = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+"
    r"(?!(?:localhost|local|internal|lan|home|test|example|invalid|arpa)\Z)[a-z]{2,}"
)


@dataclass(frozen=True, slots=True)
class Hosts:
    """A provider's domains that only live accounts may call, and those only test accounts may."""

    live: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


class AccountFields:
    """The fields of an account's JSON, read one at a time."""

    def __init__(self, account: Mapping[str, Any] | str | bytes) -> None:
        self._fields = _decode(account)
        self.livemode = self._boolean("livemode")

    def text(self, name: str, *, limit: int = 256) -> str:
        """Return a text that must be there."""
        value = self.optional_text(name, limit=limit)
        if value is None:
            raise FieldRefused(name, f"Missing required field: {name}.", code="parameter_missing")
        return value

    def optional_text(self, name: str, *, limit: int = 256) -> str | None:
        """Return a text, or None where it is absent or empty."""
        value = self._fields.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or len(value) > limit:
            raise FieldRefused(name, f"{name} must be text of at most {limit} characters.")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return one text or a list of them as a tuple, at least one."""
        value = self._fields.get(name)
        if not value:
            raise FieldRefused(name, f"Missing required field: {name}.", code="parameter_missing")
        try:
            texts = msgspec.convert([value] if isinstance(value, str) else value, tuple[str, ...])
        except msgspec.ValidationError:
            texts = ()
        if not 0 < len(texts) <= 8 or not all(0 < len(text) <= 256 for text in texts):
            raise FieldRefused(name, f"{name} must be one to eight texts.")
        return texts

    def _boolean(self, name: str) -> bool:
        value = self._fields.get(name)
        if not isinstance(value, bool):
            raise FieldRefused(name, f"{name} must be true or false.")
        return value

    def private_key(self, name: str) -> RSAPrivateKey:
        """Return an RSA private key of at least 2048 bits."""
        key = rsa.private_key(self.text(name, limit=16_384))
        if key is None:
            raise FieldRefused(name, f"{name} is not an RSA private key of 2048 bits or more.")
        return key

    def optional_public_key(self, name: str) -> RSAPublicKey | None:
        """Return an RSA public key (or that of a certificate), or None where it is absent."""
        text = self.optional_text(name, limit=16_384)
        if text is None:
            return None
        key = rsa.public_key(text)
        if key is None:
            raise FieldRefused(name, f"{name} is not an RSA public key or certificate.")
        return key

    def public_key(self, name: str) -> RSAPublicKey:
        """Return an RSA public key that must be there."""
        self.text(name, limit=16_384)
        key = self.optional_public_key(name)
        assert key is not None, "the text is there and was read"
        return key

    def base_url(self, name: str, *, default_live: str, hosts: Hosts) -> str:
        """Return where the provider is called; live and test hosts exclude each other."""
        url = self.optional_text(name) or (default_live if self.livemode else "")
        if not url:
            raise FieldRefused(name, f"Missing required field: {name}.", code="parameter_missing")
        host = _host(name, url)
        if self.livemode and not (url.startswith("https://") and _PUBLIC_NAME.fullmatch(host)):
            raise FieldRefused(name, f"{name} of a live account must be https on a public host.")
        if self.livemode and _is_one_of(host, hosts.test):
            raise FieldRefused(name, f"{name} of a live account must not be a test host.")
        if not self.livemode and _is_one_of(host, hosts.live):
            raise FieldRefused(name, f"{name} of a test account must not be a live host.")
        return url.rstrip("/")


def _decode(account: Mapping[str, Any] | str | bytes) -> Mapping[str, Any]:
    if isinstance(account, Mapping):
        return account
    try:
        return msgspec.json.decode(account, type=dict[str, Any])
    except msgspec.DecodeError:
        raise FieldRefused("config", "config must be a JSON object.") from None


def _host(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port
    except ValueError:
        host = ""
        parts = urlsplit("")
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not host or not plain or not url.isascii():
        raise FieldRefused(name, f"{name} must be a plain http(s) address.", code="url_invalid")
    return host.lower()


def _is_one_of(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
