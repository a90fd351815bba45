"""Composition: everything a process needs, built once from the settings and closed in order."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from tillgate.connectors.client import HttpSettings
from tillgate.connectors.transport import HttpTransport
from tillgate.kernel.clock import Clock, SystemClock
from tillgate.merchants import queries as merchants
from tillgate.merchants.model import OpenedAccount
from tillgate.payments.commands import LookUps
from tillgate.payments.flows import Payments
from tillgate.payments.providers import Providers
from tillgate.runtime import migrations, telemetry
from tillgate.runtime.db import BY_INDEX, Database
from tillgate.runtime.secrets import Vault
from tillgate.runtime.settings import Settings
from tillgate.topups.flows import TopUps


@dataclass(frozen=True, slots=True)
class Core:
    """What the API and the worker share."""

    settings: Settings
    db: Database
    clock: Clock
    vault: Vault
    providers: Providers
    payments: Payments
    top_ups: TopUps


def vault_of(settings: Settings) -> Vault:
    """Open the installation's key, making it on the very first start."""
    return Vault.from_file(settings.data_path / "secret.key")


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncGenerator[Database]:
    """Open the database alone, for a command."""
    db = await Database.open(settings.database.url, size=2, role=settings.database.role or None)
    try:
        yield db
    finally:
        await db.close()


@asynccontextmanager
async def open_core(settings: Settings, *, clock: Clock | None = None) -> AsyncGenerator[Core]:
    """Build it all; close it at the end."""
    clock = clock or SystemClock()
    # Said at once, before anybody is answered with an error for want of a table.
    await migrations.require_all(settings.database.url)
    vault = vault_of(settings)
    db = await Database.open(
        settings.database.url,
        size=settings.database.pool_size,
        role=settings.database.role or None,
        settings=BY_INDEX,
    )
    transport = HttpTransport(
        HttpSettings(
            connect_seconds=settings.providers.connect_timeout_seconds,
            read_seconds=settings.providers.total_timeout_seconds,
            total_seconds=settings.providers.total_timeout_seconds,
            connections=settings.providers.max_connections,
            connections_per_host=settings.providers.max_connections,
        )
    )

    async def load(merchant_id: int) -> list[OpenedAccount]:
        async with db.transaction(readonly=True) as tx:
            return await merchants.opened_accounts(tx, vault, merchant_id)

    providers = Providers(
        load, clock, transport, telemetry.observe_call, base_url=settings.http.base_url
    )
    payments = Payments(
        db,
        clock,
        providers,
        LookUps(
            first_seconds=settings.payments.look_up_first_seconds,
            most_seconds=settings.payments.look_up_most_seconds,
            calling_seconds=settings.providers.total_timeout_seconds + 10,
        ),
        timedelta(seconds=settings.payments.order_lifetime_seconds),
        pages_url=settings.http.base_url,
    )
    payments.notices.ask_from = settings.payments.ask_from
    try:
        yield Core(settings, db, clock, vault, providers, payments, TopUps(payments))
    finally:
        await payments.finish()
        await transport.close()
        await db.close()


def spare_the_collector() -> None:
    """What has been imported stays: the collector need not look at it again, nor at each batch."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
