"""Alipay's words to ours and back: tables, no network."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from tillgate.connectors import rsa
from tillgate.connectors.alipay import signing, wire
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
    OtherNotice,
    Paid,
    Refunded,
    RefundFailed,
    RefundNotice,
    RefundOrder,
    RefundPending,
    ShowQr,
    Unknown,
    Waiting,
)
from tillgate.kernel.money import CNY, Money

NOW = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)
CHARGE = Charge(
    "att_1",
    Money(1230, CNY),
    "a/b=c&茶",
    "qr",
    "https://t.cn/n",
    expires_at=NOW + timedelta(hours=1),
)
ORDER = RefundOrder(
    "re_1", "att_1", "2026", Money(500, CNY), Money(1230, CNY), "cold tea", "https://t.cn/r"
)
PAID = {
    "code": "10000",
    "out_trade_no": "att_1",
    "trade_no": "2026112222001",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "12.30",
    "send_pay_date": "2026-11-23 00:31:05",
    "buyer_logon_id": "138****0000",
}
KEY = generate_private_key(65537, 2048)
OTHER_KEY = generate_private_key(65537, 2048)


def test_an_order_says_yuan_and_beijing_time_and_a_clean_subject() -> None:
    content = json.loads(wire.charge_content(CHARGE))

    assert content == {
        "out_trade_no": "att_1",
        "total_amount": "12.30",
        "subject": "a b c 茶",
        "product_code": "QR_CODE_OFFLINE",
        "time_expire": "2026-11-23 01:30:00",
    }


def test_a_refund_carries_its_own_number() -> None:
    assert json.loads(wire.refund_content(ORDER)) == {
        "out_trade_no": "att_1",
        "refund_amount": "5.00",
        "out_request_no": "re_1",
        "refund_reason": "cold tea",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {},
            Paid(
                "2026112222001",
                Money(1230, CNY),
                at=datetime(2026, 11, 22, 16, 31, 5, tzinfo=UTC),
                instrument={"type": "alipay", "buyer_logon_id": "138****0000"},
            ),
        ),
        ({"trade_status": "TRADE_CLOSED", "send_pay_date": None}, Closed()),
        (
            {"trade_status": "WAIT_BUYER_PAY"},
            Waiting(reference="2026112222001", amount=Money(1230, CNY)),
        ),
        ({"out_trade_no": "att_2"}, Unknown("the answer is about another order")),
        ({"total_amount": "12.301"}, Unknown("paid an unreadable amount", "2026112222001")),
        ({"total_amount": 12.3}, Unknown("paid an unreadable amount", "2026112222001")),
        ({"trade_no": None}, Unknown("a trade without its number")),
        (
            {"trade_status": "TRADE_ODD"},
            Unknown("unrecognised trade_status 'TRADE_ODD'", "2026112222001"),
        ),
        ({"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}, NotFound()),
        ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, Unknown("answered ACQ.SYSTEM_ERROR")),
        ({"code": "20000", "sub_code": "isp.unknow-error"}, Unknown("answered isp.unknow-error")),
        (
            {"code": "40005", "sub_code": "isv.app-call-limited"},
            Unknown("answered isv.app-call-limited", retry_after_seconds=5.0),
        ),
    ],
)
def test_a_query_is_read(change: dict[str, Any], expected: object) -> None:
    assert wire.query_outcome({**PAID, **change}, "att_1") == expected


@pytest.mark.parametrize("status", ["TRADE_FINISHED", "TRADE_CLOSED"])
def test_money_that_came_is_paid_though_it_is_final_or_all_given_back(status: str) -> None:
    outcome = wire.query_outcome({**PAID, "trade_status": status}, "att_1")

    assert isinstance(outcome, Paid)
    assert outcome.amount == Money(1230, CNY)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            {"code": "10000", "out_trade_no": "att_1", "qr_code": "https://qr/1"},
            Waiting(ShowQr("https://qr/1", CHARGE.expires_at)),
        ),
        (
            {"code": "10000", "out_trade_no": "att_2", "qr_code": "https://qr/1"},
            Unknown("the answer is about another order"),
        ),
        (
            {"code": "40004", "sub_code": "ACQ.ACCESS_FORBIDDEN", "sub_msg": "no"},
            Declined("processing_error", "no", provider_code="ACQ.ACCESS_FORBIDDEN"),
        ),
        (
            {"code": "40002", "sub_code": "isv.invalid-signature"},
            NotSent("refused unprocessed: isv.invalid-signature"),
        ),
        (
            {"code": "40004", "sub_code": "ACQ.TRADE_HAS_SUCCESS"},
            Unknown("answered ACQ.TRADE_HAS_SUCCESS"),
        ),
        (
            {"code": "40004", "sub_code": "ACQ.CONTEXT_INCONSISTENT"},
            Unknown("answered ACQ.CONTEXT_INCONSISTENT"),
        ),
        ({"code": "40004", "sub_code": "ACQ.NEVER_HEARD"}, Unknown("answered ACQ.NEVER_HEARD")),
    ],
)
def test_precreate_is_read(node: dict[str, Any], expected: object) -> None:
    assert wire.precreate_outcome(node, CHARGE) == expected


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            {"code": "10000", "out_trade_no": "att_1", "fund_change": "Y", "refund_fee": "9.99"},
            Refunded("re_1", Money(500, CNY)),
        ),
        ({"code": "10000", "out_trade_no": "att_1", "fund_change": "N"}, RefundPending("re_1")),
        (
            {"code": "40004", "sub_code": "ACQ.SELLER_BALANCE_NOT_ENOUGH", "sub_msg": "short"},
            RefundFailed("insufficient_funds", "short"),
        ),
        (
            {"code": "40004", "sub_code": "ACQ.DISCORDANT_REPEAT_REQUEST"},
            Unknown("answered ACQ.DISCORDANT_REPEAT_REQUEST"),
        ),
        ({"code": "20000"}, Unknown("answered 20000")),
    ],
)
def test_a_refund_is_read(node: dict[str, Any], expected: object) -> None:
    assert wire.refund_outcome(node, ORDER) == expected


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            {
                "code": "10000",
                "out_request_no": "re_1",
                "refund_status": "REFUND_SUCCESS",
                "refund_amount": "5.00",
            },
            Refunded("re_1", Money(500, CNY)),
        ),
        ({"code": "10000"}, NotFound()),
        ({"code": "10000", "out_request_no": "re_1"}, RefundPending("re_1")),
        (
            {"code": "10000", "out_request_no": "re_2"},
            Unknown("the answer is about another refund"),
        ),
    ],
)
def test_a_refund_query_is_read(node: dict[str, Any], expected: object) -> None:
    assert wire.refund_query_outcome(node, ORDER) == expected


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"code": "10000", "action": "close", "out_trade_no": "att_1"}, Closed()),
        ({"code": "10000", "action": "refund", "out_trade_no": "att_1"}, Closed()),
        (
            {"code": "10000", "action": "close", "out_trade_no": "att_1", "retry_flag": "Y"},
            Unknown("cancel asks to be repeated"),
        ),
        ({"code": "10000", "out_trade_no": "att_1"}, NotFound()),
    ],
)
def test_cancel_is_read(node: dict[str, Any], expected: object) -> None:
    assert wire.cancel_outcome(node, "att_1") == expected


def test_a_day_without_trades_is_told_from_a_bill_still_being_made() -> None:
    none = wire.bill_unavailable({"code": "40004", "sub_code": "NO_BILL_DATA"})
    busy = wire.bill_unavailable({"code": "40004", "sub_code": "SYSTEM_RATE_LIMIT"})

    assert none == BillUnavailable("NO_BILL_DATA", retry=False)
    assert busy == BillUnavailable("SYSTEM_RATE_LIMIT", retry=True)


NOTICE = {
    "notify_type": "trade_status_sync",
    "app_id": "2021",
    "seller_id": "2088",
    "out_trade_no": "att_1",
    "trade_no": "2026112222001",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "12.30",
    "gmt_payment": "2026-11-23 00:31:05",
}


def test_a_payment_notice_is_read() -> None:
    notice = wire.notice_of(NOTICE, "2021", "2088")

    assert isinstance(notice, AttemptNotice)
    assert notice.attempt_id == "att_1"
    assert isinstance(notice.outcome, Paid)
    assert (notice.outcome.amount, notice.outcome.account) == (Money(1230, CNY), "2088")


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_CLOSED"])
def test_a_notice_of_a_refund_is_never_a_payment(status: str) -> None:
    form = {**NOTICE, "trade_status": status, "refund_fee": "5.00", "out_biz_no": "re_1"}

    assert wire.notice_of(form, "2021", "2088") == RefundNotice("re_1", RefundPending("re_1"))
    assert wire.notice_of({**form, "out_biz_no": ""}, "2021", "2088") == OtherNotice("refund")


def test_a_refund_under_another_number_than_ours_tells_the_sum_of_all() -> None:
    form = {**NOTICE, "refund_fee": "5.00", "out_biz_no": "att_1"}
    told = Refunded("att_1", Money(500, CNY))

    assert wire.notice_of(form, "2021", "2088") == ForeignRefund(
        "att_1", told, "att_1", is_total=True
    )
    assert wire.notice_of({**form, "refund_fee": "?"}, "2021", "2088") == ForeignRefund(
        "att_1", Unknown("refunded an unreadable amount"), "att_1"
    )
    with pytest.raises(BadNotice):
        wire.notice_of({**form, "out_trade_no": ""}, "2021", "2088")


@pytest.mark.parametrize("change", [{"app_id": "2022"}, {"seller_id": "2089"}])
def test_a_notice_for_another_app_or_merchant_is_bad(change: dict[str, str]) -> None:
    with pytest.raises(BadNotice):
        wire.notice_of({**NOTICE, **change}, "2021", "2088")


@given(st.dictionaries(st.text("abc_", min_size=1), st.text()))
def test_a_form_is_quoted_as_everybody_quotes_it(params: dict[str, str]) -> None:
    assert signing.form_of(params) == urlencode(params)


@pytest.mark.parametrize(
    "text", ["2026-11-22", "2026-11-22 18:00", "2026-13-22 18:00:00", "", None]
)
def test_half_a_moment_is_none(text: str | None) -> None:
    assert wire.read_beijing(text) is None


def _signed_answer(node: str, signature_of: str | None = None) -> bytes:
    signature = rsa.sign(KEY, (signature_of or node).encode())
    return f'{{"alipay_trade_query_response": {node} ,"sign":"{signature}"}}'.encode()


def test_an_answer_is_believed_only_over_its_exact_characters() -> None:
    node = '{"code":"10000","qr_code":"https:\\/\\/qr\\/1","note":"}{ \\" 茶"}'
    method, key = "alipay.trade.query", KEY.public_key()

    assert signing.signed_node(key, method, _signed_answer(node)) == json.loads(node)
    for text in (
        _signed_answer(node.replace("\\/", "/"), node),
        _signed_answer(node, node + " "),
        _signed_answer(node)[:-40],
        _signed_answer(node).replace("茶".encode(), b"\xff"),
        _signed_answer("[1]"),
        f'{{"alipay_trade_query_response":{node}}}'.encode(),
        f'{{"alipay_trade_query_response":{node},"sign":7}}'.encode(),
        b'{"a":' * 5_000,
        b"<html></html>",
        b"[]",
        b"",
    ):
        assert signing.signed_node(key, method, text) is None
    assert signing.signed_node(OTHER_KEY.public_key(), method, _signed_answer(node)) is None
    assert signing.signed_node(key, "alipay.trade.refund", _signed_answer(node)) is None


def test_a_notice_signed_with_sign_type_included_is_not_genuine() -> None:
    rightly = dict(sorted(NOTICE.items()))
    text = "&".join(f"{name}={value}" for name, value in rightly.items())
    wrongly = "&".join(
        f"{name}={value}" for name, value in sorted({**NOTICE, "sign_type": "RSA2"}.items())
    )
    key = KEY.public_key()

    def form(signed: str) -> dict[str, str]:
        return {**NOTICE, "sign_type": "RSA2", "sign": rsa.sign(KEY, signed.encode())}

    assert signing.is_genuine_notice(key, form(text), "utf-8")
    assert not signing.is_genuine_notice(key, form(wrongly), "utf-8")
    assert not signing.is_genuine_notice(key, {**form(text), "total_amount": "1.00"}, "utf-8")
    assert not signing.is_genuine_notice(key, {**form(text), "sign_type": "RSA"}, "utf-8")


def test_a_notice_that_says_something_twice_is_bad() -> None:
    with pytest.raises(BadNotice):
        signing.read_form(b"out_trade_no=a&out_trade_no=b")
    assert signing.read_form(b"a=%B2%E8&charset=GBK") == ({"a": "茶", "charset": "GBK"}, "gbk")


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1),
        st.text(st.characters(codec="gbk"), min_size=1),
    ),
    st.sampled_from(["utf-8", "gbk"]),
    st.sampled_from(["", "=/:_ \n"]),
)
def test_every_text_comes_back_from_a_form(
    texts: dict[str, str], charset: str, unquoted: str
) -> None:
    said = texts | {"charset": charset, "sum": "1+1=2 %3D\r\n=\n_.", "sign": "a+/=="}
    body = urlencode(said, encoding=charset, safe=unquoted).encode()
    assert signing.read_form(body) == (said, charset)


@pytest.mark.parametrize(
    "text", [b"a=50%", b"a=%zz", b"a=%5", b"a=%%41", b"a=1%\r\n&b=2", b"a=\xff"]
)
def test_what_is_no_form_is_a_bad_notice(text: bytes) -> None:
    with pytest.raises(BadNotice):
        signing.read_form(text)
