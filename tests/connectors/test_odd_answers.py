"""Whatever JSON a provider sends, we neither stumble nor take it for money that moved."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from tillgate.connectors.alipay import wire as alipay
from tillgate.connectors.port import (
    AttemptNotice,
    BadNotice,
    Charge,
    Paid,
    Refunded,
    RefundNotice,
    RefundOrder,
)
from tillgate.connectors.stripe import wire as stripe
from tillgate.connectors.wechat import notices, presenting
from tillgate.connectors.wechat import wire as wechat
from tillgate.connectors.wechat.config import WechatAccount
from tillgate.kernel.money import CNY, USD, Money

KEY: Final = generate_private_key(65537, 2048)
NOW: Final = datetime(2026, 11, 22, tzinfo=UTC)
ACCOUNT: Final = WechatAccount(
    livemode=False,
    base_url="http://h",
    appid="wx1",
    mchid="1900",
    serial_no="AB",
    private_key=KEY,
    apiv3_key=b"k" * 32,
    public_key_id=None,
    public_key=None,
)
ORDER: Final = RefundOrder(
    "re_1", "att_1", "pi_1", Money(500, CNY), Money(1230, CNY), None, "https://t.cn/r"
)

#: Words that mean something somewhere, so that chance meets the branches.
_WORDS: Final = st.sampled_from(
    re.findall(
        r"\S+",
        """10000 40004 20000 att_1 re_1 Y N TRADE_SUCCESS TRADE_CLOSED WAIT_BUYER_PAY 12.30 -1 1e3
        ACQ.TRADE_NOT_EXIST ACQ.TRADE_HAS_SUCCESS REFUND_SUCCESS SUCCESS NOTPAY CLOSED PROCESSING
        ABNORMAL CNY USD usd 1900 wx1 payment_intent refund succeeded requires_action pending
        failed canceled card_error card_declined invalid_request_error resource_missing close""",
    )
)
_KEYS: Final = st.sampled_from(
    re.findall(
        r"\S+",
        """code sub_code msg sub_msg out_trade_no trade_no trade_status total_amount send_pay_date
        seller_id buyer_logon_id fund_change refund_status refund_amount out_request_no action
        retry_flag qr_code mchid appid transaction_id trade_state amount total refund currency
        success_time bank_type status refund_id out_refund_no code_url h5_url prepay_id object id
        livemode metadata attempt amount_received amount_capturable latest_charge created card
        payment_method_details brand last4 next_action redirect_to_url url last_payment_error
        type decline_code payment_intent param data failure_reason""",
    )
)
_VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**15, max_value=10**40)
    | st.floats()
    | st.text(max_size=4)
    | _WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=12,
)
BODIES: Final = st.dictionaries(_KEYS, _VALUES, max_size=14)


@settings(max_examples=150, deadline=None)
@given(BODIES)
def test_alipay(node: dict[str, Any]) -> None:
    charge = Charge("att_1", Money(1, CNY), "t", "qr", "n")
    alipay.precreate_outcome(node, charge)
    alipay.close_outcome(node, "att_1")
    alipay.cancel_outcome(node, "att_1")
    alipay.is_already_decided(node)
    alipay.bill_unavailable(node)
    alipay.refund_outcome(node, ORDER)
    found = alipay.query_outcome(node, "att_1")
    refunded = alipay.refund_query_outcome(node, ORDER)

    if isinstance(found, Paid):
        assert node["out_trade_no"] == "att_1"
        assert node["trade_status"] in ("TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED")
        assert found.amount == alipay.yuan(node["total_amount"])
    if isinstance(refunded, Refunded):
        assert node["refund_status"] == "REFUND_SUCCESS"


@settings(max_examples=150, deadline=None)
@given(BODIES)
def test_wechat_pay(body: dict[str, Any]) -> None:
    for presentation in ("qr", "h5", "jsapi", "app"):
        charge = Charge("att_1", Money(1, CNY), "t", presentation, "n", openid="o")
        presenting.present(ACCOUNT, body, charge, NOW)
    refusal = wechat.refusal_of(400, body)
    if refusal is not None:
        assert not isinstance(wechat.charge_refusal(refusal), Paid)
        assert not isinstance(wechat.refund_refusal(refusal), Refunded)
    found = wechat.trade_outcome(ACCOUNT, body, "att_1")
    refunded = wechat.refund_outcome(body, ORDER)

    if isinstance(found, Paid):
        assert body["trade_state"] in ("SUCCESS", "REFUND")
        assert found.amount.minor == body["amount"]["total"]
    if isinstance(refunded, Refunded):
        assert refunded.amount == ORDER.amount


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80) | st.sampled_from([b"{}", b'{"event_type":"REFUND.SUCCESS"}']))
def test_wechat_pay_notices(body: bytes) -> None:
    try:
        notice = notices.read(ACCOUNT, body)
    except BadNotice:
        return
    assert not isinstance(notice, AttemptNotice | RefundNotice), "nothing here is sealed"


STRIPE = stripe.Ours(livemode=False, account="acct_1", told_by="acct_1")


@settings(max_examples=150, deadline=None)
@given(BODIES, st.sampled_from([400, 401, 402, 404, 409]))
def test_stripe(body: dict[str, Any], status: int) -> None:
    stripe.notice_of(body, STRIPE)
    stripe.notice_of({"type": "payment_intent.x", "data": {"object": body}}, STRIPE)
    stripe.rows(body)
    stripe.method_answer(status, body)
    stripe.refund_refusal(status, body)
    stripe.refund_of(body, Money(500, USD))
    refused = stripe.refusal(status, body, "att_1", STRIPE)
    found = stripe.intent_outcome(body, "att_1", STRIPE)

    if isinstance(found, Paid):
        assert body["status"] == "succeeded"
        assert body["metadata"]["attempt"] == "att_1"
        assert found.amount.minor == body["amount_received"]
    if isinstance(refused, Paid):
        assert body["payment_intent"]["status"] == "succeeded"
