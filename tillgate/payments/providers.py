"""Which provider account takes a charge, and the connector that speaks to it.

Connectors are built from the merchant's provider accounts and kept while those do not change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from tillgate.connectors import port, registry
from tillgate.connectors.client import Observe, Transport
from tillgate.connectors.port import Connector, Presentation
from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import FieldRefused, Kind, Refusal
from tillgate.kernel.money import currency
from tillgate.merchants.model import OpenedAccount
from tillgate.payments.commands import Route
from tillgate.payments.errors import CaptureNotOffered, MethodNotOffered
from tillgate.payments.model import Attempt, Refund
from tillgate.payments.orders import money, refund_of
from tillgate.runtime.shared import Shared

#: The provider that takes each method.
PROVIDER_OF: Final = {"card": "stripe", "alipay": "alipay", "wechat_pay": "wechat_pay"}


class ProviderAccountNotFound(Refusal):
    """There is no provider account {account_id}."""

    kind = Kind.NOT_FOUND
    code = "resource_missing"

    def __init__(self, account_id: str) -> None:
        super().__init__(account_id=account_id)


#: Reads a merchant's provider accounts (secrets opened).
Load = Callable[[int], Awaitable[list[OpenedAccount]]]


class Providers:
    """Provider accounts and their connectors, cached for a few seconds."""

    def __init__(
        self,
        load: Load,
        clock: Clock,
        transport: Transport,
        observe: Observe,
        *,
        base_url: str,
        keep_seconds: float = 5.0,
    ) -> None:
        self._load = load
        self._clock = clock
        self._transport = transport
        self._observe = observe
        self._base_url = base_url
        self._keep = timedelta(seconds=keep_seconds)
        self._accounts: dict[int, tuple[datetime, list[OpenedAccount]]] = {}
        self._reading = Shared(self._read)
        self._connectors: dict[tuple[int, str, int], Connector] = {}

    async def route(
        self,
        merchant_id: int,
        method: str,
        presentation: Presentation,
        currency: str,
        *,
        lifetime: timedelta,
        capture: bool = True,
    ) -> Route:
        """Return the account that takes this charge; refuse what none takes."""
        for opened in await self._of(merchant_id):
            account = opened.account
            if not account.enabled or account.provider != PROVIDER_OF.get(method):
                continue
            connector = self._build(merchant_id, opened)
            if presentation not in connector.presentations or currency not in connector.currencies:
                continue
            if not capture and not hasattr(connector, "capture"):
                raise CaptureNotOffered(method)
            return Route(account.id, account.provider, self._clock.now() + lifetime)
        raise MethodNotOffered(method, presentation, currency)

    async def connector(self, merchant_id: int, account_id: str) -> Connector:
        """Return the connector of an account, enabled or not: old attempts still need it."""
        for opened in await self._of(merchant_id):
            if opened.account.id == account_id:
                return self._build(merchant_id, opened)
        raise ProviderAccountNotFound(account_id)

    async def look_up(self, attempt: Attempt) -> port.Outcome | port.Closed | port.NotFound:
        """Ask an attempt's provider where it stands."""
        connector = await self.connector(attempt.merchant_id, attempt.provider_account_id)
        return await connector.look_up(
            attempt.id,
            attempt.reference,
            money(attempt.amount, attempt.currency),
            since=attempt.created_at,
            now=self._clock.now(),
        )

    async def look_up_refund(
        self, refund: Refund, attempt: Attempt
    ) -> port.RefundOutcome | port.NotFound:
        """Ask a refund's provider where it stands."""
        connector, order = await self.refunding(refund, attempt)
        return await connector.look_up_refund(order, refund.reference, now=self._clock.now())

    async def refunding(
        self, refund: Refund, attempt: Attempt
    ) -> tuple[port.Refunding, port.RefundOrder]:
        """Return who gives the money of an attempt back, and what is to be asked."""
        connector = await self.connector(attempt.merchant_id, attempt.provider_account_id)
        assert port.can(connector, port.Refunding), "every connector of ours refunds"
        notify_url = self.notify_url(attempt.merchant_id, attempt.provider_account_id)
        return connector, refund_of(refund, attempt, notify_url)

    async def methods(self, merchant_id: int, currency: str) -> list[str]:
        """Return the methods this merchant can take in a currency, in order of account."""
        found: list[str] = []
        for opened in await self._of(merchant_id):
            account = opened.account
            if account.enabled and currency in self._build(merchant_id, opened).currencies:
                found += [
                    method
                    for method, provider in PROVIDER_OF.items()
                    if provider == account.provider and method not in found
                ]
        return found

    def notify_url(self, merchant_id: int, account_id: str) -> str:
        """Return where the provider sends its notices."""
        return notify_url(self._base_url, merchant_id, account_id)

    async def _of(self, merchant_id: int) -> list[OpenedAccount]:
        kept = self._accounts.get(merchant_id)
        if kept is not None and kept[0] > self._clock.now():
            return kept[1]
        return await self._reading(merchant_id)

    async def _read(self, merchant_id: int) -> list[OpenedAccount]:
        until = self._clock.now() + self._keep
        accounts = await self._load(merchant_id)
        self._accounts[merchant_id] = (until, accounts)
        return accounts

    def _build(self, merchant_id: int, opened: OpenedAccount) -> Connector:
        account = opened.account
        key = (merchant_id, account.id, account.version)
        connector = self._connectors.get(key)
        if connector is None:
            connector = registry.build(
                account.provider, opened.config, self._transport, self._observe
            )
            self._connectors[key] = connector
        return connector


def payable(code: str) -> str:
    """Return the currency's code; refuse one that nothing can be paid in, such as points."""
    unit = currency(code).code
    if unit not in registry.CURRENCIES:
        message = f"Nothing can be paid in {unit}: no provider takes it."
        raise FieldRefused("currency", message, code="currency_not_supported")
    return unit


def notify_url(base_url: str, merchant_id: int, account_id: str) -> str:
    """Return where a provider sends its notices about one of our accounts."""
    return f"{base_url}/notices/{merchant_id}/{account_id}"


def account_of(connector: Connector) -> str | None:
    """Return the provider's name for our account, where its connector knows one."""
    return getattr(connector, "account", None)


async def read_notice(
    connector: port.Notifying,
    headers: Mapping[str, str],
    body: bytes,
    *,
    received_at: datetime,
    now: datetime,
) -> port.Notice:
    """Read a notice; where it is signed with a key we have not met, fetch the keys and try again."""
    try:
        return connector.read_notice(headers, body, now=received_at)
    except port.KeyUnknown:
        if not port.can(connector, port.RefreshingKeys):
            raise
        await connector.refresh_keys(now=now)
        return connector.read_notice(headers, body, now=received_at)
