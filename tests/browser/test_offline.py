"""Without a connection: a page that is opened says that nothing is lost, and comes back by itself."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.guest import Guest, Guests
from tests.browser.stage import Stage
from tests.browser.test_hosted import order, page_of
from tests.browser.test_looks import Album
from tests.browser.test_paying import pay_all

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEPT = """async (address) => {
    const found = await caches.match(address);
    return Boolean(found) && Boolean(navigator.serviceWorker.controller);
}"""


async def kept(guest: Guest, path: str = "") -> None:
    """Wait until the browser has kept the page that it shows."""
    url = guest.page.url + path
    for _ in range(100):
        if await guest.page.evaluate(KEPT, url):
            return
        await guest.page.wait_for_timeout(50)
    raise AssertionError(f"{url} is not kept")


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
async def test_an_order_opened_without_a_connection_shows_how_it_stood(
    stage: Stage, guests: Guests, language: str
) -> None:
    guests.expected += ["net::ERR_", "when fetching the script"]
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet), language=language, dark=language == "zh-CN")
    await guest.order(10_000, "wechat_pay")
    await guest.stage("scan")
    await kept(guest)
    await kept(guest, "/code.svg")
    album = Album(guest, language, f"offline_{language[:2]}")

    await guest.context.set_offline(True)
    await guest.page.reload()

    await guest.stage("scan")
    is_english = language == "en-US"
    told = "No connection, but your order is safe." if is_english else "您的订单是安全的。"
    await guest.says(told)
    code = guest.page.locator(".code img")
    assert await code.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert re.fullmatch(r"1[45]:\d\d", await guest.page.locator("[data-left]").inner_text())
    assert await guest.page.locator("#offline").is_hidden()
    await album.look("stale")
    await pay_all(stage, "wechat_pay")
    await guest.context.set_offline(False)

    await guest.stage("paid")
    await expect(guest.page.locator("#stale")).to_be_hidden()
    assert album.wrong == []


@pytest.mark.parametrize(
    ("language", "told"),
    [("en-US", "Your order and your money are safe."), ("zh-CN", "您的订单和资金都是安全的。")],
)
async def test_a_page_never_seen_says_that_nothing_is_lost(
    stage: Stage, guests: Guests, language: str, told: str
) -> None:
    guests.expected += ["net::ERR_", "when fetching the script"]
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet), "phone", language=language)
    await kept(guest)
    album = Album(guest, language, f"offline_{language[:2]}")

    await guest.context.set_offline(True)
    await guest.page.goto(stage.link(wallet) + "/history")

    await guest.says(told)
    await album.look("unreached")
    await guest.context.set_offline(False)
    await guest.says("Movements" if language == "en-US" else "余额变动")
    assert album.wrong == []


async def test_history_is_read_anew_once_there_is_a_connection(
    stage: Stage, guests: Guests
) -> None:
    guests.expected += ["net::ERR_", "when fetching the script"]
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet) + "/history")
    await kept(guest)
    await guest.context.set_offline(True)
    await guest.page.reload()
    await guest.says("No connection, but your order is safe.")

    await guest.context.set_offline(False)

    await expect(guest.page.locator("#stale")).to_be_hidden()
    html = guest.page.locator("html")
    await expect(html).not_to_have_attribute("data-stale", re.compile(""))


async def test_a_payments_page_is_kept_too(stage: Stage, guests: Guests) -> None:
    guests.expected += ["net::ERR_", "when fetching the script"]
    guest = await guests.arrive(page_of(await order(stage)))
    await guest.stage("scan")
    await kept(guest)
    await guest.context.set_offline(True)
    await guest.page.reload()

    await guest.stage("scan")
    await guest.says("No connection, but your order is safe.")
    await guest.context.set_offline(False)
    await expect(guest.page.locator("#stale")).to_be_hidden()


async def test_a_link_that_works_no_more_is_forgotten(stage: Stage, guests: Guests) -> None:
    guests.expected += ["net::ERR_", "status of 404", "when fetching the script"]
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await kept(guest)
    address = guest.page.url
    await stage.advance(days=2)
    await guest.page.reload()
    await guest.says("This link has expired")

    assert await guest.page.evaluate(KEPT, address) is False


async def test_the_worker_may_ask_this_server_only(stage: Stage, guests: Guests) -> None:
    guest = await guests.arrive(stage.link(await stage.open_wallet()))

    answer = await guest.context.request.get(f"{stage.base_url}/pay/worker.js")

    assert answer.headers["content-security-policy"] == "default-src 'none'; connect-src 'self'"
    assert answer.headers["cache-control"] == "no-cache"
    assert "FILLED_IN" not in await answer.text()
