"""Alipay's one door: sign, post, and believe only what Alipay signed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tillgate.connectors.alipay import signing, wire
from tillgate.connectors.alipay.config import AlipayAccount
from tillgate.connectors.client import (
    MAX_BILL_BYTES,
    Client,
    HttpRequest,
    HttpResponse,
    unknown_unless_answered,
    unusable,
)
from tillgate.connectors.port import NotSent, Unknown

_FORM: Final = {"content-type": "application/x-www-form-urlencoded;charset=utf-8"}
_NO_URLS: Final[Mapping[str, str]] = {}


class Gateway:
    """Alipay's gateway as one account sees it."""

    def __init__(self, account: AlipayAccount, client: Client) -> None:
        self._account = account
        self._client = client

    def signed(
        self, method: str, content: str, now: datetime, urls: Mapping[str, str] = _NO_URLS
    ) -> dict[str, str]:
        """Return the signed parameters of a request."""
        params = wire.common_params(self._account.app_id, method, now)
        return signing.signed(self._account.private_key, {**params, **urls, "biz_content": content})

    async def ask(
        self, method: str, content: str, now: datetime, urls: Mapping[str, str] = _NO_URLS
    ) -> wire.Node | Unknown | NotSent:
        """Send a request and return the node of the answer that Alipay signed."""
        params = self.signed(method, content, now, urls)
        body = signing.form_of({"biz_content": params.pop("biz_content")}).encode()
        url = f"{self._account.gateway_url}?{signing.form_of(params)}"
        answer = await self._client.send(method, HttpRequest("POST", url, _FORM, body))
        if not isinstance(answer, HttpResponse):
            return answer
        if answer.status != 200:
            return unusable(method, answer)
        node = signing.signed_node(self._account.alipay_public_key, method, answer.body)
        return Unknown(f"{method}: answer not signed by Alipay") if node is None else node

    async def question(self, method: str, content: str, now: datetime) -> wire.Node | Unknown:
        """Ask about an order that may exist: a question not even sent proves nothing about it."""
        node = await self.ask(method, content, now)
        return unknown_unless_answered(node) if isinstance(node, Unknown | NotSent) else node

    async def download(self, url: str) -> bytes | None:
        """Fetch a bill's ZIP; None where something else came."""
        answer = await self._client.send(
            "bill_download", HttpRequest("GET", url, max_bytes=MAX_BILL_BYTES)
        )
        is_zip = isinstance(answer, HttpResponse) and answer.body.startswith(b"PK")
        return answer.body if is_zip and isinstance(answer, HttpResponse) else None
