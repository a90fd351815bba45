"""`tillgate books`: audit history."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from tillgate.entry.build import open_database
from tillgate.ledger import flows
from tillgate.runtime.settings import Settings


async def verify(settings: Settings) -> dict[str, Any]:
    """Audit all books; `ok` says whether they are as they must be. Progress goes to a terminal."""
    async with open_database(settings) as db:
        report = await flows.verify(db, progress=_tell if sys.stderr.isatty() else None)
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    return {"ok": report.is_good, **msgspec.to_builtins(report, builtin_types=(bytes,))}


def _tell(done: int, of: int) -> None:
    share = 100 * done // of if of else 100
    sys.stderr.write(f"\r{done} of {of} journals audited ({share} %)")
    sys.stderr.flush()
