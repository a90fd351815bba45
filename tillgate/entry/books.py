"""`tillgate books`: audit history, and ask it."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import msgspec

from tillgate.entry.build import open_database
from tillgate.kernel.clock import SystemClock
from tillgate.ledger import flows, queries
from tillgate.ledger.errors import AccountNotFound
from tillgate.ledger.model import Account
from tillgate.merchants import queries as merchants
from tillgate.runtime.db import Tx
from tillgate.runtime.settings import Settings


async def verify(settings: Settings) -> dict[str, Any]:
    """Audit all books; `ok` says whether they are as they must be. Progress goes to a terminal."""
    async with open_database(settings) as db:
        report = await flows.verify(db, progress=_tell if sys.stderr.isatty() else None)
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    return {"ok": report.is_good, **msgspec.to_builtins(report, builtin_types=(bytes,))}


async def balance(
    settings: Settings, code: str, *, at: datetime | None, merchant: str | None, mode: str
) -> list[dict[str, Any]]:
    """Return where the accounts with this code, one a currency, stood at a moment, or stand now."""
    moment = at or SystemClock().now()
    async with open_database(settings) as db, db.transaction(readonly=True) as tx:
        tenant = await merchants.tenant(tx, merchant, livemode=mode == "live")
        found = await queries.accounts_of_code(tx, tenant.merchant_id, code)
        if not found:
            raise AccountNotFound(code)
        return [await _standing(tx, account, moment) for account in found]


async def _standing(tx: Tx, account: Account, at: datetime) -> dict[str, Any]:
    standing = await queries.standing_as_of(tx, account.merchant_id, account.number, at)
    return {
        "code": account.code,
        "currency": account.currency,
        "balance": standing.balance,
        "at": at.isoformat(),
        "journal": standing.journal,
    }


def _tell(done: int, of: int) -> None:
    share = 100 * done // of if of else 100
    sys.stderr.write(f"\r{done} of {of} journals audited ({share} %)")
    sys.stderr.flush()
