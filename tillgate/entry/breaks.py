"""`tillgate breaks`: where a provider's word and ours differ, settled by a person."""

from __future__ import annotations

from typing import Any

import msgspec

from tillgate.entry.build import open_database
from tillgate.kernel.clock import SystemClock
from tillgate.payments import breaks
from tillgate.payments.model import Break
from tillgate.runtime.settings import Settings


async def listed(settings: Settings, *, with_resolved: bool) -> list[dict[str, Any]]:
    """Return the open breaks, or all of them."""
    async with open_database(settings) as db, db.transaction(readonly=True) as tx:
        return [_shown(one) for one in await breaks.listed(tx, with_resolved=with_resolved)]


async def resolve(
    settings: Settings, break_id: str, *, note: str, returned: bool
) -> dict[str, Any]:
    """Note what was found; end the payment where the money went back."""
    at = SystemClock().now()
    async with open_database(settings) as db, db.transaction() as tx:
        return _shown(await breaks.resolve(tx, break_id, note, returned=returned, at=at))


async def ask(settings: Settings, break_id: str) -> dict[str, Any]:
    """Let the worker ask the provider once more, now."""
    at = SystemClock().now()
    async with open_database(settings) as db, db.transaction() as tx:
        return _shown(await breaks.ask_again(tx, break_id, at=at))


def _shown(one: Break) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(one).items() if value is not None}
