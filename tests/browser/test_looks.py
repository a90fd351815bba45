"""Every screen, measured: on a desktop, a phone and a very small phone, by day and by night.

With LOOK_INTO set to a folder the screens are also kept there as pictures, for a person to look at.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.guest import Guest, Guests
from tests.browser.looking import complaints
from tests.browser.stage import Stage
from tests.worlds import MERCHANT
from tillgate.kernel import ids
from tillgate.kernel.money import CNY, Money
from tillgate.wallets import flows as wallets
from tillgate.wallets.model import Spend

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKS = [
    ("desktop", "en-US", "light"),
    ("desktop", "zh-CN", "dark"),
    ("phone", "zh-CN", "light"),
    ("phone", "en-US", "dark"),
    ("small", "zh-CN", "dark"),
    ("small", "en-US", "light"),
]


class Album:
    """Looks at one screen after the other and remembers what was wrong."""

    def __init__(self, guest: Guest, language: str, name: str) -> None:
        self._guest = guest
        self._language = language
        self._name = name
        self.wrong: list[str] = []

    async def look(self, screen: str) -> None:
        """Measure the screen; keep a picture where one is wanted."""
        page = self._guest.page
        self.wrong += [f"{screen}: {one}" for one in await complaints(page, self._language)]
        if folder := os.environ.get("LOOK_INTO"):
            path = Path(folder) / f"{self._name}_{screen}.png"
            await page.screenshot(path=path, full_page=True)


async def spend(stage: Stage, wallet_id: str, amount: int, description: str | None = None) -> None:
    order = Spend(
        merchant_id=MERCHANT,
        at=stage.world.clock.now(),
        id=ids.new_id("wtx"),
        wallet_id=wallet_id,
        amount=Money(amount, CNY),
        description=description,
    )
    await wallets.order(stage.world.db, order)


@pytest.mark.parametrize(("device", "language", "scheme"), LOOKS)
async def test_every_screen(
    stage: Stage, guests: Guests, device: str, language: str, scheme: str
) -> None:
    guests.expected.append("status of 404")
    wallet = await stage.open_wallet()
    guest = await guests.arrive(
        stage.link(wallet), device, language=language, dark=scheme == "dark"
    )
    page = guest.page
    album = Album(guest, language, f"{device}_{language[:2]}_{scheme}")
    await album.look("empty")

    await page.click("#pay")
    await album.look("problem")
    await page.fill("#other", "¥99,999,999,999,999")
    await page.click("#pay")
    await album.look("too_much")
    await page.fill("#other", "")
    await guest.choose(10_000, "card")
    await album.look("cards")
    await guest.order(10_000, "card", "pm_card_chargeDeclinedInsufficientFunds")
    await guest.stage("declined")
    await album.look("declined")
    await page.goto(stage.link(wallet))
    await guest.order(100_000, "card", "pm_card_visa")
    await guest.stage("paid")
    await album.look("paid")
    await spend(stage, wallet, 1_850)
    await spend(stage, wallet, 12_345)

    await look_at_orders(stage, guest, album, wallet)
    await page.goto(stage.link(wallet))
    await album.look("home")
    for tab in ("movements", "top_ups"):
        await page.goto(f"{stage.link(wallet)}/history?tab={tab}")
        await album.look(tab)
    await page.goto(stage.link(wallet)[:-4])
    await album.look("bad_link")
    await page.goto(stage.link(wallet) + "/orders/top_none")
    await album.look("missing")
    await page.goto(f"{stage.base_url}/nope")
    await album.look("nowhere")

    stage.demo = urlsplit(stage.link(wallet)).path
    await page.goto(stage.base_url)
    assert await page.locator("a.line").count() == 4
    await album.look("welcome")

    assert album.wrong == []


async def look_at_orders(stage: Stage, guest: Guest, album: Album, wallet: str) -> None:
    """The screens of orders under way."""
    page = guest.page
    placed = await guest.place_quietly(20_000, "wechat_pay")
    await page.goto(placed)
    await page.wait_for_selector("[data-left]")
    await album.look("waiting")
    await page.goto(stage.link(wallet))
    await album.look("running")
    await page.goto(placed)
    await stage.advance(minutes=15)
    await guest.stage("expired")
    await album.look("expired")
    await stage.world.control(
        "card", "rules", {"operation": "notice", "fault": {"kind": "lost_notice"}, "next": 9}
    )
    stage.pause_work()
    await page.goto(await guest.place_quietly(4_002, "card", "pm_card_visa"))
    await guest.stage("unknown")
    await album.look("unknown")
    stage.resume_work()
    await guest.stage("paid")
    await page.goto(await guest.place_quietly(4_002, "wechat_pay"))
    await guest.stage("no_step")
    await album.look("no_step")
    await page.click("#cancel-form button")
    await guest.stage("canceled")
    await album.look("canceled")
    await page.goto(await guest.place_quietly(30_000, "wechat_pay"))
    waiting = (await stage.world.books("wechat_pay"))["orders"][-1]
    await stage.world.control("wechat_pay", f"orders/{waiting['out_trade_no']}/close")
    await guest.stage("closed")
    await album.look("closed")


@pytest.mark.parametrize(("device", "language", "scheme"), LOOKS)
async def test_a_refused_amount(
    stage: Stage, guests: Guests, device: str, language: str, scheme: str
) -> None:
    guest = await guests.arrive(
        stage.link(await stage.open_wallet("usd")), device, language=language, dark=scheme == "dark"
    )
    album = Album(guest, language, f"{device}_{language[:2]}_{scheme}")

    await guest.order("0.10", "card", "pm_card_visa")
    await guest.stage("declined")
    await album.look("too_small")
    await guest.page.click("a.button.pay")
    await guest.page.wait_for_selector("#order-form")
    await album.look("another_amount")

    assert album.wrong == []


async def test_measuring_finds_what_is_wrong(stage: Stage, guests: Guests) -> None:
    guest = await guests.arrive(stage.link(await stage.open_wallet()))

    await guest.page.evaluate(
        """() => {
            document.querySelector("h2").style.color = "#bbb";
            document.getElementById("pay").style.minHeight = "20px";
            document.getElementById("pay").style.padding = "0";
            document.getElementById("other").removeAttribute("id");
            document.querySelector(".recent .head").style.width = "1500px";
            document.querySelector("legend").textContent = "充值";
        }"""
    )
    found = " ".join(await complaints(guest.page, "en-US"))

    for word in ("contrast", "small target", "no name", "sticks out", "wider", "untranslated"):
        assert word in found, word


async def place_three(stage: Stage, guest: Guest, wallet: str) -> list[str]:
    """Place three orders and return their pages, the newest first."""
    placed = [
        await guest.place_quietly(amount, method)
        for amount, method in ((10_000, "alipay"), (20_000, "wechat_pay"), (123_450, "alipay"))
    ]
    await guest.page.goto(stage.link(wallet))
    return placed[::-1]


@pytest.mark.parametrize(
    ("device", "language", "scheme", "told"),
    [
        ("phone", "en-US", "light", ("1 more open order", "2 more open orders")),
        ("phone", "zh-CN", "dark", ("还有 1 笔待支付订单", "还有 2 笔待支付订单")),
        ("desktop", "en-US", "dark", ("1 more open order", "2 more open orders")),
        ("desktop", "zh-CN", "light", ("还有 1 笔待支付订单", "还有 2 笔待支付订单")),
    ],
)
async def test_older_open_orders_are_folded(
    stage: Stage, guests: Guests, device: str, language: str, scheme: str, told: tuple[str, str]
) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(
        stage.link(wallet), device, language=language, dark=scheme == "dark"
    )
    page = guest.page
    album = Album(guest, language, f"{device}_{language[:2]}_{scheme}")
    newest, middle, oldest = await place_three(stage, guest, wallet)
    running, summary = page.locator("a.running:visible"), page.locator("summary")

    assert await running.count() == 1
    assert str(await running.get_attribute("href")).endswith(newest.rpartition("/")[2])
    assert await summary.inner_text() == told[1]
    form = await page.locator("#order-form").bounding_box()
    assert form is not None
    assert form["y"] < 844 / 2, "the form begins in the upper half of the screen"
    await album.look("folded")

    await summary.click()
    assert await running.count() == 3
    await album.look("unfolded")
    await page.goto(oldest)
    await page.click("#cancel-form button")
    await guest.stage("canceled")
    await page.goto(stage.link(wallet))
    assert await summary.inner_text() == told[0]
    await page.goto(middle)
    await page.click("#cancel-form button")
    await guest.stage("canceled")
    await page.goto(stage.link(wallet))
    assert (await summary.count(), await running.count()) == (0, 1)


async def test_what_was_unfolded_stays_so_when_the_page_moves(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await place_three(stage, guest, wallet)

    await guest.page.click("summary")
    for order in (await stage.world.books("alipay"))["orders"][-1:]:
        await stage.world.control("alipay", f"orders/{order['out_trade_no']}/pay")
    await guest.balance("CN¥1,234.50")

    assert await guest.page.locator("summary").inner_text() == "1 more open order"
    assert await guest.page.locator("a.running:visible").count() == 2
