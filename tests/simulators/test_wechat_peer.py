"""`wechatpayv3` against the simulator, with the public key and with platform certificates."""

import asyncio
import gzip
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any, cast

import aiohttp
import pytest
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.core import Core

from simulators.common.faults import Fault, FaultKind, Rule
from simulators.running import Running
from simulators.wechat.simulator import Wechat
from tests.simulators.caller import authorization
from tests.simulators.conftest import Merchant

MODES = ("public_key", "certificates")
MakePeer = Callable[..., Any]


@pytest.fixture
def make_peer(
    accounts: dict[str, Any], shop: Merchant, monkeypatch: pytest.MonkeyPatch
) -> MakePeer:
    """The SDK in one of its two modes; its fixed address is turned to the simulator."""
    account = accounts["wechat"]

    def fetch_certificates(core: Any) -> None:
        core._gate_way = account["base_url"]
        core._update_certificates()

    monkeypatch.setattr(Core, "_init_certificates", fetch_certificates)

    def make(mode: str, **changed: Any) -> Any:
        known = account | changed
        keys = {}
        if mode == "public_key":
            keys = {"public_key": known["public_key"], "public_key_id": known["public_key_id"]}
        peer = WeChatPay(
            wechatpay_type=WeChatPayType.NATIVE,
            mchid=known["mchid"],
            private_key=known["merchant_private_key"],
            cert_serial_no=known["merchant_serial_no"],
            apiv3_key=known["apiv3_key"],
            appid=known["appid"],
            notify_url=shop.server.url + "/notify",
            **keys,
        )
        peer._core._gate_way = known["base_url"]
        return peer

    return make


async def ask(call: Callable[..., Any], **arguments: Any) -> tuple[int, Any]:
    """Run one blocking call of the SDK beside the loop that serves it."""
    status, body = await asyncio.to_thread(call, **arguments)
    return status, json.loads(body) if isinstance(body, str) and body else body


def order(number: str, total: int = 10000) -> dict[str, Any]:
    return {"description": "Top-up 充值", "out_trade_no": number, "amount": {"total": total}}


@pytest.mark.parametrize("mode", MODES)
async def test_order_is_made_paid_refunded_and_told(
    mode: str, make_peer: MakePeer, world: Running, shop: Merchant
) -> None:
    wechat = world.simulators["wechat"]
    peer = await asyncio.to_thread(make_peer, mode)

    made = await ask(peer.pay, **order("order_1"))
    unpaid = await ask(peer.query, out_trade_no="order_1")
    order_id = wechat.scan(made[1]["code_url"])
    assert order_id is not None
    wechat.pay(order_id)
    notice = (await shop.wait_for(1))[0]
    paid = await ask(peer.query, out_trade_no="order_1")
    by_id = await ask(peer.query, transaction_id=paid[1]["transaction_id"])
    back = await ask(
        peer.refund,
        out_trade_no="order_1",
        out_refund_no="back_1",
        amount={"refund": 3000, "total": 10000, "currency": "CNY"},
        notify_url=shop.server.url + "/refund",
    )
    refund_notice = (await shop.wait_for(2))[1]
    asked = await ask(peer.query_refund, out_refund_no="back_1")
    over = await ask(
        peer.refund,
        out_trade_no="order_1",
        out_refund_no="back_2",
        amount={"refund": 7001, "total": 10000, "currency": "CNY"},
    )

    assert (made[0], unpaid[1]["trade_state"]) == (200, "NOTPAY")
    assert paid[1]["trade_state"] == "SUCCESS"
    assert paid[1]["amount"]["total"] == 10000
    assert by_id[1] == paid[1]
    told = peer.callback(notice.headers, notice.body.decode())
    assert told["event_type"] == "TRANSACTION.SUCCESS"
    assert told["resource"] == paid[1]
    assert back[1]["status"] == "PROCESSING"
    assert asked[1]["status"] == "SUCCESS"
    told = peer.callback(refund_notice.headers, refund_notice.body.decode())
    assert told["resource"]["refund_status"] == "SUCCESS"
    assert (over[0], over[1]["code"]) == (400, "REFUND_FEE_MISMATCH")


@pytest.mark.parametrize("mode", MODES)
async def test_close_answers_a_signed_204_and_the_number_is_used_up(
    mode: str, make_peer: MakePeer, world: Running
) -> None:
    peer = await asyncio.to_thread(make_peer, mode)
    await ask(peer.pay, **order("order_1"))

    closed = await ask(peer.close, out_trade_no="order_1")
    again = await ask(peer.close, out_trade_no="order_1")
    state = await ask(peer.query, out_trade_no="order_1")
    reused = await ask(peer.pay, **order("order_1"))

    assert (closed[0], again[0]) == (204, 204)
    assert state[1]["trade_state"] == "CLOSED"
    assert reused[1]["code"] == "ORDER_CLOSED"
    assert world.simulators["wechat"].phone_order("order_1").status == "closed"


async def test_same_order_again_gives_a_fresh_link_and_another_is_refused(
    make_peer: MakePeer, world: Running
) -> None:
    peer = make_peer("public_key")

    first = await ask(peer.pay, **order("order_1"))
    second = await ask(peer.pay, **order("order_1"))
    other = await ask(peer.pay, **order("order_1", 9999))

    assert first[1]["code_url"] != second[1]["code_url"]
    assert (other[0], other[1]["code"]) == (403, "OUT_TRADE_NO_USED")
    scan = world.simulators["wechat"].scan
    assert scan(first[1]["code_url"]) == scan(second[1]["code_url"])


async def test_h5_jsapi_and_app_orders_lead_to_the_phone(
    make_peer: MakePeer, world: Running, accounts: dict[str, Any]
) -> None:
    wechat = world.simulators["wechat"]
    peer = make_peer("public_key")
    scene = {"payer_client_ip": "127.0.0.1", "h5_info": {"type": "Wap"}}

    h5 = await ask(peer.pay, **order("order_h5"), scene_info=scene, pay_type=WeChatPayType.H5)
    payer = {"openid": "oLi"}
    jsapi = await ask(peer.pay, **order("order_js"), payer=payer, pay_type=WeChatPayType.JSAPI)
    app = await ask(peer.pay, **order("order_app"), pay_type=WeChatPayType.APP)
    async with (
        aiohttp.ClientSession() as client,
        client.get(h5[1]["h5_url"] + "&redirect_url=http%3A%2F%2F127.0.0.1%2Fback") as page,
    ):
        html = await page.text()
    appid = accounts["wechat"]["appid"]
    package = f"prepay_id={jsapi[1]['prepay_id']}"
    signature = peer.sign([appid, "1554208460", "nonce", package])
    call_up = {
        "appId": appid,
        "timeStamp": "1554208460",
        "nonceStr": "nonce",
        "package": package,
        "signType": "RSA",
        "paySign": signature,
    }

    assert "¥100.00" in html
    assert wechat.phone_order("order_h5").return_to == "http://127.0.0.1/back"
    assert wechat.scan(json.dumps(call_up)) == wechat.phone_order("order_js").id
    assert wechat.scan(json.dumps(call_up | {"nonceStr": "other"})) is None
    assert wechat.scan(app[1]["prepay_id"]) == wechat.phone_order("order_app").id


@pytest.mark.parametrize("mode", MODES)
async def test_changed_notice_is_refused_by_the_peer(
    mode: str, make_peer: MakePeer, world: Running, shop: Merchant
) -> None:
    peer = await asyncio.to_thread(make_peer, mode)
    await ask(peer.pay, **order("order_1"))
    world.simulators["wechat"].pay("order_1")
    notice = (await shop.wait_for(1))[0]

    body = notice.body.decode()
    changed = body.replace("EV-2", "EV-3")
    stale = notice.headers | {"wechatpay-timestamp": "1554208460"}

    assert peer.callback(notice.headers, body) is not None
    assert peer.callback(notice.headers, changed) is None
    assert peer.callback(stale, body) is None


@pytest.mark.parametrize("kind", ["bad_signature", "no_signature", "unknown_serial"])
async def test_wrongly_signed_and_unsigned_answers_are_refused_by_the_peer(
    kind: str, make_peer: MakePeer, world: Running
) -> None:
    peer = make_peer("public_key")
    url = f"{world.simulators['wechat'].server.url}/_control/rules"
    rule = {"operation": "create", "fault": {"kind": kind}, "next": 1}
    async with aiohttp.ClientSession() as client, client.post(url, json=rule) as answer:
        assert answer.status == 200

    with pytest.raises(Exception, match=r"verify|support this algorithm"):
        await ask(peer.pay, **order("order_1"))

    assert (await ask(peer.pay, **order("order_1")))[0] == 200


async def test_wrong_merchant_key_and_wrong_serial_are_refused(
    make_peer: MakePeer, world: Running
) -> None:
    other = world.keys.merchants[1].wechat

    by_key = make_peer("public_key", merchant_private_key=other.merchant.private)
    by_serial = make_peer("public_key", merchant_serial_no=other.merchant_serial_no)

    for peer in (by_key, by_serial):
        status, told = await ask(peer.pay, **order("order_1"))
        assert (status, told["code"]) == (401, "SIGN_ERROR")


async def test_h5_link_dies_after_five_minutes_and_the_order_lives_on(
    make_peer: MakePeer, world: Running
) -> None:
    wechat = world.simulators["wechat"]
    peer = make_peer("public_key")
    scene = {"payer_client_ip": "127.0.0.1", "h5_info": {"type": "Wap"}}
    asked = order("order_h5") | {"scene_info": scene, "pay_type": WeChatPayType.H5}

    _, first = await ask(peer.pay, **asked)
    wechat.clock.offset_seconds = 301
    async with aiohttp.ClientSession() as client, client.get(first["h5_url"]) as page:
        expired = await page.text()

    assert "已过期" in expired
    assert wechat.phone_order("order_h5").status == "waiting"


async def test_certificates_are_refused_to_a_merchant_with_only_a_public_key(
    make_peer: MakePeer, world: Running
) -> None:
    rule = Rule("certificates", Fault(FaultKind.REFUSE), next=1)
    world.simulators["wechat"].plan.add(rule)

    peer = await asyncio.to_thread(make_peer, "certificates")

    assert peer._core._certificates == []


@pytest.mark.parametrize("tar", ["GZIP", ""])
async def test_trade_bill_is_fetched_and_matches_its_hash(
    tar: str, make_peer: MakePeer, world: Running
) -> None:
    wechat = world.simulators["wechat"]
    peer = make_peer("public_key")
    await ask(peer.pay, **order("order_1"))
    wechat.pay("order_1")
    amount = {"refund": 3000, "total": 10000, "currency": "CNY"}
    await ask(peer.refund, out_trade_no="order_1", out_refund_no="back_1", amount=amount)
    wechat.finish_refund("back_1", "success")
    day = wechat.clock.beijing().strftime("%Y-%m-%d")

    today = await ask(peer.trade_bill, bill_date=day, tar_type=tar)
    wechat.change_bill({"is_ready": True})
    told = await ask(peer.trade_bill, bill_date=day, tar_type=tar)
    _, packed = await asyncio.to_thread(peer.download_bill, told[1]["download_url"])
    flow = await ask(peer.fundflow_bill, bill_date=day, tar_type=tar)

    plain = gzip.decompress(packed) if tar else packed
    lines = plain.decode("utf-8-sig").splitlines()
    assert today[1]["code"] == "INVALID_REQUEST"
    assert hashlib.sha1(plain).hexdigest() == told[1]["hash_value"]
    assert len(lines[0].split(",")) == 27
    assert len(lines[1].split(",`")) == 27
    assert ",`100.00," in lines[1]
    assert lines[-1] == "`2,`100.00,`30.00,`0.00,`0.42000,`100.00,`30.00"
    assert flow[0] == 200


async def test_stale_clock_tampered_body_and_missing_headers_are_refused(
    world: Running, accounts: dict[str, Any]
) -> None:
    wechat = cast("Wechat", world.simulators["wechat"])
    account = accounts["wechat"]
    path = "/v3/pay/transactions/native"
    now = int(time.time())  # noqa: TID251
    body = b"{}"
    good = authorization(account, "POST", path, body, now)
    async with aiohttp.ClientSession() as client:
        stale = authorization(account, "POST", path, body, now - 400)
        cases = [
            (path, body, good, 400, "PARAM_ERROR"),
            (path, b"{ }", good, 401, "SIGN_ERROR"),
            (path, body, stale, 401, "SIGN_ERROR"),
            (path, body, "Bearer x", 401, "SIGN_ERROR"),
        ]
        for target, sent, header, status, code in cases:
            headers = {"Authorization": header, "Content-Type": "application/json"}
            async with client.post(
                wechat.server.url + target, data=sent, headers=headers
            ) as answer:
                told = await answer.json()
            assert (answer.status, told["code"]) == (status, code)
            assert "Wechatpay-Signature" not in answer.headers
        async with client.get(wechat.server.url + path) as answer:
            assert (answer.status, await answer.read()) == (405, b"")
        async with client.get(wechat.server.url + "/v3/nothing") as answer:
            assert (answer.status, await answer.read()) == (404, b"")
