"""Two independent Alipay SDKs against the simulator: each verifies what it signs, and it them."""

import io
import zipfile
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from simulators.running import Running
from tests.peers import run_peer
from tests.simulators.conftest import Merchant

PEERS = ("alipay-official", "alipay-community")
ORDER = {"out_trade_no": "top_1", "total_amount": "100.00", "subject": "Top-up 充值"}


async def call(peer: str, account: dict[str, Any], *steps: Any) -> list[Any]:
    """Run steps `(kind, method, biz[, options])` through the peer."""
    filled = [[*step, {}] if len(step) == 3 else list(step) for step in steps]
    return await run_peer(peer, {"account": account, "steps": filled})


@pytest.mark.parametrize("peer", PEERS)
async def test_order_is_made_paid_refunded_and_told(
    peer: str, world: Running, shop: Merchant, accounts: dict[str, Any]
) -> None:
    alipay = world.simulators["alipay"]
    notify = {"notify_url": shop.server.url + "/notify"}

    made, again, unopened = await call(
        peer,
        accounts["alipay"],
        ("execute", "precreate", ORDER, notify),
        ("execute", "precreate", ORDER, notify),
        ("execute", "query", {"out_trade_no": "top_1"}),
    )
    order_id = alipay.scan(made["qr_code"])
    assert order_id is not None
    alipay.open_order(order_id)
    waiting = await call(peer, accounts["alipay"], ("execute", "query", {"out_trade_no": "top_1"}))
    alipay.pay(order_id)
    await shop.wait_for(1)
    paid, back, over, asked = await call(
        peer,
        accounts["alipay"],
        ("execute", "query", {"out_trade_no": "top_1"}),
        ("execute", "refund", refund("30.00", "r1")),
        ("execute", "refund", refund("70.01", "r2")),
        ("execute", "refund_query", {"out_trade_no": "top_1", "out_request_no": "r1"}),
    )
    await shop.wait_for(2)

    assert made["code"] == "10000"
    assert made["qr_code"] == again["qr_code"]
    assert unopened["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert waiting[0]["trade_status"] == "WAIT_BUYER_PAY"
    assert (paid["trade_status"], paid["total_amount"]) == ("TRADE_SUCCESS", "100.00")
    assert (back["fund_change"], back["refund_fee"]) == ("Y", "30.00")
    assert over["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    assert (asked["refund_status"], asked["refund_amount"]) == ("REFUND_SUCCESS", "30.00")


def refund(amount: str, number: str) -> dict[str, str]:
    return {"out_trade_no": "top_1", "refund_amount": amount, "out_request_no": number}


@pytest.mark.parametrize("peer", PEERS)
async def test_notice_verifies_and_a_changed_one_does_not(
    peer: str, world: Running, shop: Merchant, accounts: dict[str, Any]
) -> None:
    alipay = world.simulators["alipay"]
    await call(
        peer,
        accounts["alipay"],
        ("execute", "precreate", ORDER, {"notify_url": shop.server.url + "/notify"}),
    )
    alipay.pay("top_1")
    notices = await shop.wait_for(1)

    told = notices[0].form()
    with_sign_type = dict(told)
    results = await call(
        peer,
        accounts["alipay"],
        ("verify", "", told),
        ("verify", "", told | {"total_amount": "1000.00"}),
        ("verify", "", with_sign_type | {"sign": told["sign"][:-8] + "AAAAAA=="}),
    )

    assert told["trade_status"] == "TRADE_SUCCESS"
    assert told["total_amount"] == "100.00"
    assert results[0] is True
    for wrong in results[1:]:
        assert wrong is False or "error" in wrong


@pytest.mark.parametrize("peer", PEERS)
async def test_wrongly_signed_and_unsigned_answers_are_refused_by_the_peer(
    peer: str, world: Running, accounts: dict[str, Any]
) -> None:
    control = f"{world.simulators['alipay'].server.url}/_control/rules"
    async with aiohttp.ClientSession() as client:
        for kind in ("bad_signature", "no_signature", "malformed"):
            rule = {"operation": "create", "fault": {"kind": kind}, "next": 1}
            async with client.post(control, json=rule) as answer:
                assert answer.status == 200

    steps = [("execute", "precreate", ORDER | {"out_trade_no": f"n{i}"}) for i in range(4)]
    results = await call(peer, accounts["alipay"], *steps)

    assert all("error" in result for result in results[:3])
    assert results[3]["code"] == "10000"


@pytest.mark.parametrize("peer", PEERS)
async def test_key_of_another_merchant_is_refused(
    peer: str, world: Running, accounts: dict[str, Any]
) -> None:
    other = world.keys.merchants[1].alipay.app.private

    results = await call(
        peer,
        accounts["alipay"] | {"app_private_key": other},
        ("execute", "query", {"out_trade_no": "top_1"}),
    )

    assert results[0]["sub_code"] == "isv.invalid-signature"


@pytest.mark.parametrize("peer", PEERS)
async def test_page_order_leads_to_the_phone_and_back(
    peer: str, world: Running, shop: Merchant, accounts: dict[str, Any]
) -> None:
    gateway = accounts["alipay"]["gateway_url"]
    back = {"return_url": shop.server.url + "/back?x=1"}
    biz = {**ORDER, "product_code": "FAST_INSTANT_TRADE_PAY"}
    if peer == "alipay-community":
        biz.pop("product_code")
    (signed,) = await call(peer, accounts["alipay"], ("page", "page", biz, back))
    address = signed if signed.startswith("http") else f"{gateway}?{signed}"

    async with aiohttp.ClientSession() as client:
        async with client.get(address) as page:
            html = await page.text()
        async with client.post(f"{page.url}/pay") as paid:
            told = await paid.text()
        async with client.get(address.replace("100.00", "1.00")) as tampered:
            refused = await tampered.read()

    assert page.status == 200
    assert "¥100.00" in html
    assert "http-equiv" in told
    link = world.simulators["alipay"].phone_order("top_1").return_to
    returned = dict(parse_qsl(urlsplit(link).query))
    assert (returned["out_trade_no"], returned["total_amount"]) == ("top_1", "100.00")
    assert b"isv.invalid-signature" in refused


@pytest.mark.parametrize("peer", PEERS)
async def test_app_order_string_is_paid_on_the_phone(
    peer: str, world: Running, accounts: dict[str, Any]
) -> None:
    alipay = world.simulators["alipay"]
    biz = {**ORDER, "product_code": "QUICK_MSECURITY_PAY"}
    if peer == "alipay-community":
        biz.pop("product_code")
    (signed,) = await call(peer, accounts["alipay"], ("app", "app", biz))

    order_id = alipay.scan(signed)

    assert alipay.scan(signed.replace("100.00", "1.00")) is None
    assert order_id is not None
    assert alipay.pay(order_id).status == "paid"


@pytest.mark.parametrize("peer", PEERS)
async def test_bill_of_the_day_is_a_zip_of_gbk(
    peer: str, world: Running, accounts: dict[str, Any]
) -> None:
    alipay = world.simulators["alipay"]
    await call(peer, accounts["alipay"], ("execute", "precreate", ORDER))
    alipay.pay("top_1")
    day = alipay.clock.beijing().strftime("%Y-%m-%d")
    too_early, _ = await call(
        peer,
        accounts["alipay"],
        ("execute", "bill", {"bill_type": "trade", "bill_date": day}),
        ("execute", "refund", refund("30.00", "r1")),
    )
    alipay.change_bill({"is_ready": True})

    (told,) = await call(
        peer, accounts["alipay"], ("execute", "bill", {"bill_type": "trade", "bill_date": day})
    )
    async with aiohttp.ClientSession() as client:
        async with client.get(told["bill_download_url"]) as answer:
            packed = await answer.read()
        alipay.clock.offset_seconds += 31
        async with client.get(told["bill_download_url"]) as expired:
            await expired.read()

    archive = zipfile.ZipFile(io.BytesIO(packed), metadata_encoding="gbk")
    names = archive.namelist()
    detail = archive.read(names[0]).decode("gbk")
    assert too_early["sub_code"] == "BILL_NOT_EXIST"
    assert names[0].endswith("_业务明细.csv")
    assert names[1].endswith("_业务明细(汇总).csv")
    assert "#交易合计：1笔，商家实收共100.00元" in detail
    assert "#退款合计：1笔，商家实收退款共-30.00元" in detail
    assert expired.status == 403
