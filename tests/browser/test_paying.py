"""From the amount to the credited balance, in a real browser, through every provider."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Route, expect

from tests.browser.guest import Guests
from tests.browser.stage import Stage
from tests.worlds import MERCHANT

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def count_attempts(stage: Stage) -> int:
    async with stage.world.db.transaction(readonly=True) as tx:
        return await tx.value(
            "SELECT count(*) FROM payments.attempts WHERE merchant_id = $1", MERCHANT
        )


async def assert_credited(stage: Stage, wallet_id: str, principal: int) -> None:
    held = await stage.wallet(wallet_id)
    assert (held.principal, held.bonus) == (principal, 0)
    await stage.world.assert_books_hold()


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_scan_a_code_on_the_desktop(stage: Stage, guests: Guests, method: str) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await guest.balance("CN¥0.00")

    await guest.order(10_000, method)
    await guest.stage("scan")
    code = guest.page.locator(".code img")
    assert await code.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    await guest.pay_on_phone(stage, method)

    await guest.stage("paid")
    await guest.balance("CN¥100.00")
    await guest.page.click("a.button.pay")
    await guest.says("+CN¥100.00")
    await assert_credited(stage, wallet, 10_000)


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_redirect_on_the_phone_and_back(stage: Stage, guests: Guests, method: str) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet), "phone", language="zh-CN")

    await guest.order("88.8", method)
    await guest.page.wait_for_url("**/phone/order/**")
    await guest.page.click("button.pay")
    await guest.page.click("a.return")

    await guest.stage("paid")
    await guest.balance("¥88.80")
    await guest.says("已充值 ¥88.80")
    await assert_credited(stage, wallet, 8_880)


async def test_card_at_once(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))

    await guest.order(20_000, "card", "pm_card_visa")

    await guest.stage("paid")
    await guest.says("Visa •••• 4242")
    await guest.balance("CN¥200.00")
    assert await guest.page.locator("input").count() == 0
    await assert_credited(stage, wallet, 20_000)


@pytest.mark.parametrize(("button", "shown"), [("approve", "paid"), ("fail", "declined")])
async def test_card_with_the_bank_asking_first(
    stage: Stage, guests: Guests, button: str, shown: str
) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet), "phone")

    await guest.order(5_000, "card", "pm_card_threeDSecure2Required")
    await guest.page.wait_for_url("**/3ds/**")
    await guest.page.click(f'button[value="{button}"]')

    await guest.stage(shown)
    await assert_credited(stage, wallet, 5_000 if shown == "paid" else 0)


async def test_own_amount_keeps_every_cent(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))

    for typed in ("0.001", "abc", "-5", "0", "999999999"):
        await guest.page.fill("#other", typed)
        await guest.page.click("#pay")
        assert await guest.page.locator("#problem").is_visible(), typed
    await guest.order("1,234.05", "card", "pm_card_visa")

    await guest.stage("paid")
    await assert_credited(stage, wallet, 123_405)


async def test_decline_says_why_and_offers_again(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet), language="zh-CN")

    await guest.order(10_000, "card", "pm_card_chargeDeclinedInsufficientFunds")
    await guest.stage("declined")
    await guest.says("卡内余额不足。")
    await guest.says("没有扣款。")
    await guest.page.click("a.button.pay")
    await guest.page.locator('label.choice:has(input[value="pm_card_visa"])').click()
    await guest.page.click("#pay")

    await guest.stage("paid")
    await assert_credited(stage, wallet, 10_000)


async def test_an_amount_too_small_for_cards_leads_to_another(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet("usd")
    guest = await guests.arrive(stage.link(wallet))

    await guest.order("0.10", "card", "pm_card_visa")
    await guest.stage("declined")
    await guest.says("This amount is too small for this way of paying.")
    await guest.page.click("text=Choose another amount")
    await expect(guest.page.locator("#other")).to_have_value("")
    await expect(guest.page.locator("#cards")).to_be_visible()
    await guest.order(1_000, "card", "pm_card_visa")

    await guest.stage("paid")
    await assert_credited(stage, wallet, 1_000)


async def test_cancel_closes_the_order_at_the_provider(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))

    await guest.order(10_000, "wechat_pay")
    await guest.stage("scan")
    await guest.page.click("#cancel-form button")

    await guest.stage("canceled")
    orders = (await stage.world.books("wechat_pay"))["orders"]
    assert [order["state"].lower() for order in orders] == ["closed"]
    await assert_credited(stage, wallet, 0)


async def test_reload_and_reopening_lose_nothing(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await guest.order(10_000, "alipay")
    await guest.stage("scan")
    order_number = await guest.page.locator(".number").inner_text()

    await guest.page.reload()
    await guest.stage("scan")
    await guest.context.close()
    other = await guests.arrive(stage.link(wallet), "phone")
    await other.says("Top-up in progress")
    await other.page.click("a.running")
    await other.stage("scan")
    assert await other.page.locator(".number").inner_text() == order_number
    assert await count_attempts(stage) == 1
    await other.pay_on_phone(stage, "alipay")

    await other.stage("paid")
    await assert_credited(stage, wallet, 10_000)


async def test_home_page_notices_that_an_order_was_paid(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await guest.order(10_000, "wechat_pay")
    await guest.stage("scan")

    await guest.page.goto(stage.link(wallet))
    await guest.says("Top-up in progress")
    await guest.pay_on_phone(stage, "wechat_pay")

    await guest.balance("CN¥100.00")
    assert await guest.page.locator("a.running").count() == 0


async def test_double_click_makes_one_order(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await guest.choose(10_000, "wechat_pay")

    await guest.page.evaluate(
        "() => { for (let i = 0; i < 5; i += 1) document.getElementById('pay').click(); }"
    )
    await guest.stage("scan")

    assert await count_attempts(stage) == 1


async def test_lost_answer_of_ours_places_one_order(stage: Stage, guests: Guests) -> None:
    guests.expected.append("net::ERR_FAILED")
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    lost = 0

    async def lose(route: Route) -> None:
        nonlocal lost
        if route.request.method == "POST" and lost < 2:
            lost += 1
            await route.fetch()  # it arrives and is carried out
            await route.abort()  # its answer does not come back
        else:
            await route.continue_()

    await guest.page.route("**/orders", lose)
    await guest.order(10_000, "alipay")

    await guest.stage("scan")
    assert lost == 2
    assert await count_attempts(stage) == 1


async def test_reload_before_any_answer_finds_the_order(stage: Stage, guests: Guests) -> None:
    guests.expected.append("net::ERR_FAILED")
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))

    async def lose(route: Route) -> None:
        if route.request.method == "POST":
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await guest.page.route("**/orders", lose)
    await guest.order(10_000, "alipay")
    await guest.page.wait_for_timeout(500)
    await guest.page.unroute("**/orders")
    await guest.page.reload()

    await guest.stage("scan")
    assert await count_attempts(stage) == 1


async def test_offline_while_ordering(stage: Stage, guests: Guests) -> None:
    # The page's own worker may be looking for its newer self just then.
    guests.expected += ["net::ERR_INTERNET_DISCONNECTED", "when fetching the script"]
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))

    await guest.context.set_offline(True)
    await guest.page.wait_for_selector("#offline:not([hidden])")
    await guest.order(10_000, "wechat_pay")
    await guest.page.wait_for_timeout(1_000)
    assert await count_attempts(stage) == 0
    await guest.context.set_offline(False)

    await guest.stage("scan")
    assert await guest.page.locator("#offline").is_hidden()
    assert await count_attempts(stage) == 1


async def test_offline_while_waiting(stage: Stage, guests: Guests) -> None:
    guests.expected.append("net::ERR_")
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await guest.order(10_000, "wechat_pay")
    await guest.stage("scan")

    await guest.context.set_offline(True)
    await guest.page.wait_for_selector("#offline:not([hidden])")
    await pay_all(stage, "wechat_pay")
    await asyncio.sleep(0.7)
    assert await guest.page.locator(".order.scan").count() == 1
    await guest.context.set_offline(False)

    await guest.stage("paid")
    await assert_credited(stage, wallet, 10_000)


async def test_without_event_stream_the_page_asks(stage: Stage, guests: Guests) -> None:
    guests.expected.append("net::ERR_FAILED")
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await guest.context.route("**/events", lambda route: route.abort())

    await guest.order(10_000, "alipay")
    await guest.stage("scan")
    await pay_all(stage, "alipay")

    await guest.stage("paid")


async def test_lost_answer_of_the_provider_is_asked_for(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    stage.pause_work()
    lost = {"operation": "notice", "fault": {"kind": "lost_notice"}, "next": 9}
    await stage.world.control("card", "rules", lost)

    await guest.order("40.02", "card", "pm_card_visa")
    await guest.stage("unknown")
    await guest.says("Nothing will be charged twice")
    stage.resume_work()

    await guest.stage("paid")
    await assert_credited(stage, wallet, 4_002)


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_provider_refuses_the_order(stage: Stage, guests: Guests, method: str) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))

    await guest.order("40.20", method)

    await guest.stage("declined")
    await guest.says("The payment was declined")
    await assert_credited(stage, wallet, 0)


async def test_notice_that_never_comes(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))

    await guest.order("40.14", "alipay")
    await guest.stage("scan")
    await guest.pay_on_phone(stage, "alipay")

    await guest.stage("paid")
    await assert_credited(stage, wallet, 4_014)


async def test_code_that_never_came_can_be_canceled(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))

    await guest.order("40.02", "wechat_pay")
    await guest.stage("no_step")
    await guest.page.click("#cancel-form button")

    await guest.stage("canceled")
    await assert_credited(stage, wallet, 0)


async def test_expired_order_offers_a_new_one(stage: Stage, guests: Guests) -> None:
    wallet = await stage.open_wallet()
    guest = await guests.arrive(stage.link(wallet))
    await guest.order("12.50", "wechat_pay")
    await guest.stage("scan")
    stage.pause_work()

    await stage.advance(minutes=14, seconds=58)
    await guest.page.reload()
    left = guest.page.locator("[data-left]")
    assert await left.inner_text() in {"0:02", "0:01", "0:00"}
    await guest.page.wait_for_selector("[data-time-up]:not([hidden])")
    await guest.says("Time is up.")
    stage.resume_work()
    await guest.stage("expired")
    expired = guest.page.url
    await guest.page.get_by_role("link", name="Choose again").click()
    assert await guest.page.input_value("#other") == "12.50"
    await guest.page.goto(expired)
    await guest.page.get_by_role("button", name="New order for CN¥12.50").click()

    await guest.stage("scan")
    await guest.pay_on_phone(stage, "wechat_pay")
    await guest.stage("paid")
    await assert_credited(stage, wallet, 1_250)


async def pay_all(stage: Stage, method: str) -> None:
    """Whoever waits on the phone is paid, without a browser."""
    for order in (await stage.world.books(method))["orders"]:
        await stage.world.control(method, f"orders/{order['out_trade_no']}/pay")
