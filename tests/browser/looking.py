"""What can be said of a screen by measuring it: contrast, names, sizes, width, language."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Page

MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")
#: Names that are the same in every language, and what the data itself says.
_NAMES = re.compile(
    r"Visa|Mastercard|Tillgate|(?:Open)?API"
    r"|Teahouse|English|中文|3-D Secure|(?:top|att|pi|acct)_\w+|GMT|simulators?|JavaScript|\bdemo\b"
)
_LATIN = re.compile(r"[A-Za-z]{3,}")
_HAN = re.compile(r"[\u4e00-\u9fff]")


async def complaints(page: Page, language: str) -> list[str]:
    """Return what is wrong with the screen as it is now."""
    await page.wait_for_load_state()  # before its style is there, every button is too small
    found: list[str] = await page.evaluate(MEASURE)
    shown = _NAMES.sub("", await page.inner_text("body"))
    foreign = (_LATIN if language.startswith("zh") else _HAN).findall(shown)
    return found + [f"untranslated: {word}" for word in foreign]
