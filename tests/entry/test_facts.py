"""What facts leave out: nobody who reads them can tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

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
