"""The pages over plain HTTP: who may come in, what a GET may not do, and what a retry finds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.browser.stage import Stage
from tests.browser.test_looks import spend
from tests.worlds import MERCHANT
from tillgate.kernel.clock import SystemClock
from tillgate.topup_app.limits import Limit
from tillgate.topup_app.links import make_token, read_token
from tillgate.wallets import flows as wallets
from tillgate.wallets.machine import News
from tillgate.wallets.model import MoveWallet

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
HTML = {"Accept": "text/html"}


def reference(ago_seconds: float = 0, tail: str = "0" * 16) -> str:
    moment = int((SystemClock().now().timestamp() - ago_seconds) * 1000)
    return "".join(DIGITS[moment >> shift & 31] for shift in range(45, -1, -5)) + tail


@pytest_asyncio.fixture(loop_scope="module")
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def post(http: aiohttp.ClientSession, url: str, body: Any, **headers: str) -> tuple[int, Any]:
    async with http.post(url, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def count(stage: Stage, table: str) -> int:
    async with stage.world.db.transaction(readonly=True) as tx:
        return await tx.value(
            f"SELECT count(*) FROM {table} WHERE merchant_id = $1",  # type: ignore[arg-type]
            MERCHANT,
        )


async def test_bad_and_expired_links_say_so_kindly(
    stage: Stage, http: aiohttp.ClientSession
) -> None:
    wallet = await stage.open_wallet()
    old = stage.link(wallet, lifetime=timedelta(seconds=-1))

    for url, told in ((old, "has expired"), (stage.link(wallet) + "x", "does not work")):
        async with http.get(url, headers=HTML) as answer:
            text = await answer.text()
            assert (answer.status, told in text) == (404, True)
            assert "Teahouse" not in text


async def test_pages_carry_strict_headers(stage: Stage, http: aiohttp.ClientSession) -> None:
    async with http.get(stage.link(await stage.open_wallet()), headers=HTML) as answer:
        text = await answer.text()
        headers = answer.headers

    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "set-cookie" not in headers
    assert "<style" not in text
    assert " style=" not in text
    assert " onclick" not in text


async def test_assets_are_kept_for_good(stage: Stage, http: aiohttp.ClientSession) -> None:
    async with http.get(stage.link(await stage.open_wallet()), headers=HTML) as answer:
        text = await answer.text()
    name = text.split('rel="stylesheet" href="')[1].split('"')[0]

    async with http.get(stage.base_url + name) as answer:
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
    async with http.get(stage.base_url + "/pay/static/page.css") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
async def test_other_sites_place_no_orders(
    stage: Stage, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    link = stage.link(await stage.open_wallet())
    body = {"reference": reference(), "amount": 10_000, "method": "alipay"}

    status, told = await post(http, f"{link}/orders", body, **headers)

    assert (status, told["error"]) == (403, "foreign_site")
    assert await count(stage, "topups.top_ups") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 10**12},
        {"amount": 1.5},
        {"amount": "100"},
        {"method": "cash"},
        {"method": "card", "card": "pm_card_of_somebody_else"},
        {"method": "card"},
        {"reference": "short"},
        {"reference": "u" * 26},
        {"reference": reference(ago_seconds=3 * 86_400)},
        {"reference": reference(ago_seconds=-3_600)},
        {"wallet_id": "wal_other"},
    ],
)
async def test_bad_orders_change_nothing(
    stage: Stage, http: aiohttp.ClientSession, change: dict[str, Any]
) -> None:
    link = stage.link(await stage.open_wallet())
    body = {"reference": reference(), "amount": 10_000, "method": "alipay", **change}

    status, told = await post(http, f"{link}/orders", body)

    assert 400 <= status < 500
    assert told["message"]
    assert await count(stage, "topups.top_ups") == 0


async def test_large_bodies_are_refused(stage: Stage, http: aiohttp.ClientSession) -> None:
    link = stage.link(await stage.open_wallet())

    status, _ = await post(http, f"{link}/orders", {"reference": "0" * 10_000})

    assert status == 400


async def test_one_reference_is_one_order(stage: Stage, http: aiohttp.ClientSession) -> None:
    link = stage.link(await stage.open_wallet())
    body = {"reference": reference(), "amount": 10_000, "method": "wechat_pay"}

    told = await asyncio.gather(*(post(http, f"{link}/orders", body) for _ in range(8)))
    again = await post(http, f"{link}/orders", body)
    other = await post(http, f"{link}/orders", {**body, "amount": 20_000})

    assert {status for status, _ in told} == {200}
    assert {answer["page"] for _, answer in [*told, again]} == {told[0][1]["page"]}
    assert (other[0], other[1]["error"]) == (409, "reference_refused")
    assert await count(stage, "topups.top_ups") == 1
    assert await count(stage, "payments.attempts") == 1


async def test_lost_answer_can_be_looked_up(stage: Stage, http: aiohttp.ClientSession) -> None:
    link = stage.link(await stage.open_wallet())
    mine = reference()
    async with http.get(f"{link}/orders?reference={mine}") as answer:
        assert answer.status == 404
    body = {"reference": mine, "amount": 10_000, "method": "alipay"}
    _, placed = await post(http, f"{link}/orders", body)

    async with http.get(f"{link}/orders?reference={mine}") as answer:
        assert (await answer.json())["page"] == placed["page"]
    async with http.get(f"{link}/orders?reference={mine[:-1]}z") as answer:
        assert answer.status == 404


async def test_same_reference_of_two_wallets_is_two_orders(
    stage: Stage, http: aiohttp.ClientSession
) -> None:
    body = {"reference": reference(), "amount": 10_000, "method": "alipay"}

    for customer in ("cus_li", "cus_wang"):
        link = stage.link(await stage.open_wallet(customer=customer))
        assert (await post(http, f"{link}/orders", body))[0] == 200

    assert await count(stage, "topups.top_ups") == 2


async def test_orders_of_others_are_not_there(stage: Stage, http: aiohttp.ClientSession) -> None:
    mine = stage.link(await stage.open_wallet())
    other = stage.link(await stage.open_wallet(customer="cus_wang"))
    body = {"reference": reference(), "amount": 10_000, "method": "alipay"}
    _, placed = await post(http, f"{mine}/orders", body)
    number = placed["page"].rpartition("/")[2]

    for path in ("", "/state", "/events", "/code.svg"):
        async with http.get(f"{other}/orders/{number}{path}") as answer:
            assert answer.status == 404, path
    status, _ = await post(http, f"{other}/orders/{number}/cancel", {})
    assert status == 404


async def test_reading_changes_nothing(stage: Stage, http: aiohttp.ClientSession) -> None:
    stage.pause_work()
    link = stage.link(await stage.open_wallet())
    body = {"reference": reference(), "amount": 10_000, "method": "alipay"}
    _, placed = await post(http, f"{link}/orders", body)
    before = await stage.world.facts()
    page = stage.base_url + placed["page"]

    for url in (
        link,
        f"{link}/history",
        page,
        f"{page}/state",
        f"{page}/code.svg",
        f"{page}/cancel",
    ):
        async with http.get(url) as answer:
            await answer.read()

    assert await stage.world.facts() == before
    assert await count(stage, "payments.attempts") == 1


async def test_streams_share_one_question(stage: Stage, http: aiohttp.ClientSession) -> None:
    urls: list[str] = []
    for number in range(8):
        link = stage.link(await stage.open_wallet(customer=f"cus_{number}"))
        body = {"reference": reference(), "amount": 10_000, "method": "wechat_pay"}
        _, placed = await post(http, f"{link}/orders", body)
        urls.append(f"{stage.base_url}{placed['page']}/events")

    async def listen(url: str) -> list[str]:
        async with http.get(url) as answer:
            return [line.decode() async for line in answer.content if line.startswith(b"data:")]

    started = time.monotonic()
    listening = [asyncio.create_task(listen(url)) for url in urls * 2]
    await asyncio.sleep(1.2)
    rounds = stage.pages.watcher.rounds
    for order in (await stage.world.books("wechat_pay"))["orders"]:
        await stage.world.control("wechat_pay", f"orders/{order['out_trade_no']}/pay")
    told = await asyncio.gather(*listening)

    assert rounds <= (time.monotonic() - started) / 0.5 + 2
    for lines in told:
        assert '"stage":"scan"' in lines[0]
        assert '"stage":"paid"' in lines[-1]


async def test_history_goes_back_page_by_page(stage: Stage, http: aiohttp.ClientSession) -> None:
    wallet = await stage.open_wallet()
    link = stage.link(wallet)
    body = {"reference": reference(), "amount": 100_000, "method": "card", "card": "pm_card_visa"}
    await post(http, f"{link}/orders", body)
    for number in range(45):
        await spend(stage, wallet, 100, f"Cup {number}")

    seen: list[str] = []
    url: str | None = f"{link}/history"
    pages = 0
    while url:
        async with http.get(url, headers=HTML) as answer:
            text = await answer.text()
        seen += [part.split("<")[0] for part in text.split('<span class="what"><b>')[1:]]
        pages += 1
        older = text.split('rel="next" href="')
        url = stage.base_url + older[1].split('"')[0] if len(older) > 1 else None

    assert pages == 3
    assert seen == [f"Cup {number}" for number in reversed(range(45))] + ["Top-up"]


async def test_too_many_orders_are_slowed_down(stage: Stage, http: aiohttp.ClientSession) -> None:
    link = stage.link(await stage.open_wallet())
    stage.pages._door._orders = Limit(burst=3, per_minute=1)

    told = [await post(http, f"{link}/orders", {"reference": "x"}) for _ in range(4)]

    assert [status for status, _ in told] == [400, 400, 400, 429]
    assert told[-1][1]["again"] is True


async def test_link_of_a_wallet_that_is_not_there(
    stage: Stage, http: aiohttp.ClientSession
) -> None:
    at = stage.clock.now() + timedelta(hours=1)
    token = make_token(stage.vault, MERCHANT, "wal_none", at)
    assert read_token(stage.vault, token, at=stage.clock.now()).wallet_id == "wal_none"

    async with http.get(f"{stage.base_url}/pay/{token}", headers=HTML) as answer:
        assert answer.status == 404
        assert "There is no such page" in await answer.text()


async def test_closing_lets_waiting_pages_go(stage: Stage, http: aiohttp.ClientSession) -> None:
    link = stage.link(await stage.open_wallet())
    body = {"reference": reference(), "amount": 10_000, "method": "alipay"}
    _, placed = await post(http, f"{link}/orders", body)

    async with http.get(f"{stage.base_url}{placed['page']}/events") as answer:
        await answer.content.readline()
        await stage.pages.close()
        async with asyncio.timeout(2):
            await answer.content.read()


@pytest.mark.parametrize(
    ("news", "told", "answered"),
    [(News.FROZEN, "it can be topped up", 200), (News.CLOSED, "This wallet is closed.", 400)],
)
async def test_frozen_wallets_take_money_and_closed_ones_do_not(
    stage: Stage, http: aiohttp.ClientSession, news: News, told: str, answered: int
) -> None:
    wallet = await stage.open_wallet()
    link = stage.link(wallet)
    at = stage.clock.now()
    move = MoveWallet(merchant_id=MERCHANT, at=at, wallet_id=wallet, news=news)
    await wallets.order(stage.world.db, move)

    async with http.get(link, headers=HTML) as answer:
        text = await answer.text()
    body = {"reference": reference(), "amount": 10_000, "method": "alipay"}
    status, _ = await post(http, f"{link}/orders", body)

    assert told in text
    assert ('id="order-form"' in text) == (answered == 200)
    assert status == answered


async def test_what_a_shop_writes_is_text_and_never_markup(
    stage: Stage, http: aiohttp.ClientSession
) -> None:
    wallet = await stage.open_wallet()
    link = stage.link(wallet)
    body = {"reference": reference(), "amount": 10_000, "method": "card", "card": "pm_card_visa"}
    await post(http, f"{link}/orders", body)
    await spend(stage, wallet, 100, '<script>alert("x")</script>')

    for query in ("", "?lang=%22%3E%3Cscript%3E", "?amount=%3Cb%3E&method=%22%3E%3Cb%3E"):
        async with http.get(link + query, headers=HTML) as answer:
            text = await answer.text()
        assert "&lt;script&gt;alert" in text
        assert "<script>" not in text
        assert "<b>&#34;" not in text
