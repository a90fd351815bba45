"""Many tabs of one wallet: a browser opens six connections to a host, and a stream takes one.

Chromium without a screen calls every tab visible, so a tab that is to be hidden is told that it is.
"""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.browser.guest import Guest, Guests
from tests.browser.stage import Stage
from tests.browser.test_paying import pay_all

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABS = 9
#: Says whether the tab is seen, before the page's own scripts run; `look(false)` hides it.
SIGHT = """(() => {
    let isHidden = HIDDEN;
    Object.defineProperty(Document.prototype, "hidden", { get: () => isHidden });
    const state = { get: () => (isHidden ? "hidden" : "visible") };
    Object.defineProperty(Document.prototype, "visibilityState", state);
    window.look = (isSeen) => {
        isHidden = !isSeen;
        document.dispatchEvent(new Event("visibilitychange"));
    };
})()"""


async def tab(guest: Guest, url: str, *, hidden: bool = False) -> Page:
    """Open a further tab of the same browser."""
    page = await guest.context.new_page()
    await page.add_init_script(SIGHT.replace("HIDDEN", "true" if hidden else "false"))
    await page.goto(url)
    return page


async def look(page: Page, *, seen: bool) -> None:
    """Turn to a tab, or away from it."""
    await page.evaluate("(seen) => look(seen)", seen)


async def streams(stage: Stage, count: int) -> None:
    """Wait until so many pages are told of their payments."""
    async with asyncio.timeout(10):
        while stage.pages.watcher._count != count:
            await asyncio.sleep(0.02)


async def waiting(stage: Stage, guests: Guests) -> tuple[Guest, str]:
    """A guest with an open order, and its page's address."""
    guest = await guests.arrive(stage.link(await stage.open_wallet()))
    placed = await guest.place_quietly(10_000, "wechat_pay")
    await guest.page.close()
    return guest, placed


async def test_the_tab_that_is_looked_at_has_the_only_stream(stage: Stage, guests: Guests) -> None:
    guest, order = await waiting(stage, guests)
    shown: Page | None = None

    for number in range(TABS):
        if shown is not None:
            await look(shown, seen=False)
        # As many orders are opened in tabs that nobody has looked at yet.
        shown = await tab(guest, order, hidden=number % 2 == 1)
        await look(shown, seen=True)
        await expect(shown.locator(".order.scan")).to_be_visible()
        await streams(stage, 1)

    for page in guest.context.pages:
        for notice in ("#slow", "#stale", "#offline"):
            await expect(page.locator(notice)).to_be_hidden()


async def test_what_a_hidden_tab_missed_is_there_as_soon_as_it_is_shown(
    stage: Stage, guests: Guests
) -> None:
    guest, order = await waiting(stage, guests)
    page = await tab(guest, order)
    await streams(stage, 1)
    await look(page, seen=False)
    await streams(stage, 0)

    await pay_all(stage, "wechat_pay")
    await page.wait_for_timeout(1_500)
    assert await page.locator(".order.scan").count() == 1, "nobody looks, so nobody asks"
    await look(page, seen=True)

    await expect(page.locator(".order.paid")).to_be_visible(timeout=2_000)
    await expect(page.locator("#balance")).to_have_text("CN¥100.00")


async def test_a_tab_that_is_shown_again_is_told_what_happens(stage: Stage, guests: Guests) -> None:
    guest, order = await waiting(stage, guests)
    page = await tab(guest, order, hidden=True)
    await page.wait_for_timeout(500)
    await streams(stage, 0)
    await look(page, seen=True)
    await look(page, seen=False)
    await look(page, seen=True)
    await streams(stage, 1)

    await pay_all(stage, "wechat_pay")

    await expect(page.locator(".order.paid")).to_be_visible(timeout=3_000)


async def test_a_shown_tab_asks_where_no_stream_comes_through(stage: Stage, guests: Guests) -> None:
    guests.expected.append("net::ERR_FAILED")
    guest, order = await waiting(stage, guests)
    await guest.context.route("**/events", lambda route: route.abort())
    page = await tab(guest, order)
    await look(page, seen=False)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    await page.wait_for_timeout(3_000)
    assert [url for url in asked if "/orders/" in url] == []
    await look(page, seen=True)
    await page.wait_for_timeout(500)
    await pay_all(stage, "wechat_pay")

    await expect(page.locator(".order.paid")).to_be_visible(timeout=5_000)


async def test_the_wallet_in_a_hidden_tab_catches_up_too(stage: Stage, guests: Guests) -> None:
    guest, order = await waiting(stage, guests)
    page = await tab(guest, order.split("/orders")[0])
    await expect(page.locator("a.running")).to_be_visible()
    await streams(stage, 1)
    await look(page, seen=False)
    await streams(stage, 0)
    await pay_all(stage, "wechat_pay")

    await look(page, seen=True)

    await expect(page.locator("#balance")).to_have_text("CN¥100.00")
    await expect(page.locator("a.running")).to_have_count(0)
