"""What the API is made of: for the server, and for the worker, which finishes abandoned requests."""

from __future__ import annotations

from datetime import datetime, timedelta

from tillgate.api import app as api
from tillgate.entry import subscriptions
from tillgate.entry.build import Core
from tillgate.topup_app.links import link_for
from tillgate.wallets.routes import Link


def api_parts(core: Core) -> api.Parts:
    """Return what the API is made of."""
    return api.Parts(
        db=core.db,
        clock=core.clock,
        vault=core.vault,
        payments=core.payments,
        top_ups=core.top_ups,
        catalogue=subscriptions.CATALOGUE,
        link=link_of(core),
        may_be_private=core.settings.webhooks.allow_private_addresses,
        abandoned_after_seconds=core.settings.providers.total_timeout_seconds * 2 + 5,
        base_url=core.settings.http.base_url,
        max_body_bytes=core.settings.http.max_body_bytes,
        rate_per_second=core.settings.http.rate_per_second,
    )


def link_of(core: Core) -> Link:
    """Return what makes the addresses of wallets' pages."""

    def link(merchant_id: int, wallet_id: str, at: datetime, lifetime: timedelta) -> str:
        base_url = core.settings.http.base_url
        return link_for(core.vault, base_url, merchant_id, wallet_id, at=at, lifetime=lifetime)

    return link
