"""An amount that a customer types: what is read, what is refused, and in which words."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.browser.guest import Guests
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = {
    "40.12": "CN¥40.12",
    "40": "CN¥40.00",
    "40.": "CN¥40.00",
    "1,234": "CN¥1,234.00",
    "12,345.60": "CN¥12,345.60",
    "1，234": "CN¥1,234.00",
    "1 234.5": "CN¥1,234.50",
    "１００": "CN¥100.00",
    "１，２３４．５": "CN¥1,234.50",
    "12。5": "CN¥12.50",
    "¥20": "CN¥20.00",
    "￥20": "CN¥20.00",
    "￥ １，２３４": "CN¥1,234.00",
    "CN¥20": "CN¥20.00",
    "cny 20": "CN¥20.00",
    " 007 ": "CN¥7.00",
}
UNREADABLE = [
    "40,12", "1,00", "1,0000", "1，00", ",5", "1,", "0,123", "1,23,456", "12345,678", "1,234,56",
    "1.234,56", "1,,234", "1 00", "1,234 567", "40 12", "１，００", "$20", "€20", "US$20", "HK$20",
    "¥", "¥¥20", "¥-20", "20¥", "-5", "+5", "0.001", "1e3", "abc", "5²", "½", "٤٠",
]  # fmt: skip
LARGE = ["50,000.01", "999999999", "99999999999999", "¥99,999,999,999,999", "9" * 20]


async def press(page: Page, typed: str) -> str:
    """Type an amount, press the button and return what the page complains of."""
    await page.fill("#other", typed)
    await page.click("#pay")
    return await page.inner_text("#problem")


async def test_a_typed_amount_is_read_as_it_is_written(stage: Stage, guests: Guests) -> None:
    page = (await guests.arrive(stage.link(await stage.open_wallet()))).page
    read: dict[str, str] = {}

    for typed in READ:
        await page.fill("#other", typed)
        read[typed] = await page.inner_text("#pay")

    assert read == {typed: f"Top up {shown}" for typed, shown in READ.items()}


async def test_what_could_be_two_amounts_is_no_amount(stage: Stage, guests: Guests) -> None:
    page = (await guests.arrive(stage.link(await stage.open_wallet()))).page
    told: dict[str, str] = {}

    for typed in UNREADABLE:
        told[typed] = await press(page, typed)
        assert await page.inner_text("#pay") == "Top up", typed

    assert told == dict.fromkeys(UNREADABLE, "Enter an amount such as CN¥123.45.")
    assert (await stage.world.books("alipay"))["orders"] == []


@pytest.mark.parametrize(
    ("language", "told"),
    [("en-US", "The most for one top-up is CN¥50,000."), ("zh-CN", "单笔充值最多 ¥50,000。")],
)
async def test_too_much_is_said_to_be_too_much(
    stage: Stage, guests: Guests, language: str, told: str
) -> None:
    link = stage.link(await stage.open_wallet())
    page = (await guests.arrive(link, language=language)).page

    assert {typed: await press(page, typed) for typed in LARGE} == dict.fromkeys(LARGE, told)
    assert not any(sign.isdigit() for sign in await page.inner_text("#pay"))


@pytest.mark.parametrize(
    ("currency", "read", "refused"),
    [
        ("usd", {"$20": "$20.00", "US$20": "$20.00", "＄20": "$20.00"}, ["¥20", "CN¥20", "€20"]),
        ("jpy", {"¥20": "¥20", "JP¥1,500": "¥1,500"}, ["CN¥20", "20.5", "1,50"]),
        ("kwd", {"KWD 1,234.5": "KWD1,234.500", "1.234": "KWD1.234"}, ["1.2345", "$1"]),
    ],
)
async def test_a_sign_in_front_is_that_of_the_wallet(
    stage: Stage, guests: Guests, currency: str, read: dict[str, str], refused: list[str]
) -> None:
    page = (await guests.arrive(stage.link(await stage.open_wallet(currency)))).page

    if await page.locator("#other").count() == 0:
        pytest.skip(f"nobody here takes {currency}")
    for typed, shown in read.items():
        await page.fill("#other", typed)
        assert await page.inner_text("#pay") == f"Top up {shown}"
    for typed in refused:
        assert "Enter an amount such as" in await press(page, typed), typed
