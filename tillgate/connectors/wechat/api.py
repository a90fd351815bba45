"""WeChat Pay's API as one merchant sees it: sign, send, and believe only what is signed."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from tillgate.connectors.client import (
    MAX_BILL_BYTES,
    Client,
    HttpRequest,
    HttpResponse,
    unknown_unless_answered,
    unusable,
)
from tillgate.connectors.port import Bill, BillUnavailable, NotSent, Unknown
from tillgate.connectors.wechat import signing, wire
from tillgate.connectors.wechat.config import WechatAccount
from tillgate.connectors.wechat.keys import Keys
from tillgate.kernel.ids import new_id, suffix

_JSON: Final = {
    "accept": "application/json",
    "content-type": "application/json",
    "user-agent": "tillgate",
}


class Api:
    """Calls WeChat Pay."""

    def __init__(self, account: WechatAccount, client: Client) -> None:
        self._account = account
        self._client = client
        self.keys = Keys(account)

    async def post(
        self, operation: str, path: str, body: bytes, now: datetime
    ) -> wire.Body | wire.Refusal | Unknown | NotSent:
        """Post JSON."""
        answer = await self._client.send(operation, self._request("POST", path, body, now))
        return await self._read(operation, answer, now)

    async def get(
        self, operation: str, path: str, now: datetime
    ) -> wire.Body | wire.Refusal | Unknown:
        """Ask; a question not even sent proves nothing."""
        answer = await self._client.send(operation, self._request("GET", path, b"", now))
        read = await self._read(operation, answer, now)
        return unknown_unless_answered(read) if isinstance(read, NotSent) else read

    def _request(
        self, method: str, path: str, body: bytes, now: datetime, max_bytes: int | None = None
    ) -> HttpRequest:
        request = (method, path, body)
        nonce = suffix(new_id("nonce"))
        headers = {
            **_JSON,
            "authorization": signing.authorization(self._account, request, nonce, now),
        }
        if self._account.public_key_id is not None:
            headers["wechatpay-serial"] = self._account.public_key_id
        url = f"{self._account.base_url}{path}"
        if max_bytes is None:
            return HttpRequest(method, url, headers, body)
        return HttpRequest(method, url, headers, body, max_bytes)

    async def _read(
        self, operation: str, answer: HttpResponse | Unknown | NotSent, now: datetime
    ) -> wire.Body | wire.Refusal | Unknown | NotSent:
        if not isinstance(answer, HttpResponse):
            return answer
        if 400 <= answer.status < 500 and answer.status != 429:
            error = signing.json_object(answer.body)
            refusal = wire.refusal_of(answer.status, error) if error is not None else None
            return refusal or unusable(operation, answer)
        if answer.status not in (200, 204):
            return unusable(operation, answer)
        if not await self._is_genuine(answer, now):
            return Unknown(f"{operation}: answer not signed by WeChat Pay")
        body = {} if answer.status == 204 else signing.json_object(answer.body)
        return unusable(operation, answer) if body is None else body

    async def _is_genuine(self, answer: HttpResponse, now: datetime) -> bool:
        if not signing.is_fresh(answer.headers, now):
            return False
        serial = answer.headers.get("wechatpay-serial", "")
        key = self.keys.find(serial, now)
        if key is None:
            await self.refresh_keys(now)
            key = self.keys.find(serial, now)
        return key is not None and signing.is_genuine(key, answer.headers, answer.body)

    async def refresh_keys(self, now: datetime) -> None:
        """Ask for the platform certificates, but not in a rush."""
        if not self.keys.may_ask(now):
            return
        request = self._request("GET", wire.CERTIFICATES, b"", now)
        answer = await self._client.send("certificates", request)
        if not isinstance(answer, HttpResponse) or answer.status != 200:
            return
        listed = signing.json_object(answer.body)
        if listed is not None:
            # Only what opens with our own APIv3 key is believed; that is the proof of origin.
            self.keys.learn(listed, self._account.apiv3_key, now)

    async def bill(self, path: str, name: str, now: datetime) -> Bill | BillUnavailable:
        """Ask where a bill lies, fetch it, and check it against the digest we were told."""
        told = await self.get("bill", path, now)
        if isinstance(told, Unknown):
            return BillUnavailable(told.reason, retry=True)
        if isinstance(told, wire.Refusal):
            return wire.bill_unavailable(told)
        return await self._download(told, name, now)

    async def _download(self, told: wire.Body, name: str, now: datetime) -> Bill | BillUnavailable:
        parts = urlsplit(str(told.get("download_url")))
        path = f"/{parts.path.lstrip('/')}?{parts.query}"
        request = self._request("GET", path, b"", now, MAX_BILL_BYTES)
        answer = await self._client.send("bill_download", request)
        if not isinstance(answer, HttpResponse) or answer.status != 200:
            return BillUnavailable("the bill could not be downloaded", retry=True)
        digest = hashlib.sha1(answer.body, usedforsecurity=False).hexdigest()
        if told.get("hash_type") != "SHA1" or digest != str(told.get("hash_value")).lower():
            return BillUnavailable("the bill differs from its digest", retry=True)
        return Bill(name, answer.body)
