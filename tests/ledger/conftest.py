"""A teahouse with books, on a database of its own."""

from collections.abc import AsyncGenerator

import pytest

from tests.ledger.builders import NOON, TEAHOUSE, Shop
from tillgate.kernel.clock import FixedClock
from tillgate.ledger import commands
from tillgate.runtime.db import Database


@pytest.fixture
async def db(db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(db_url, size=8)
    async with database.transaction() as tx:
        await commands.open_books(tx, TEAHOUSE)
    yield database
    await database.close()


@pytest.fixture
async def shop(db: Database) -> Shop:
    return Shop(db, FixedClock(NOON))
