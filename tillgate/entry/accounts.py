"""`tillgate merchants` and `tillgate providers`: open a merchant, and let it take money.

A merchant's settings at a provider are checked as the connector will read them, then sealed. What
comes back is the address the provider has to be told for its notices; no secret is shown.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tillgate.connectors import registry
from tillgate.connectors.transport import HttpTransport
from tillgate.entry.build import open_database, vault_of
from tillgate.kernel.clock import SystemClock
from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.ids import new_id
from tillgate.kernel.money import currency as known_currency
from tillgate.merchants import commands, queries
from tillgate.merchants.model import ProviderAccount
from tillgate.payments.providers import notify_url
from tillgate.runtime.settings import Settings


async def list_merchants(settings: Settings) -> list[dict[str, Any]]:
    """Return every merchant; its test mode and its live mode share the account's name."""
    async with open_database(settings) as db, db.transaction(readonly=True) as tx:
        tenants = await queries.merchants(tx)
    return [
        {"account": one.account, "name": one.name, "currency": one.default_currency}
        for one in tenants
        if one.livemode
    ]


async def create_merchant(settings: Settings, *, name: str, currency: str) -> dict[str, Any]:
    """Open a merchant with books in both modes; it has no keys and no providers yet."""
    code = known_currency(currency).code
    async with open_database(settings) as db, db.transaction() as tx:
        made, _ = await commands.create_merchant(
            tx, name, default_currency=code, at=SystemClock().now()
        )
    return {"account": made.account, "name": made.name, "currency": made.default_currency}


async def list_providers(
    settings: Settings, *, merchant: str | None = None, mode: str = "test"
) -> list[dict[str, Any]]:
    """Return a merchant's accounts at providers, without what they hold."""
    async with open_database(settings) as db, db.transaction(readonly=True) as tx:
        tenant = await queries.tenant(tx, merchant, livemode=mode == "live")
        found = await queries.provider_accounts(tx, tenant.merchant_id)
    return [_shown(settings, account) for account in found]


async def put_provider(
    settings: Settings, provider: str, text: bytes, *, merchant: str | None, mode: str
) -> dict[str, Any]:
    """Keep what a merchant has at a provider, or its new settings in the place of the old."""
    config = {**_read(text), "livemode": mode == "live"}
    # Building the connector reads every field and refuses what cannot work.
    registry.build(provider, config, HttpTransport())
    clock, vault = SystemClock(), vault_of(settings)
    async with open_database(settings) as db, db.transaction() as tx:
        tenant = await queries.tenant(tx, merchant, livemode=mode == "live")
        known = await queries.provider_accounts(tx, tenant.merchant_id)
        same = next((one.id for one in known if one.provider == provider), None)
        account = ProviderAccount(
            merchant_id=tenant.merchant_id,
            id=same or new_id("pa"),
            provider=provider,
            enabled=True,
            version=1,
            created_at=clock.now(),
        )
        await commands.put_provider_account(tx, vault, account, msgspec.json.encode(config))
    return _shown(settings, account)


def _read(text: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise FieldRefused("config", f"The settings are not a JSON object: {error}") from None


def _shown(settings: Settings, account: ProviderAccount) -> dict[str, Any]:
    return {
        "id": account.id,
        "provider": account.provider,
        "enabled": account.enabled,
        "notices": notify_url(settings.http.base_url, account.merchant_id, account.id),
    }
