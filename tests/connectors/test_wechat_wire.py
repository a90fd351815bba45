"""WeChat Pay's words to ours and back: tables, and its SDK as a peer; no network."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from wechatpayv3.utils import aes_decrypt, rsa_sign, rsa_verify

from tillgate.connectors import rsa
from tillgate.connectors.port import (
    AttemptNotice,
    BadNotice,
    BillUnavailable,
    Charge,
    Closed,
    Declined,
    ForeignRefund,
    NotFound,
    NotSent,
    OpenApp,
    OtherNotice,
    Paid,
    Redirect,
    Refunded,
    RefundFailed,
    RefundNotice,
    RefundOrder,
    RefundPending,
    ShowQr,
    Unknown,
    Waiting,
)
from tillgate.connectors.wechat import notices, presenting, signing, wire
from tillgate.connectors.wechat.config import WechatAccount
from tillgate.kernel.clock import unix
from tillgate.kernel.money import CNY, Money

NOW = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)
KEY = generate_private_key(65537, 2048)
ACCOUNT = WechatAccount(
    livemode=False,
    base_url="http://h",
    appid="wx1",
    mchid="1900",
    serial_no="AB12",
    private_key=KEY,
    apiv3_key=b"k" * 32,
    public_key_id="PUB_KEY_ID_1",
    public_key=KEY.public_key(),
)
CHARGE = Charge(
    "att_1", Money(1230, CNY), "茶", "qr", "https://t.cn/n", expires_at=NOW + timedelta(minutes=30)
)
ORDER = RefundOrder(
    "re_1", "att_1", "4200", Money(500, CNY), Money(1230, CNY), None, "https://t.cn/r"
)
TRADE: dict[str, Any] = {
    "appid": "wx1",
    "mchid": "1900",
    "out_trade_no": "att_1",
    "transaction_id": "4200001",
    "trade_state": "SUCCESS",
    "success_time": "2026-11-23T00:31:05+08:00",
    "bank_type": "CMC",
    "amount": {"total": 1230, "payer_total": 1200, "currency": "CNY"},
}


def test_an_order_says_fen_and_beijing_time() -> None:
    assert json.loads(wire.charge_body(ACCOUNT, CHARGE)) == {
        "appid": "wx1",
        "mchid": "1900",
        "description": "茶",
        "out_trade_no": "att_1",
        "notify_url": "https://t.cn/n",
        "amount": {"total": 1230, "currency": "CNY"},
        "time_expire": "2026-11-23T01:00:00+08:00",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {},
            Paid(
                "4200001",
                Money(1230, CNY),
                at=datetime(2026, 11, 22, 16, 31, 5, tzinfo=UTC),
                account="1900",
                instrument={"type": "wechat_pay", "bank_type": "CMC"},
            ),
        ),
        (
            {"trade_state": "NOTPAY", "transaction_id": None},
            Waiting(amount=Money(1230, CNY), account="1900"),
        ),
        ({"trade_state": "CLOSED"}, Closed()),
        ({"trade_state": "REVOKED"}, Closed()),
        ({"out_trade_no": "att_2"}, Unknown("the answer is about another order")),
        ({"mchid": "1901"}, Unknown("the answer is about another order")),
        ({"appid": "wx2"}, Unknown("the answer is about another order")),
        (
            {"amount": {"total": 1230, "currency": "USD"}},
            Unknown("paid without a number or a readable amount", "4200001"),
        ),
        (
            {"amount": {"total": 12.3}},
            Unknown("paid without a number or a readable amount", "4200001"),
        ),
        ({"trade_state": "ODD"}, Unknown("unrecognised trade_state 'ODD'", "4200001")),
    ],
)
def test_an_order_is_read(change: dict[str, Any], expected: object) -> None:
    assert wire.trade_outcome(ACCOUNT, {**TRADE, **change}, "att_1") == expected


def test_an_order_with_a_refund_is_still_paid() -> None:
    outcome = wire.trade_outcome(ACCOUNT, {**TRADE, "trade_state": "REFUND"}, "att_1")

    assert isinstance(outcome, Paid)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "SIGN_ERROR", NotSent("refused unprocessed: SIGN_ERROR")),
        (403, "NO_AUTH", NotSent("refused unprocessed: NO_AUTH")),
        (400, "PARAM_ERROR", Declined("processing_error", "m", provider_code="PARAM_ERROR")),
        (403, "RULE_LIMIT", Declined("payment_method_provider_decline", "m", None, "RULE_LIMIT")),
        (403, "OUT_TRADE_NO_USED", Unknown("answered HTTP 403 OUT_TRADE_NO_USED")),
        (400, "INVALID_REQUEST", Unknown("answered HTTP 400 INVALID_REQUEST")),
        (403, "TRADE_ERROR", Unknown("answered HTTP 403 TRADE_ERROR")),
    ],
)
def test_a_refused_order_is_read(status: int, code: str, expected: object) -> None:
    assert wire.charge_refusal(wire.Refusal(status, code, "m")) == expected


def test_only_a_known_code_says_not_found() -> None:
    assert wire.not_found(wire.Refusal(404, "ORDER_NOT_EXIST", "m")) == NotFound()
    assert wire.not_found(wire.Refusal(404, "MCH_NOT_EXISTS", "m")) == Unknown(
        "answered HTTP 404 MCH_NOT_EXISTS"
    )


def test_ways_to_pay() -> None:
    def present(presentation: Any, answer: dict[str, str]) -> Any:
        charge = Charge(
            "att_1", Money(1, CNY), "茶", presentation, "n", "https://t.cn/b?a=1", openid="o1"
        )
        return presenting.present(ACCOUNT, answer, charge, NOW)

    assert present("qr", {"code_url": "weixin://1"}) == Waiting(
        ShowQr("weixin://1", NOW + timedelta(hours=2))
    )
    assert present("h5", {"h5_url": "https://wx/?p=1"}) == Waiting(
        Redirect(
            "https://wx/?p=1&redirect_url=https%3A%2F%2Ft.cn%2Fb%3Fa%3D1",
            NOW + timedelta(minutes=5),
        )
    )
    assert present("jsapi", {}) == Unknown("an order without a way to pay it")
    opened = present("jsapi", {"prepay_id": "wx201"}).step
    assert isinstance(opened, OpenApp)
    told = opened.parameters
    lines = f"wx1\n{told['timeStamp']}\n{told['nonceStr']}\nprepay_id=wx201\n"
    assert rsa.is_signed(KEY.public_key(), lines.encode(), told["paySign"])
    told = present("app", {"prepay_id": "wx201"}).step.parameters
    lines = f"wx1\n{told['timeStamp']}\n{told['nonceStr']}\nwx201\n"
    assert rsa.is_signed(KEY.public_key(), lines.encode(), told["sign"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"status": "SUCCESS"}, Refunded("5030", Money(500, CNY))),
        ({"status": "PROCESSING"}, RefundPending("5030")),
        (
            {"status": "CLOSED"},
            RefundFailed("declined", "WeChat Pay closed the refund.", "5030"),
        ),
        (
            {"status": "ABNORMAL"},
            RefundFailed(
                "expired_or_canceled_card",
                "The customer's account no longer takes refunds.",
                "5030",
            ),
        ),
        ({"out_refund_no": "re_2"}, Unknown("the answer is about another refund")),
        ({"amount": {"refund": 499}}, Unknown("the refund is of another amount")),
    ],
)
def test_a_refund_is_read(change: dict[str, Any], expected: object) -> None:
    refund = {"refund_id": "5030", "out_refund_no": "re_1", "amount": {"refund": 500}, **change}

    assert wire.refund_outcome(refund, ORDER) == expected


def test_a_day_without_trades_is_told_from_a_bill_still_being_made() -> None:
    none = wire.bill_unavailable(wire.Refusal(400, "NO_STATEMENT_EXIST", "m"))
    busy = wire.bill_unavailable(wire.Refusal(400, "STATEMENT_CREATING", "m"))

    assert none == BillUnavailable("NO_STATEMENT_EXIST", retry=False)
    assert busy == BillUnavailable("STATEMENT_CREATING", retry=True)
    assert wire.bill_path(date(2026, 11, 22), "trade") == (
        "/v3/bill/tradebill?bill_date=2026-11-22&bill_type=ALL"
    )


def _sealed(resource: dict[str, Any], kind: str) -> dict[str, Any]:
    secret = AESGCM(b"k" * 32).encrypt(b"n" * 12, json.dumps(resource).encode(), kind.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(secret).decode(),
        "associated_data": kind,
        "nonce": "n" * 12,
    }


def _notice(event_type: str, sealed: dict[str, Any]) -> bytes:
    return json.dumps({"event_type": event_type, "resource": sealed}).encode()


def test_notices_are_unsealed_and_read() -> None:
    refund = {
        "mchid": "1900",
        "out_refund_no": "re_1",
        "refund_id": "5030",
        "refund_status": "SUCCESS",
        "amount": {"refund": 500, "total": 1230},
    }
    paid = notices.read(ACCOUNT, _notice("TRANSACTION.SUCCESS", _sealed(TRADE, "transaction")))

    assert isinstance(paid, AttemptNotice)
    assert isinstance(paid.outcome, Paid)
    assert notices.read(ACCOUNT, _notice("REFUND.SUCCESS", _sealed(refund, "refund"))) == (
        RefundNotice("re_1", Refunded("5030", Money(500, CNY)))
    )
    assert notices.read(ACCOUNT, b'{"event_type":"X"}') == OtherNotice("X")


def test_a_refund_under_another_number_than_ours_is_a_foreign_one() -> None:
    refund = {
        "mchid": "1900",
        "out_trade_no": "att_1",
        "out_refund_no": "BYHAND1",
        "refund_id": "5030",
        "refund_status": "SUCCESS",
        "amount": {"refund": 500, "total": 1230},
    }
    told = notices.read(ACCOUNT, _notice("REFUND.SUCCESS", _sealed(refund, "refund")))

    assert told == ForeignRefund("5030", Refunded("5030", Money(500, CNY)), "att_1")


def test_a_notice_that_cannot_be_opened_or_is_for_another_is_bad() -> None:
    good = _sealed(TRADE, "transaction")
    for sealed in (
        {**good, "associated_data": "refund"},
        {**good, "nonce": "m" * 12},
        {**good, "ciphertext": "AAAA"},
        {**good, "ciphertext": "é"},
        {**good, "algorithm": "NONE"},
        {},
        _sealed({**TRADE, "mchid": "1901"}, "transaction"),
        _sealed({**TRADE, "appid": "wx2"}, "transaction"),
    ):
        with pytest.raises(BadNotice):
            notices.read(ACCOUNT, _notice("TRANSACTION.SUCCESS", sealed))
    with pytest.raises(BadNotice):
        notices.read(ACCOUNT, b"<xml/>")


def test_its_sdk_verifies_what_we_sign_and_we_what_it_signs() -> None:
    body = wire.charge_body(ACCOUNT, CHARGE)
    header = signing.authorization(ACCOUNT, ("POST", "/v3/x?a=1", body), "nonce1", NOW)
    fields = dict(part.split("=", 1) for part in header.partition(" ")[2].split(","))
    signature = fields["signature"].strip('"')
    ours = f"POST\n/v3/x?a=1\n{unix(NOW)}\nnonce1\n{body.decode()}\n"
    theirs = rsa_sign(KEY, f"{unix(NOW)}\nnonce2\n{body.decode()}\n")
    headers = {
        "wechatpay-timestamp": str(unix(NOW)),
        "wechatpay-nonce": "nonce2",
        "wechatpay-signature": theirs,
    }

    assert header.startswith("WECHATPAY2-SHA256-RSA2048 mchid=")
    # The SDK's verifier takes time, nonce and body: ours has the method and path before them.
    stamp, nonce, rest = "POST", "/v3/x?a=1", ours.split("\n", 2)[2][:-1]
    assert rsa_verify(stamp, nonce, rest, signature, KEY.public_key())
    assert signing.is_genuine(KEY.public_key(), headers, body)
    assert not signing.is_genuine(KEY.public_key(), headers, body + b" ")
    probe = {**headers, "wechatpay-signature": "WECHATPAY/SIGNTEST/" + theirs}
    assert not signing.is_genuine(KEY.public_key(), probe, body)
    sealed = _sealed(TRADE, "transaction")
    opened = aes_decrypt(
        nonce=sealed["nonce"],
        ciphertext=sealed["ciphertext"],
        associated_data="transaction",
        apiv3_key="k" * 32,
    )
    assert signing.unsealed(b"k" * 32, sealed) == opened.encode()


@pytest.mark.parametrize(
    ("seconds", "fresh"), [(0, True), (300, True), (301, False), (-301, False)]
)
def test_a_signature_is_good_for_five_minutes(seconds: int, fresh: bool) -> None:  # noqa: FBT001
    headers = {"wechatpay-timestamp": str(unix(NOW))}

    assert signing.is_fresh(headers, NOW + timedelta(seconds=seconds)) is fresh
    assert not signing.is_fresh({"wechatpay-timestamp": "x"}, NOW)
