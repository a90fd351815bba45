"""Orders whose code never came, that were closed elsewhere or ran out: told, and ordered anew."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Route, expect

from tests.browser.guest import Guest, Guests
from tests.browser.stage import Stage
from tests.browser.test_paying import assert_credited, count_attempts

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: The provider opens the order, and its answer is lost.
LOST = {"operation": "create", "fault": {"kind": "timeout_after"}, "next": 1}


async def states(stage: Stage, method: str) -> list[str]:
    orders = (await stage.world.books(method))["orders"]
    return [order["state"].lower() for order in orders]


async def ordered(
    stage: Stage, guests: Guests, method: str, *, until: str = "scan"
) -> tuple[Guest, str]:
    """A guest who has ordered, and the wallet it is for."""
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await guest.order(10_000, method)
    await guest.stage(until)
    return guest, wallet


async def with_lost_code(stage: Stage, guests: Guests) -> tuple[Guest, str]:
    """The same, and the order's code got lost on its way to us."""
    await stage.world.control("wechat_pay", "rules", LOST)
    return await ordered(stage, guests, "wechat_pay", until="no_step")


async def test_a_code_that_never_came_is_ordered_anew_at_one_touch(
    stage: Stage, guests: Guests
) -> None:
    guest, wallet = await with_lost_code(stage, guests)
    await guest.says("its code got lost on the way to us")
    number = await guest.page.locator(".number").inner_text()
    await guest.page.reload()
    await guest.stage("no_step")

    await guest.page.click("#again-form button")

    await guest.stage("scan")
    assert await guest.page.locator(".number").inner_text() != number
    assert await states(stage, "wechat_pay") == ["closed", "waiting"]
    await guest.pay_on_phone(stage, "wechat_pay")
    await guest.stage("paid")
    await assert_credited(stage, wallet, 10_000)


async def test_a_lost_code_of_alipay_is_found_out_and_ordered_anew(
    stage: Stage, guests: Guests
) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet), language="zh-CN")
    await guest.order("40.02", "alipay")
    # Nobody can know a code that was never heard: Alipay has no trade before it is scanned.
    await guest.stage("closed")
    await guest.says("支付宝订单已关闭")
    await stage.world.control("alipay", "reset")

    await guest.page.click("#again-form button")

    await guest.stage("unknown")


async def test_ordering_anew_twice_is_one_order(stage: Stage, guests: Guests) -> None:
    guests.expected.append("net::ERR_FAILED")
    guest, _ = await with_lost_code(stage, guests)
    lost = 0

    async def lose(route: Route) -> None:
        nonlocal lost
        lost += 1
        if lost > 2:
            await route.continue_()
            return
        await route.fetch()
        await route.abort()

    await guest.page.route("**/again", lose)
    await guest.page.click("#again-form button")

    await guest.stage("scan")
    assert lost == 3
    assert await count_attempts(stage) == 2


async def test_nothing_new_is_ordered_before_the_old_order_is_closed(
    stage: Stage, guests: Guests
) -> None:
    guests.expected.append("status of 503")
    guest, _ = await with_lost_code(stage, guests)
    broken = {"operation": "close", "fault": {"kind": "http_500_before"}, "next": 2}
    await stage.world.control("wechat_pay", "rules", broken)

    await guest.page.click("#again-form button")

    await guest.stage("scan")
    assert await states(stage, "wechat_pay") == ["closed", "waiting"]


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_closed_on_the_phone_is_not_called_expired(
    stage: Stage, guests: Guests, method: str
) -> None:
    guest, wallet = await ordered(stage, guests, method)

    await guest.pay_on_phone(stage, method, "close")

    await guest.stage("closed")
    await guest.says(re.compile("The order was closed with (Alipay|WeChat Pay)"))
    await guest.page.goto(stage.link(wallet) + "/history?tab=top_ups")
    await guest.says("Closed")
    await assert_credited(stage, wallet, 0)


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_the_link_to_the_phone_opens_the_order_itself(
    stage: Stage, guests: Guests, method: str
) -> None:
    guest, wallet = await ordered(stage, guests, method)

    async with guest.context.expect_page() as opened:
        await guest.page.click(".simulated a")
    phone = await opened.value
    await expect(phone.locator(".amount")).to_have_text("¥100.00")
    await phone.click("button.pay")

    await guest.stage("paid")
    await assert_credited(stage, wallet, 10_000)
