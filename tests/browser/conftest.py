"""Real Chromium on a stage; whatever a page should not do fails the test that saw it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.guest import Guests
from tests.browser.stage import Stage, open_stage
from tests.worlds import make_keys

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Debian's Chromium is; `bin/browser` has installed it, or said what to do."""
    if os.environ.get("WITHOUT_BROWSER") == "1":
        pytest.skip("WITHOUT_BROWSER=1")
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    assert found, "the tests of the pages need Chromium: apt-get install chromium"
    return found


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The providers' and the merchant's keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest_asyncio.fixture(loop_scope="module")
async def stage(app_db_url: str, keys_file: Path, tmp_path: Path) -> AsyncGenerator[Stage]:
    """The pages of one merchant, with three providers behind them."""
    async with open_stage(app_db_url, keys_file, tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: str) -> AsyncGenerator[Browser]:
    """A browser for a file of tests; each customer has a profile of their own in it."""
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def guests(browser: Browser) -> AsyncGenerator[Guests]:
    """Customers with their devices; at the end, what their browsers complained of."""
    made = Guests(browser)
    yield made
    await made.close()
    assert made.problems == []
