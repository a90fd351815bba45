"""A world for each test of the money path."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.worlds import World, make_keys, open_world


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The providers' and the merchant's keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest_asyncio.fixture
async def world(app_db_url: str, keys_file: Path) -> AsyncIterator[World]:
    """One merchant, three providers."""
    async with open_world(app_db_url, keys_file) as opened:
        yield opened
