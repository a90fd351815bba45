"""`tillgate books balance` says where an account stood at any moment."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.entry.processes import tillgate
from tests.ledger.builders import Shop
from tillgate.kernel.clock import FixedClock
from tillgate.runtime.db import Database

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def asked(environment: dict[str, str], *words: str) -> Any:
    done = tillgate(environment, "books", "balance", "tea", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
async def tea(environment: dict[str, str], app_db_url: str) -> None:
    """An account that got 100 at noon and 20 a day later."""
    assert tillgate(environment, "merchants", "create", "Corner Bakery").returncode == 0
    db = await Database.open(app_db_url, size=2)
    async with db.transaction() as tx:
        merchant = await tx.value("SELECT merchant_id FROM merchants.merchants WHERE NOT livemode")
    shop = Shop(db, FixedClock(NOON), merchant)
    world, account = await shop.account("world"), await shop.account("tea")
    await shop.post((world, account, 100))
    shop.clock.advance(days=1)
    await shop.post((world, account, 20))
    await db.close()


@pytest.mark.usefixtures("tea")
def test_where_an_account_stood(environment: dict[str, str]) -> None:
    for at, balance, journal in (
        ("2026-05-01T11:59:59", 0, 0),
        ("2026-05-01T12:00:00Z", 100, 1),
        (str(int(NOON.timestamp())), 100, 1),
        ("2026-05-02T19:59:59+08:00", 100, 1),
        ("2026-05-02T20:00:00+08:00", 120, 2),
    ):
        [standing] = asked(environment, "--at", at)
        assert (standing["code"], standing["currency"]) == ("tea", "cny")
        assert (standing["balance"], standing["journal"]) == (balance, journal), at
    assert asked(environment)[0]["balance"] == 120

    unknown = tillgate(environment, "books", "balance", "coffee")
    assert (unknown.returncode, "no ledger account coffee" in unknown.stderr) == (1, True)
    odd = tillgate(environment, "books", "balance", "tea", "--at", "noon")
    assert (odd.returncode, "'noon' is no moment" in odd.stderr) == (2, True)


@pytest.mark.usefixtures("tea")
def test_an_audit_is_told_in_plain_words(environment: dict[str, str]) -> None:
    told = tillgate(environment, "books", "verify")

    assert told.returncode == 0, told.stderr
    assert re.search(r"^ok +yes$", told.stdout, re.MULTILINE)
    assert re.search(r"^differences +none$", told.stdout, re.MULTILINE)
    assert not set(told.stdout) & set('[]{}"')
