"""The page of a payment that is no top-up: its code, its end, and the way back to the shop."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.browser.guest import Guest, Guests
from tests.browser.stage import Stage
from tests.browser.test_looks import Album
from tests.worlds import MERCHANT
from tillgate.kernel import ids
from tillgate.kernel.paging import Page
from tillgate.payments import queries
from tillgate.payments.model import Confirmation, NewPayment, Payment, Trace
from tillgate.payments.shown import show_action

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def order(
    stage: Stage,
    method: str = "wechat_pay",
    return_url: str | None = None,
    description: str = "Two pots of tea",
) -> Payment:
    """A payment intent, confirmed with a code to scan."""
    confirmation = Confirmation(method=method, presentation="qr", return_url=return_url)
    new = NewPayment(
        merchant_id=MERCHANT,
        id=ids.new_id("pi"),
        amount=10_000,
        currency="cny",
        method_types=[method],
        description=description,
        confirmation=confirmation,
    )
    return await stage.world.payments.create(new, Trace())


def page_of(payment: Payment) -> str:
    """The address that the API gives out."""
    action = show_action(payment)
    assert action is not None
    return action[action["type"]]["hosted_instructions_url"]


async def pay(guest: Guest, stage: Stage, method: str, button: str = "pay") -> None:
    await guest.pay_on_phone(stage, method, button)


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
async def test_scan_pay_and_go_back(
    stage: Stage, guests: Guests, method: str, language: str
) -> None:
    shop = f"{stage.phone('card')}?order=7"
    payment = await order(stage, method, return_url=shop)
    guest = await guests.arrive(page_of(payment), language=language)
    await guest.stage("scan")
    await guest.says("Two pots of tea")
    code = guest.page.locator(".code img")
    assert await code.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert await guest.page.locator("[data-left]").inner_text() != ""

    await pay(guest, stage, method)

    await guest.stage("paid")
    await guest.says("Paid CN¥100.00" if language == "en-US" else "已支付 ¥100.00")
    await guest.page.wait_for_url(f"{shop}&payment_intent={payment.id}&redirect_status=succeeded")


async def test_without_a_shop_to_return_to_the_page_says_so(stage: Stage, guests: Guests) -> None:
    payment = await order(stage)
    guest = await guests.arrive(page_of(payment), "phone", dark=True)
    await guest.stage("scan")

    await pay(guest, stage, "wechat_pay")

    await guest.stage("paid")
    await guest.says("Teahouse knows. You can close this page.")
    assert await guest.page.locator("[data-return]").count() == 0


async def test_it_does_not_give_away_the_wallet(stage: Stage, guests: Guests) -> None:
    customer = await guests.arrive(stage.link(await stage.open_wallet()))
    await customer.order(10_000, "wechat_pay")
    await customer.stage("scan")
    async with stage.world.db.transaction(readonly=True) as tx:
        (payment,) = (await queries.payment_page(tx, MERCHANT, Page())).data
    assert payment.return_url is not None

    friend = await guests.arrive(page_of(payment))

    await friend.stage("scan")
    assert payment.return_url not in await friend.page.content()
    await pay(friend, stage, "wechat_pay")
    await friend.stage("paid")
    await customer.stage("paid")
    assert payment.return_url not in await friend.page.content()


async def test_without_event_stream_the_page_asks(stage: Stage, guests: Guests) -> None:
    guests.expected.append("net::ERR_FAILED")
    payment = await order(stage)
    guest = await guests.arrive("about:blank")
    await guest.context.route("**/events", lambda route: route.abort())
    await guest.page.goto(page_of(payment))
    await guest.stage("scan")

    await pay(guest, stage, "wechat_pay", "close")

    await guest.stage("closed")
    await guest.says("Ask Teahouse for a new code")


async def test_only_its_own_token_opens_a_payment(stage: Stage, guests: Guests) -> None:
    guests.expected.append("status of 404")
    one, other = await order(stage), await order(stage)
    url = page_of(one)
    guest = await guests.arrive(url)
    await guest.stage("scan")

    for wrong in (
        url.replace(one.id, other.id),
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.rpartition(".")[0],
        url.replace(f"/{MERCHANT}.", f"/{MERCHANT + 1}."),
        url.replace(f"/{MERCHANT}.", "/x."),
    ):
        for path in ("", "/state", "/code.svg"):
            answer = await guest.page.goto(wrong + path)
            assert answer is not None
            assert answer.status == 404, wrong + path
    await stage.advance(days=timedelta(days=31).days)
    answer = await guest.page.goto(url)
    await guest.says("This link has expired")


@pytest.mark.parametrize(
    ("device", "language", "scheme"),
    [("phone", "zh-CN", "dark"), ("desktop", "en-US", "light"), ("small", "en-US", "dark")],
)
async def test_it_can_be_read_on_every_screen(
    stage: Stage, guests: Guests, device: str, language: str, scheme: str
) -> None:
    shop, tea = "https://teahouse.example/orders/7", "两壶茶" if language == "zh-CN" else "Tea"
    payment = await order(stage, return_url=shop, description=tea)
    guest = await guests.arrive(page_of(payment), device, language=language, dark=scheme == "dark")
    guests.expected += ["request: https://teahouse.example", "net::ERR_"]
    album = Album(guest, language, f"{device}_{language[:2]}_{scheme}")
    await guest.stage("scan")
    await album.look("hosted_scan")
    await pay(guest, stage, "wechat_pay")
    await guest.stage("paid")
    await album.look("hosted_paid")
    assert album.wrong == []
