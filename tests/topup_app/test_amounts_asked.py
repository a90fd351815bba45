"""An order's amount is a whole number of minor units within bounds, or nothing is ordered."""

import pytest

from tests.browser.stage import Stage
from tests.browser.test_door import reference


async def ask(stage: Stage, amount: str, language: str) -> tuple[int, str, str]:
    """Order an amount as it stands in the body; return how and in which words it is refused."""
    link = stage.link(await stage.open_wallet())
    body = f'{{"reference":"{reference()}","amount":{amount},"method":"alipay"}}'
    headers = {"Content-Type": "application/json", "Accept-Language": language}
    async with stage.world.session.post(f"{link}/orders", data=body, headers=headers) as answer:
        said = await answer.json()
    assert (await stage.world.books("alipay"))["orders"] == []
    return answer.status, said["error"], said["message"]


@pytest.mark.parametrize("amount", ["5000001", "9999999999999900", "1" + "0" * 40])
@pytest.mark.parametrize(
    ("language", "told"),
    [("en", "The most for one top-up is CN¥50,000."), ("zh", "单笔充值最多 ¥50,000。")],
)
async def test_too_much_hears_of_the_most(
    stage: Stage, amount: str, language: str, told: str
) -> None:
    assert await ask(stage, amount, language) == (400, "amount_out_of_bounds", told)


@pytest.mark.parametrize("amount", ["0", "-1", "-100000000000"])
async def test_nothing_hears_that_an_amount_is_missing(stage: Stage, amount: str) -> None:
    told = "Choose or enter an amount."
    assert await ask(stage, amount, "en") == (400, "amount_out_of_bounds", told)


@pytest.mark.parametrize(
    "amount",
    ['"4012"', '"40,12"', "40.12", "40.0", "4e3", "true", "null", "[4012]", "40,12", "NaN"],
)
async def test_only_whole_numbers_are_amounts(stage: Stage, amount: str) -> None:
    assert (await ask(stage, amount, "en"))[:2] == (400, "body_unreadable")
