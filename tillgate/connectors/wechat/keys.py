"""The keys WeChat Pay signs with: the configured public key and the certificates we fetched."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tillgate.connectors import rsa
from tillgate.connectors.wechat import signing
from tillgate.connectors.wechat.config import WechatAccount

#: A stranger's notices cannot make us ask for certificates more often than this.
_REFRESH_PAUSE: Final = timedelta(seconds=30)


class Keys:
    """What we know of WeChat Pay's keys; certificates are added as they are learned."""

    def __init__(self, account: WechatAccount) -> None:
        self._public_key_id = account.public_key_id
        self._public_key = account.public_key
        self._certificates: dict[str, tuple[x509.Certificate, RSAPublicKey]] = {}
        self._asked_at: datetime | None = None

    def find(self, serial: str, now: datetime) -> RSAPublicKey | None:
        """Return the key of a serial, unless its certificate is out of date."""
        if serial and serial == self._public_key_id:
            return self._public_key
        found = self._certificates.get(_normal(serial))
        if found is None or not _is_valid(found[0], now):
            return None
        return found[1]

    def may_ask(self, now: datetime) -> bool:
        """Tell whether certificates may be asked for again, and remember that they were."""
        if self._asked_at is not None and now - self._asked_at < _REFRESH_PAUSE:
            return False
        self._asked_at = now
        return True

    def learn(self, answer: dict[str, Any], apiv3_key: bytes, now: datetime) -> None:
        """Keep the certificates of an answer that open with our key and are valid."""
        rows: object = answer.get("data")
        for row in cast(list[Any], rows) if isinstance(rows, list) else []:
            sealed: object = cast(dict[str, Any], row).get("encrypt_certificate")
            if not isinstance(sealed, dict):
                continue
            plain = signing.unsealed(apiv3_key, cast(dict[str, Any], sealed))
            read = rsa.certificate(plain.decode("ascii", "replace")) if plain else None
            if read is not None and _is_valid(read[0], now):
                self._certificates[rsa.serial_of(read[0])] = read


def _normal(serial: str) -> str:
    return serial.upper().lstrip("0")


def _is_valid(read: x509.Certificate, now: datetime) -> bool:
    return read.not_valid_before_utc <= now <= read.not_valid_after_utc
