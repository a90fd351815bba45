"""The pages on a real socket, asked without a browser."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.browser.stage import Stage, open_stage
from tests.worlds import make_keys


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The providers' and the merchant's keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def stage(app_db_url: str, keys_file: Path, tmp_path: Path) -> AsyncGenerator[Stage]:
    """The pages of one merchant, with three providers behind them."""
    async with open_stage(app_db_url, keys_file, tmp_path) as opened:
        yield opened
