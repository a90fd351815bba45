"""Stripe's API as one account sees it: ask, read JSON, find an order again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec

from tillgate.connectors.client import (
    Client,
    HttpRequest,
    HttpResponse,
    unknown_unless_answered,
    unusable,
)
from tillgate.connectors.port import NotFound, NotSent, Unknown
from tillgate.connectors.stripe import wire
from tillgate.connectors.stripe.config import StripeAccount

_MAX_PAGES: Final = 30
_ASK_AGAIN: Final = timedelta(minutes=1)
_READER: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Answer:
    """A readable answer: an object, or an error with its HTTP status."""

    status: int
    body: wire.Body

    @property
    def error(self) -> wire.Body:
        """The error of a refused request."""
        return wire.mapping(self.body.get("error"))


class Api:
    """Calls Stripe."""

    def __init__(self, account: StripeAccount, client: Client) -> None:
        self._base_url = account.base_url
        self._client = client
        #: Our account's name, by the settings or else by what our key opens.
        self.account = account.account
        self._key_opens: str | None = None
        self._asking = asyncio.Lock()
        self._ask_at: datetime | None = None
        self._headers = {
            "authorization": f"Bearer {account.secret_key}",
            "stripe-version": account.api_version,
            "accept": "application/json",
            "user-agent": "tillgate",
        }

    async def post(
        self, operation: str, path: str, form: Mapping[str, str], key: str | None = None
    ) -> Answer | Unknown | NotSent:
        """Post a form, under an idempotency key."""
        headers = {**self._headers, "content-type": "application/x-www-form-urlencoded"}
        if key is not None:
            headers["idempotency-key"] = key
        return await self._ask(operation, "POST", path, headers, urlencode(form).encode())

    async def get(
        self, operation: str, path: str, params: Mapping[str, str] | None = None
    ) -> Answer | Unknown:
        """Ask; a question not even sent proves nothing."""
        address = f"{path}?{urlencode(params)}" if params else path
        answer = await self._ask(operation, "GET", address, self._headers, b"")
        return answer if isinstance(answer, Answer) else unknown_unless_answered(answer)

    async def _ask(
        self,
        operation: str,
        method: Literal["GET", "POST"],
        address: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer | Unknown | NotSent:
        request = HttpRequest(method, f"{self._base_url}{address}", headers, body)
        response = await self._client.send(operation, request)
        if not isinstance(response, HttpResponse):
            return response
        if response.status == 429 or response.status >= 500:
            return unusable(operation, response)
        try:
            answer = Answer(response.status, _READER.decode(response.body))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return unusable(operation, response)
        return answer if response.status == 200 or answer.error else unusable(operation, response)

    async def key_opens(self, now: datetime) -> str | None:
        """Return the account that the key opens: the same for good, so it is asked once.

        None while it is not known: Stripe is away, or the key may not ask. Then it is asked again
        after a while.
        """
        async with self._asking:
            if self._key_opens is None and (self._ask_at is None or self._ask_at <= now):
                self._ask_at = now + _ASK_AGAIN
                answer = await self.get("account", wire.ACCOUNT)
                match answer:
                    case Answer(200, {"object": "account", "id": str(name)}) if name:
                        self._key_opens = name
                        self.account = self.account or name
                    case _:
                        pass
        return self._key_opens

    async def find_intent(
        self, attempt_id: str, since: datetime, now: datetime
    ) -> wire.Body | Unknown | NotFound:
        """Find an attempt's PaymentIntent: quickly by search, or else surely by listing.

        Where several bear the attempt's number, none is chosen: `Unknown` names them.
        """
        address = f"{wire.INTENTS}/search"
        found = await self.get("intent_search", address, wire.search_params(attempt_id))
        if isinstance(found, Answer):
            marked = wire.marked(wire.rows(found.body), "attempt", attempt_id)
            if marked:
                return wire.only(marked)
        return await self._list_intents(attempt_id, since, now)

    async def _list_intents(
        self, attempt_id: str, since: datetime, now: datetime
    ) -> wire.Body | Unknown | NotFound:
        async def page(after: str | None) -> Answer | Unknown:
            params = wire.list_params(since, now, after)
            return await self.get("intent_list", wire.INTENTS, params)

        return await _only_of_all(page, "attempt", attempt_id)

    async def find_refund(self, intent: str, refund_id: str) -> wire.Body | Unknown | NotFound:
        """Find a refund among those of its PaymentIntent."""

        async def page(after: str | None) -> Answer | Unknown:
            return await self.get("refund_list", wire.REFUNDS, wire.refunds_params(intent, after))

        return await _only_of_all(page, "refund", refund_id)


async def _only_of_all(
    page_after: Callable[[str | None], Awaitable[Answer | Unknown]], name: str, wanted: str
) -> wire.Body | Unknown | NotFound:
    """Read every page, for a second object so marked may be on the last."""
    found: list[wire.Body] = []
    after: str | None = None
    for _ in range(_MAX_PAGES):
        page = await page_after(after)
        if isinstance(page, Unknown):
            return page
        if page.status != 200 or page.body.get("object") != "list":
            return wire.unrecognised(page.status, page.error)
        rows = wire.rows(page.body)
        found += wire.marked(rows, name, wanted)
        if page.body.get("has_more") is False:
            return wire.only(found)
        cursor = rows[-1].get("id") if rows else None
        if not isinstance(cursor, str):
            return Unknown("a list without an end")
        after = cursor
    return Unknown("more in the window than we list")


def path_of(collection: str, identifier: str, action: str = "") -> str:
    """Return the path of one object."""
    return f"{collection}/{quote(identifier, safe='')}{action}"
