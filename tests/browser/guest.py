"""A customer with a device, and a browser that reports everything a page should not do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
)
from playwright.async_api import TimeoutError as Timeout

from tests.browser.stage import Stage

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
SIZES = {"desktop": (1280, 900), "phone": (390, 844), "small": (320, 568)}
WAIT_MS = 15_000
PLACE = (Path(__file__).parent / "place.js").read_text(encoding="utf-8")


@dataclass
class Guest:
    """One browser profile and the page it looks at."""

    context: BrowserContext
    page: Page

    async def choose(self, amount: int | str, method: str, card: str | None = None) -> None:
        """Fill in the order form: a preset in minor units, or another amount as it is typed."""
        if isinstance(amount, int):
            await self._tick(f'input[name="amount"][value="{amount}"]')
        else:
            await self.page.fill("#other", amount)
        await self._tick(f'input[name="method"][value="{method}"]')
        if card is not None:
            await self._tick(f'input[name="card"][value="{card}"]')

    async def order(self, amount: int | str, method: str, card: str | None = None) -> None:
        """Fill in the form and press the button."""
        await self.choose(amount, method, card)
        await self.page.click("#pay")

    async def place_quietly(self, amount: int, method: str, card: str | None = None) -> str:
        """Place an order as the form does, without going anywhere; return the order's page."""
        await self.page.goto(self.page.url.split("/orders")[0].split("?")[0])
        placed = await self.page.evaluate(
            PLACE,
            [amount, method, card],
        )
        assert "page" in placed, placed
        return urljoin(self.page.url, placed["page"])

    async def stage(self, name: str) -> None:
        """Wait until the order page shows this stage."""
        try:
            await self.page.wait_for_selector(f".order.{name}", timeout=WAIT_MS)
        except Timeout as error:
            shown = await self.page.inner_text("main")
            raise AssertionError(f"waited for {name!r}; the page says {shown!r}") from error

    async def says(self, text: str | re.Pattern[str]) -> None:
        """Wait until the page says this."""
        await expect(self.page.locator("body")).to_contain_text(text, timeout=WAIT_MS)

    async def balance(self, text: str) -> None:
        """Wait until the balance on the page is this."""
        await expect(self.page.locator("#balance")).to_have_text(text, timeout=WAIT_MS)

    async def pay_on_phone(self, stage: Stage, method: str, button: str = "pay") -> None:
        """Take up the phone in another tab: open the newest waiting order and press a button."""
        phone = await self.context.new_page()
        await phone.goto(stage.phone(method))
        await phone.locator("#orders a.row").first.click()
        async with phone.expect_navigation():
            await phone.click(f"button.{button}")
        await phone.close()

    async def _tick(self, selector: str) -> None:
        await self.page.locator(f"label.choice:has({selector})").click()


class Guests:
    """All browser profiles of a test, and what went wrong in them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.problems: list[str] = []
        #: Complaints of the browser that belong to what the test does to it.
        self.expected: list[str] = []

    async def arrive(
        self,
        url: str,
        device: str = "desktop",
        *,
        language: str = "en-US",
        dark: bool = False,
        agent: str | None = None,
    ) -> Guest:
        """Open a page as a customer with this device and language."""
        width, height = SIZES[device]
        is_phone = device != "desktop"
        more: dict[str, Any] = {"user_agent": agent or IPHONE} if is_phone or agent else {}
        context = await self._browser.new_context(
            viewport={"width": width, "height": height},
            locale=language,
            color_scheme="dark" if dark else "light",
            timezone_id="Asia/Shanghai",
            has_touch=is_phone,
            is_mobile=is_phone,
            reduced_motion="reduce",
            **more,
        )
        context.set_default_timeout(WAIT_MS)
        self._contexts.append(context)
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.problems.append(f"script: {error.error}"))
        context.on("request", self._see)
        page = await context.new_page()
        await page.goto(url)
        return Guest(context, page)

    async def close(self) -> None:
        """Close every profile, and forget complaints that were expected."""
        for context in self._contexts:
            await context.close()
        self.problems = [
            problem
            for problem in self.problems
            if not any(expected in problem for expected in self.expected)
        ]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"console: {message.text}")

    def _see(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob", "about"} and parts.hostname != "127.0.0.1":
            self.problems.append(f"request: {request.url}")
