"""The demo shop in a real browser: what comes appears by itself, and can be read on any screen."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from simulators.shop.backend import Shop
from tests.browser.guest import SIZES
from tests.browser.looking import MEASURE
from tests.simulators.test_shop import OTHER, event, post, signed, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def shop() -> AsyncGenerator[Shop]:
    made = Shop("127.0.0.1", 0, None)
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def test_deliveries_appear_by_themselves_and_what_is_unfolded_stays(
    shop: Shop, http: aiohttp.ClientSession, browser: Browser
) -> None:
    await tell(http, shop)
    page = await browser.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.append(said.text) if said.type != "log" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    await page.goto(shop.server.url)
    await expect(page.locator("#empty")).to_be_visible()

    await post(http, shop, event(1), signed(event(1)))
    await expect(page.locator("#rows > li")).to_have_count(1)
    await page.locator("summary").click()
    for body, secret in ((event(2, 2), None), (event(3, 3), OTHER)):
        await post(http, shop, body, signed(body, secret) if secret else signed(body))

    await expect(page.locator("#rows > li")).to_have_count(3)
    await expect(page.locator("#rows > li.untrusted")).to_have_count(1)
    await expect(page.locator("details[open] pre")).to_contain_text('"evt_1"')
    await expect(page.locator("#empty")).to_be_hidden()
    assert problems == []
    await page.close()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_on_every_screen(
    shop: Shop, http: aiohttp.ClientSession, browser: Browser, scheme: str, language: str
) -> None:
    await tell(http, shop)
    for body, secret in ((event(1), OTHER), (event(2, 2), None), (event(2, 2), None)):
        await post(http, shop, body, signed(body, secret) if secret else signed(body))
    for width, height in SIZES.values():
        page = await browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        await page.goto(f"{shop.server.url}/?lang={language}")

        assert await page.evaluate(MEASURE) == [], (width, scheme, language)
        await page.close()
