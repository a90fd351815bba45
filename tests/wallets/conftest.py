"""A teahouse with books, on a database of its own."""

from collections.abc import AsyncGenerator

import pytest

from tests.wallets.builders import TEAHOUSE
from tillgate.ledger import commands as ledger
from tillgate.runtime.db import Database


@pytest.fixture
async def db(db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(db_url, size=12)
    async with database.transaction() as tx:
        await ledger.open_books(tx, TEAHOUSE)
    yield database
    await database.close()
