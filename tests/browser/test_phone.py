"""The simulators' phone in a real browser: it can be read on any screen, in both languages."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.browser.guest import Guests
from tests.browser.stage import Stage
from tests.browser.test_hosted import order
from tests.browser.test_looks import LOOKS, Album

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def press(page: Page, button: str) -> None:
    async with page.expect_navigation():
        await page.click(button)


@pytest.mark.parametrize(("device", "language", "scheme"), LOOKS)
async def test_every_screen_of_the_phone(
    stage: Stage, guests: Guests, device: str, language: str, scheme: str
) -> None:
    tea = "一壶茶" if language == "zh-CN" else "A pot of tea"
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
    await page.fill("#content", "nothing")
    await press(page, ".scan button")
    await album.look("unknown")
    await page.goto(stage.phone("alipay") + "order/alipay/none")
    await album.look("missing")

    assert "\n".join(sorted(set(album.wrong))) == ""
