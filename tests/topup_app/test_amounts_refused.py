"""An amount that a provider does not take: the page says so, and leads to another amount."""

from html import unescape
from typing import Any

import pytest

from simulators.card import money
from tests.browser.stage import Stage
from tests.browser.test_door import reference

SMALL = ("amount_too_small", 10)
LARGE = ("amount_too_large", 2_000)
WORDS = {
    ("amount_too_small", "en"): "This amount is too small for this way of paying.",
    ("amount_too_large", "en"): "This amount is too large for this way of paying.",
    ("amount_too_small", "zh"): "金额过小，低于该支付方式的最低限额。",
    ("amount_too_large", "zh"): "金额过大，超过该支付方式的最高限额。",
}
ANOTHER = {"en": "Choose another amount", "zh": "选择其他金额"}


async def place(stage: Stage, link: str, amount: int) -> dict[str, Any]:
    body = {
        "reference": reference(),
        "amount": amount,
        "method": "card",
        "card": "pm_card_visa",
    }
    async with stage.world.session.post(f"{link}/orders", json=body) as answer:
        assert answer.status == 200
        return await answer.json()


async def read(stage: Stage, url: str, language: str) -> str:
    headers = {"Accept": "text/html", "Accept-Language": language}
    async with stage.world.session.get(url, headers=headers) as answer:
        return unescape(await answer.text())


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("code", "amount"), [SMALL, LARGE])
async def test_an_amount_the_provider_refuses_is_named_and_another_offered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, code: str, amount: int, language: str
) -> None:
    monkeypatch.setattr(money, "MAX_AMOUNT", 1_000)
    link = stage.link(await stage.open_wallet("usd"))

    placed = await place(stage, link, amount)
    page = await read(stage, stage.base_url + placed["page"], language)

    assert placed["stage"] == "declined"
    assert WORDS[code, language] in page
    way_on = f'href="{link.removeprefix(stage.base_url)}?method=card">{ANOTHER[language]}</a>'
    assert way_on in page, "the refused amount is not filled in again"


async def test_what_is_no_matter_of_the_amount_keeps_it(stage: Stage) -> None:
    link = stage.link(await stage.open_wallet("usd"))
    body = {"reference": reference(), "amount": 2_000, "method": "card"}
    declined = {**body, "card": "pm_card_chargeDeclined"}
    async with stage.world.session.post(f"{link}/orders", json=declined) as answer:
        placed = await answer.json()

    page = await read(stage, stage.base_url + placed["page"], "en")

    assert "?amount=2000&method=card" in page
    assert ANOTHER["en"] not in page
