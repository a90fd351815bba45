"""Let the demo shop (`simulators/shop`) hear of the demo merchant's payments.

Safe to run again and again: one endpoint, known by its metadata, follows the shop's address; a shop
that lost its secret is given a new one. A merchant who disabled the endpoint finds it disabled.
"""

from __future__ import annotations

from typing import Any, Final

import aiohttp

from tillgate.kernel.clock import Clock
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.secrets import Vault
from tillgate.runtime.settings import SimulatorSettings
from tillgate.webhooks import commands, queries
from tillgate.webhooks.model import Endpoint, EndpointChanges, EndpointTerms

_METADATA: Final = {"demo": "shop"}


async def introduce(
    db: Database, vault: Vault, clock: Clock, merchant_id: int, simulators: SimulatorSettings
) -> None:
    """Make the endpoint of the shop, if one runs, and tell the shop its secret."""
    if not simulators.enabled:
        return
    base = f"http://{simulators.host}:{simulators.shop_port}"
    about = await _ask(base)
    if about is None:
        return
    async with db.transaction() as tx:
        endpoint = await _find(tx, merchant_id)
        secret = None
        if endpoint is None:
            terms = EndpointTerms(
                f"{base}/webhooks", ("*",), description="The demo shop", metadata=_METADATA
            )
            endpoint, secret = await commands.create_endpoint(
                tx, vault, merchant_id, terms, may_be_private=True, at=clock.now()
            )
        elif not about["has_secret"] or about["endpoint"] != endpoint.id:
            endpoint, secret = await commands.roll_secret(
                tx, vault, merchant_id, endpoint.id, overlap_seconds=0, at=clock.now()
            )
        if endpoint.url != f"{base}/webhooks":
            moved = EndpointChanges(url=f"{base}/webhooks")
            await commands.update_endpoint(tx, merchant_id, endpoint.id, moved, may_be_private=True)
    # Told after the commit: a shop that misses it says so next time, and gets another.
    if secret is not None:
        await _tell(base, endpoint.id, secret)


async def _find(tx: Tx, merchant_id: int) -> Endpoint | None:
    known = await queries.endpoints(tx, merchant_id)
    return next((each for each in known if each.metadata.get("demo") == "shop"), None)


async def _ask(base: str) -> dict[str, Any] | None:
    """Return what the shop knows, or None if no shop runs there."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{base}/_control/") as answer:
            return await answer.json() if answer.status == 200 else None
    except aiohttp.ClientError:
        return None


async def _tell(base: str, endpoint_id: str, secret: str) -> None:
    known = {"secret": secret, "endpoint": endpoint_id}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{base}/_control/secret", json=known) as answer,
    ):
        answer.raise_for_status()
