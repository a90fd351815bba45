"""Alipay's rules on the wire: the gateway's checks, expiry, close, cancel, refunds, bills."""

import asyncio
import base64
import io
import json
import re
import zipfile
from datetime import datetime, timedelta, timezone
from typing import Any, cast
from urllib.parse import quote_plus, urlencode

import aiohttp
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from simulators.alipay.simulator import Alipay
from simulators.running import Running
from tests.simulators.conftest import Merchant

_NODE = re.compile(rb'^\{"(\w+)":(\{.*\}),"sign":"([^"]+)"\}$', re.DOTALL)


class Caller:
    """A merchant's own signing and checking, written here once more."""

    def __init__(self, account: dict[str, Any]) -> None:
        key = serialization.load_pem_private_key(account["app_private_key"].encode(), None)
        public = serialization.load_pem_public_key(account["alipay_public_key"].encode())
        assert isinstance(key, rsa.RSAPrivateKey)
        assert isinstance(public, rsa.RSAPublicKey)
        self._account, self._key, self._public = account, key, public

    def parameters(self, method: str, biz: dict[str, Any], **more: str) -> dict[str, str]:
        """A signed request."""
        beijing = datetime.now(timezone(timedelta(hours=8)))  # noqa: TID251
        made = {
            "app_id": self._account["app_id"],
            "method": f"alipay.{method}",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": beijing.strftime("%Y-%m-%d %H:%M:%S"),
            "version": "1.0",
            "biz_content": json.dumps(biz, ensure_ascii=False),
            **more,
        }
        content = "&".join(f"{k}={v}" for k, v in sorted(made.items()) if v)
        signed = self._key.sign(
            content.encode(made["charset"]), padding.PKCS1v15(), hashes.SHA256()
        )
        return made | {"sign": base64.b64encode(signed).decode()}

    async def ask(self, method: str, **biz: Any) -> dict[str, Any]:
        """One call; the answer's signature is checked over its exact bytes."""
        return await self.send(self.parameters(method, biz))

    async def send(self, parameters: dict[str, str]) -> dict[str, Any]:
        charset = parameters.get("charset", "utf-8")
        body = urlencode(parameters, encoding=charset, quote_via=quote_plus)
        headers = {"Content-Type": f"application/x-www-form-urlencoded;charset={charset}"}
        async with (
            aiohttp.ClientSession() as client,
            client.post(self._account["gateway_url"], data=body, headers=headers) as answer,
        ):
            raw = await answer.read()
        found = _NODE.match(raw)
        if found is None:
            return next(iter(json.loads(raw).values()))
        signature = base64.b64decode(found[3])
        self._public.verify(signature, found[2], padding.PKCS1v15(), hashes.SHA256())
        return json.loads(found[2].decode(charset))


@pytest.fixture
def caller(accounts: dict[str, Any]) -> Caller:
    return Caller(accounts["alipay"])


@pytest.fixture
def alipay(world: Running) -> Alipay:
    return cast("Alipay", world.simulators["alipay"])


def order(number: str = "top_1", amount: str = "100.00", **more: str) -> dict[str, str]:
    return {"out_trade_no": number, "total_amount": amount, "subject": "充值", **more}


async def test_checks_come_in_alipays_order(caller: Caller) -> None:
    good = caller.parameters("trade.query", {"out_trade_no": "none"})
    cases = [
        (good | {"app_id": ""}, "isv.missing-app-id"),
        (good | {"app_id": "2021000000000000", "sign": "x"}, "isv.invalid-app-id"),
        (good | {"sign": ""}, "isv.missing-signature"),
        (good | {"sign": good["sign"][:-4] + "AA=="}, "isv.invalid-signature"),
        (good | {"method": "alipay.trade.refund"}, "isv.invalid-signature"),
        (caller.parameters("no.such", {}), "isv.invalid-method"),
        (caller.parameters("trade.query", {}, timestamp="yesterday"), "isv.invalid-timestamp"),
        (good, "ACQ.TRADE_NOT_EXIST"),
    ]

    for parameters, sub_code in cases:
        assert (await caller.send(parameters))["sub_code"] == sub_code


async def test_gbk_request_is_verified_and_answered_in_gbk(caller: Caller, alipay: Alipay) -> None:
    told = await caller.send(caller.parameters("trade.precreate", order(), charset="gbk"))
    refused = await caller.send(caller.parameters("trade.close", {}, charset="gbk"))

    assert told["code"] == "10000"
    assert alipay.phone_order("top_1").subject == "充值"
    assert "不能同时为空" in refused["sub_msg"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"total_amount": "0.00"},
        {"total_amount": "1.001"},
        {"total_amount": "-1.00"},
        {"total_amount": "1e3"},
        {"subject": "a&b"},
        {"out_trade_no": "a-b"},
        {"timeout_express": "16d"},
        {"time_expire": "soon"},
    ],
)
async def test_order_with_a_wrong_field_is_refused(wrong: dict[str, str], caller: Caller) -> None:
    told = await caller.ask("trade.precreate", **(order() | wrong))

    assert (told["code"], told["sub_code"]) == ("40004", "ACQ.INVALID_PARAMETER")


async def test_order_expires_and_its_number_is_used_up(caller: Caller, alipay: Alipay) -> None:
    await caller.ask("trade.precreate", **order(timeout_express="5m"))
    alipay.open_order("top_1")
    changed = await caller.ask("trade.precreate", **order(amount="1.00"))
    alipay.clock.offset_seconds = 301

    state = await caller.ask("trade.query", out_trade_no="top_1")
    again = await caller.ask("trade.precreate", **order(timeout_express="5m"))

    assert changed["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    assert state["trade_status"] == "TRADE_CLOSED"
    assert again["sub_code"] == "ACQ.TRADE_HAS_CLOSE"


async def test_close_needs_an_opened_unpaid_trade_and_cancel_undoes_any(
    caller: Caller, alipay: Alipay
) -> None:
    for number in ("top_1", "top_2", "top_3"):
        await caller.ask("trade.precreate", **order(number))
    unopened = await caller.ask("trade.close", out_trade_no="top_1")
    alipay.open_order("top_1")
    closed = await caller.ask("trade.close", out_trade_no="top_1")
    alipay.pay("top_2")
    too_late = await caller.ask("trade.close", out_trade_no="top_2")

    refunded = await caller.ask("trade.cancel", out_trade_no="top_2")
    never_opened = await caller.ask("trade.cancel", out_trade_no="top_3")

    assert unopened["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert closed["code"] == "10000"
    assert too_late["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert (refunded["action"], never_opened.get("action")) == ("refund", None)
    assert alipay.phone_order("top_2").status == "refunded"
    assert alipay.phone_order("top_3").status == "closed"


async def test_refund_number_gives_money_back_once(caller: Caller, alipay: Alipay) -> None:
    await caller.ask("trade.precreate", **order())
    alipay.pay("top_1")

    async def refund(amount: str, number: str) -> dict[str, Any]:
        return await caller.ask(
            "trade.refund", out_trade_no="top_1", refund_amount=amount, out_request_no=number
        )

    results = [
        await refund("30.00", "r1"),
        await refund("30.00", "r1"),
        await refund("31.00", "r1"),
        await refund("30.00", "r2"),
        await refund("40.01", "r3"),
        await refund("40.00", "r3"),
    ]
    state = await caller.ask("trade.query", out_trade_no="top_1")
    unknown = await caller.ask(
        "trade.fastpay.refund.query", out_trade_no="top_1", out_request_no="r9"
    )

    shown = [(told.get("fund_change"), told.get("refund_fee")) for told in results]
    assert shown == [
        ("Y", "30.00"),
        ("N", "30.00"),
        (None, None),
        ("Y", "60.00"),
        (None, None),
        ("Y", "100.00"),
    ]
    assert results[2]["sub_code"] == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert results[4]["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    assert state["trade_status"] == "TRADE_CLOSED"
    assert (unknown["code"], unknown.get("refund_status")) == ("10000", None)


async def test_fifty_refunds_at_once_never_exceed_the_payment(
    caller: Caller, alipay: Alipay
) -> None:
    await caller.ask("trade.precreate", **order())
    alipay.pay("top_1")

    told = await asyncio.gather(
        *(
            caller.ask(
                "trade.refund", out_trade_no="top_1", refund_amount="3.00", out_request_no=f"r{i}"
            )
            for i in range(50)
        )
    )

    assert sum(each["code"] == "10000" for each in told) == 33
    assert alipay.books.orders[alipay.phone_order("top_1").id].refunded == 9900


async def test_refund_notice_carries_the_refund_and_failed_refund_none(
    caller: Caller, alipay: Alipay, shop: Merchant
) -> None:
    url = shop.server.url + "/notify"
    for number, amount in (("top_1", "100.00"), ("top_2", "40.17")):
        await caller.send(
            caller.parameters("trade.precreate", order(number, amount), notify_url=url)
        )
        alipay.pay(number)
    await shop.wait_for(2)

    first = await caller.ask(
        "trade.refund", out_trade_no="top_1", refund_amount="30.00", out_request_no="r1"
    )
    accepted = await caller.ask("trade.refund", out_trade_no="top_2", refund_amount="40.17")
    notices = await shop.wait_for(3)
    for _ in range(100):
        if alipay.phone_order("top_2").status == "paid" and not alipay.books.refunds_of(
            alipay.find("top_2")
        )[0].state.value.startswith("processing"):
            break
        await asyncio.sleep(0.01)
    asked = await caller.ask(
        "trade.fastpay.refund.query", out_trade_no="top_2", out_request_no="top_2"
    )

    told = notices[2].form()
    assert first["fund_change"] == "Y"
    assert (told["trade_status"], told["refund_fee"], told["out_biz_no"]) == (
        "TRADE_SUCCESS",
        "30.00",
        "r1",
    )
    assert (accepted["fund_change"], asked.get("refund_status")) == ("N", None)
    assert len(shop.notices) == 3
    assert alipay.find("top_2").refunded == 0


async def test_bill_rows_go_missing_extra_and_different(caller: Caller, alipay: Alipay) -> None:
    for number in ("top_1", "top_2", "top_3"):
        await caller.ask("trade.precreate", **order(number))
        alipay.pay(number)
    day = alipay.clock.beijing().strftime("%Y-%m-%d")
    alipay.change_bill(
        {
            "missing": ["top_1"],
            "different": {"top_2": 9999},
            "extra": [{"out_trade_no": "top_9", "amount": 500}],
            "is_ready": True,
        }
    )

    texts = {}
    for kind in ("trade", "signcustomer"):
        told = await caller.ask(
            "data.dataservice.bill.downloadurl.query", bill_type=kind, bill_date=day
        )
        async with (
            aiohttp.ClientSession() as client,
            client.get(told["bill_download_url"]) as answer,
        ):
            archive = zipfile.ZipFile(io.BytesIO(await answer.read()), metadata_encoding="gbk")
        texts[kind] = archive.read(archive.namelist()[0]).decode("gbk")

    rows = [line for line in texts["trade"].splitlines() if "\t" in line]
    amounts = {row.split(",")[1].strip(): row.split(",")[11] for row in rows}
    assert amounts == {"top_2": "99.99", "top_3": "100.00", "top_9": "5.00"}
    assert texts["signcustomer"].count("在线支付") == 3
    assert texts["signcustomer"].count("收费") == 3
