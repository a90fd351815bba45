"""The simulators' phone in a real browser: it can be read on any screen, in both languages."""

from __future__ import annotations

import contextlib

import pytest
from playwright.async_api import Page

from tests.browser.guest import Guests
from tests.browser.stage import Stage
from tests.browser.test_hosted import order
from tests.browser.test_looks import LOOKS, Album
from tests.worlds import MERCHANT
from tillgate.kernel import ids
from tillgate.payments.errors import PaymentFailed
from tillgate.payments.model import Confirmation, NewPayment, Trace

pytestmark = pytest.mark.asyncio(loop_scope="module")


#: How many lines each part of a row takes.
LINES = """() => [...new Set([...document.querySelectorAll(".row > *")].map((part) => {
    const style = getComputedStyle(part);
    const inner = part.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    return Math.round((inner || part.offsetHeight) / parseFloat(style.lineHeight));
}))]"""


async def press(page: Page, button: str) -> None:
    async with page.expect_navigation():
        await page.click(button)


async def card_orders(stage: Stage, subject: str) -> None:
    """A card's payment that waits, and one that the bank declined."""
    for card in ("pm_card_threeDSecure2Required", "pm_card_chargeDeclined"):
        order = NewPayment(
            merchant_id=MERCHANT,
            id=ids.new_id("pi"),
            amount=1_234_500,
            currency="usd",
            method_types=["card"],
            description=subject,
            confirmation=Confirmation(
                method="card",
                presentation="card",
                payment_method=card,
                return_url="https://shop.test/",
            ),
        )
        with contextlib.suppress(PaymentFailed):
            await stage.world.payments.create(order, Trace())


@pytest.mark.parametrize(("device", "language", "scheme"), LOOKS)
async def test_every_screen_of_the_phone(
    stage: Stage, guests: Guests, device: str, language: str, scheme: str
) -> None:
    tea = "一壶茶" if language == "zh-CN" else "A pot of tea"
    await card_orders(stage, tea)
    for method in ("alipay", "wechat_pay", "alipay", "wechat_pay"):
        await order(stage, method, description=tea)
    guest = await guests.arrive(
        stage.phone("alipay"), device, language=language, dark=scheme == "dark"
    )
    guests.expected.append("status of 404")
    page = guest.page
    album = Album(guest, language, f"{device}_{language[:2]}_{scheme}_phone")

    for deed in ("decline", "close", "pay"):
        await page.goto(stage.phone("alipay"))
        await press(page, "#orders a.row >> nth=0")
        if deed == "pay":
            await album.look("order")
        await press(page, f"button.{deed}")
        await album.look(deed)
        if deed == "decline":
            await press(page, "button.close")
    await page.goto(stage.phone("alipay"))
    await album.look("list")
    assert await page.evaluate(LINES) == [1]
    assert "GMT+8" in await page.locator("#orders time").first.inner_text(), "the viewer's own time"
    await page.fill("#content", "nothing")
    await press(page, ".scan button")
    await album.look("unknown")
    await page.goto(stage.phone("card"))
    await press(page, "#orders .done a.card >> nth=0")
    assert await page.locator(".bill.declined").count() == 1
    await album.look("declined")
    await page.goto(f"{page.url}?note=not_again")
    await album.look("not_again")
    await page.goto(stage.phone("alipay") + "order/alipay/none")
    await album.look("missing")

    assert "\n".join(sorted(set(album.wrong))) == ""
