"""A page shows one moment: an order that is paid never stands beside the balance from before."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.browser.stage import Stage
from tests.browser.test_door import reference
from tillgate.topups import queries as topups
from tillgate.wallets import queries as wallets

READERS = ((wallets, "wallet"), (topups, "top_up"), (topups, "of_wallet"))


async def place(stage: Stage, link: str) -> str:
    """Order 100 yuan and return the order's page."""
    body = {"reference": reference(), "amount": 10_000, "method": "wechat_pay"}
    async with stage.world.session.post(f"{link}/orders", json=body) as answer:
        said = await answer.json()
    assert said["stage"] == "scan", said
    return stage.base_url + said["page"]


async def read(stage: Stage, url: str) -> str:
    async with stage.world.session.get(url, headers={"Accept": "text/html"}) as answer:
        assert answer.status == 200
        return await answer.text()


def balance_on(page: str) -> str | None:
    found = re.search(r'id="balance">([^<]+)<', page)
    return found and found[1]


def credit_after_the_first_read(
    stage: Stage, wallet: str, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Have the customer pay, and the wallet credited, once a page has read its first half."""
    credited: list[str] = []

    def hooked(name: str, reader: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def reading(*args: Any, **more: Any) -> Any:
            found = await reader(*args, **more)
            if not credited:
                credited.append(name)
                await credit(stage, wallet)
            return found

        return reading

    for module, name in READERS:
        monkeypatch.setattr(module, name, hooked(name, getattr(module, name)))
    return credited


async def credit(stage: Stage, wallet: str) -> None:
    for order in (await stage.world.books("wechat_pay"))["orders"]:
        await stage.world.control("wechat_pay", f"orders/{order['out_trade_no']}/pay")
    async with asyncio.timeout(10):
        while (await stage.wallet(wallet)).balance == 0:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("which", "shown"), [("order", None), ("home", "CN¥0.00")])
async def test_a_credit_between_two_reads_of_a_page_is_seen_by_both_or_neither(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, which: str, shown: str | None
) -> None:
    wallet = await stage.open_wallet()
    link = stage.link(wallet)
    order = await place(stage, link)
    url = link if which == "home" else order
    credited = credit_after_the_first_read(stage, wallet, monkeypatch)

    page = await read(stage, url)

    assert credited, "the credit came in the midst of the page"
    # What is still open has its live result told; what is over is never corrected.
    assert f'data-events="{order.removeprefix(stage.base_url)}"' in page
    assert balance_on(page) == shown
    assert balance_on(await read(stage, url)) == "CN¥100.00"
