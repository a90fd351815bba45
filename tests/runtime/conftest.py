"""What tests of the runtime stand on."""

from collections.abc import AsyncGenerator

import pytest_asyncio

from tillgate.runtime.db import Database


@pytest_asyncio.fixture
async def db(app_db_url: str) -> AsyncGenerator[Database]:
    """A database with a few connections."""
    database = await Database.open(app_db_url, size=4)
    yield database
    await database.close()
