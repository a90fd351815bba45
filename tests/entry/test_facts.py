"""What facts leave out: nobody who reads them can tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import NODEFAULT

from tillgate.entry.subscriptions import CATALOGUE
from tillgate.payments.model import Attempt, Charge, Payment, Refund, RefundView
from tillgate.topups.model import TopUp, TopUpView
from tillgate.wallets.events import WalletFact
from tillgate.wallets.model import Limits, Transaction, WalletHold, WalletView

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
PAYMENT = Payment(
    merchant_id=3, id="pi_1", amount=1000, currency="cny", status="requires_payment_method",
    method_types=["alipay"], client_secret="pi_1_secret_2", created_at=AT,
)  # fmt: skip
PAID = msgspec.structs.replace(
    PAYMENT, status="succeeded", amount_received=1000, latest_attempt="att_1", metadata={"a": ""},
    capture_method="manual", refund_policy="partial", sequence=4,
)  # fmt: skip
ATTEMPT = Attempt(
    merchant_id=3, id="att_1", payment_id="pi_1", provider_account_id="pa_1", provider="alipay",
    presentation="qr", amount=1000, currency="cny", status="paid", created_at=AT,
    amount_captured=1000, paid_at=AT,
)  # fmt: skip
REFUND = Refund(
    merchant_id=3, id="re_1", payment_id="pi_1", attempt_id="att_1", amount=200, currency="cny",
    status="pending", created_at=AT,
)  # fmt: skip
TOP_UP = TopUp(
    merchant_id=3, id="top_1", wallet_id="wal_1", customer_id="cus_1", payment_id="pi_1",
    amount=1000, currency="cny", created_at=AT,
)  # fmt: skip
WALLET = WalletView(
    merchant_id=3, id="wal_1", customer_id="cus_1", currency="cny", status="open", balance=1000,
    principal=1000, bonus=0, held=0, available=1000, limits=Limits(), description=None, metadata={},
    sequence=2, created_at=AT,
)  # fmt: skip
LIMITED = msgspec.structs.replace(WALLET, limits=Limits(daily=0), description="", held=1)
MOVED = Transaction(
    merchant_id=3, id="wtx_1", wallet_id="wal_1", journal=7, type="top_up", amount=1000,
    principal_amount=1000, bonus_amount=0, balance_after=1000, currency="cny", cause="payment:att_1",
    source=None, description=None, metadata={}, amount_refunded=0, created_at=AT,
)  # fmt: skip
HOLD = WalletHold(
    merchant_id=3, id="hold_1", wallet_id="wal_1", amount=5, principal_amount=5, bonus_amount=0,
    captured_amount=0, currency="cny", status="open", transaction_id=None, description=None,
    metadata={}, expires_at=None, created_at=AT,
)  # fmt: skip


def everything(thing: object) -> Any:
    """A Struct as plain values, with all that is left out when it is encoded."""
    if isinstance(thing, msgspec.Struct):
        return {name: everything(value) for name, value in msgspec.structs.asdict(thing).items()}
    return thing


@pytest.mark.parametrize(
    ("name", "thing"),
    [
        ("payment.created", PAYMENT),
        ("payment.succeeded", PAID),
        ("attempt.succeeded", Charge(ATTEMPT, PAID)),
        ("refund.created", RefundView(REFUND, PAID)),
        ("top_up.created", TopUpView(TOP_UP, PAYMENT)),
        ("top_up.succeeded", TopUpView(TOP_UP, PAID)),
        ("wallet.opened", WalletFact(WALLET)),
        ("wallet.credited", WalletFact(LIMITED, MOVED)),
        ("wallet.hold_created", WalletFact(LIMITED, hold=HOLD)),
    ],
)
def test_a_fact_that_leaves_out_what_is_as_by_default_reads_like_one_that_says_all(
    name: str, thing: msgspec.Struct
) -> None:
    short, long = msgspec.json.encode(thing), msgspec.json.encode(everything(thing))
    assert len(short) < len(long)
    assert msgspec.json.decode(short, type=type(thing)) == thing
    livemode = False
    show = CATALOGUE[name].show
    assert show(short, livemode) == show(long, livemode)


def test_defaults_are_what_they_were_when_facts_left_them_out() -> None:
    """Facts that are stored mean these. A new field may be added here; none may change."""
    nothing = dict.fromkeys(
        [
            "payment_method",
            "customer_id",
            "pay_into",
            "owed_account",
            "subject",
            "latest_attempt",
            "open_attempt",
            "next_action",
            "last_error",
            "return_url",
            "description",
            "receipt_email",
            "setup_future_usage",
            "statement_descriptor",
            "statement_descriptor_suffix",
            "shipping",
            "expires_at",
            "canceled_at",
            "cancellation_reason",
        ]
    )
    payment = {
        "capture_method": "automatic", "confirmation_method": "automatic", "method_options": {},
        "refund_policy": "block", "gifts": [], "amount_capturable": 0, "amount_received": 0,
        "amount_refunded": 0, "attempts": 0, "metadata": {}, "sequence": 1,
    }  # fmt: skip
    attempt = {
        "payment_method": None, "reference": None, "next_step": None, "error": None, "instrument": {},
        "amount_authorised": 0, "amount_to_capture": None, "amount_captured": 0, "amount_refunded": 0,
        "capture": True, "off_session": False, "return_url": None, "description": None,
        "client_ip": None, "openid": None, "closing": False, "expires_at": None, "look_up_at": None,
        "look_ups": 0, "sequence": 1, "paid_at": None,
    }  # fmt: skip
    refund = {
        "reason": None, "failure_reason": None, "reference": None, "take_back": [], "surplus": False,
        "metadata": {}, "look_up_at": None, "look_ups": 0, "sequence": 1,
    }  # fmt: skip
    assert defaults(Payment) == {**nothing, **payment}
    assert defaults(Attempt) == attempt
    assert defaults(Refund) == refund
    assert defaults(TopUp) == {"bonus_amount": 0, "metadata": {}, "sequence": 1}
    assert defaults(Limits) == {"single": None, "daily": None, "balance": None}
    assert defaults(WalletFact) == {"transaction": None, "hold": None}


def defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Fields that may be left out, and what they are then."""
    return {
        field.name: field.default if field.default is not NODEFAULT else field.default_factory()
        for field in msgspec.structs.fields(kind)
        if not field.required
    }
