"""Stripe's words to ours and back: tables, no network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from msgspec import structs

from tillgate.connectors.port import (
    AttemptNotice,
    BadNotice,
    CaptureRefused,
    Charge,
    Closed,
    Declined,
    ForeignRefund,
    NotSent,
    OtherNotice,
    Paid,
    Redirect,
    Refunded,
    RefundFailed,
    RefundNotice,
    RefundPending,
    Unknown,
    Waiting,
)
from tillgate.connectors.stripe import signing, wire
from tillgate.kernel.clock import from_unix, unix
from tillgate.kernel.money import JPY, KWD, USD, Currency, Money

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
INTENT: dict[str, Any] = {
    "object": "payment_intent",
    "id": "pi_1",
    "livemode": False,
    "amount": 2000,
    "amount_received": 2000,
    "amount_capturable": 0,
    "currency": "usd",
    "status": "succeeded",
    "metadata": {"attempt": "att_1"},
    "latest_charge": {
        "created": 1790000000,
        "payment_method_details": {"card": {"brand": "visa", "last4": "4242", "exp_month": 12}},
    },
}
CARD = {"brand": "visa", "last4": "4242", "exp_month": "12"}
REFUND: dict[str, Any] = {
    "object": "refund",
    "id": "re_9",
    "amount": 500,
    "currency": "usd",
    "status": "succeeded",
}
TEST = wire.Ours(livemode=False)
OURS = wire.Ours(livemode=False, account="acct_1")
PAID = Paid("pi_1", Money(2000, USD), at=from_unix(1790000000), instrument=CARD)


@pytest.mark.parametrize(("currency", "minor"), [(USD, "2000"), (JPY, "2000"), (KWD, "2000")])
def test_an_order_is_made_and_confirmed_at_once(currency: Currency, minor: str) -> None:
    charge = Charge(
        "att_1",
        Money(2000, currency),
        "tea",
        "card",
        "",
        "https://t.cn/back",
        payment_method="pm_card_visa",
        metadata={"shop": "teahouse", "attempt": "forged"},
    )

    assert wire.charge_form(charge, "acct_1") == {
        "amount": minor,
        "currency": currency.code,
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "payment_method_types[0]": "card",
        "capture_method": "automatic",
        "description": "tea",
        "expand[0]": "latest_charge",
        "expand[1]": "payment_method",
        "metadata[shop]": "teahouse",
        "metadata[attempt]": "att_1",
        "metadata[account]": "acct_1",
        "return_url": "https://t.cn/back",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, PAID),
        ({"amount_received": 1999}, Paid("pi_1", Money(1999, USD), at=PAID.at, instrument=CARD)),
        ({"status": "processing"}, Waiting(reference="pi_1", on="provider", instrument=CARD)),
        (
            {"status": "requires_capture", "amount_capturable": 2000},
            Waiting(reference="pi_1", on="capture", amount=Money(2000, USD), instrument=CARD),
        ),
        (
            {
                "status": "requires_action",
                "latest_charge": None,
                "next_action": {"redirect_to_url": {"url": "https://3ds"}},
            },
            Waiting(Redirect("https://3ds"), reference="pi_1"),
        ),
        (
            {
                "status": "requires_payment_method",
                "latest_charge": None,
                "last_payment_error": {
                    "code": "card_declined",
                    "decline_code": "lost_card",
                    "message": "No.",
                },
            },
            Declined("card_declined", "No.", "lost_card", "card_declined", "pi_1"),
        ),
        (
            {"status": "requires_payment_method"},
            Unknown("unrecognised status 'requires_payment_method'", "pi_1"),
        ),
        ({"status": "canceled"}, Closed()),
        ({"metadata": {"attempt": "att_2"}}, Unknown("the answer is about another order")),
        ({"object": "charge"}, Unknown("the answer is about another order")),
        ({"livemode": True}, Unknown("the answer is of another mode")),
        ({"amount_received": "2000"}, Unknown("paid an unreadable amount", "pi_1")),
        ({"currency": "zzz"}, Unknown("paid an unreadable amount", "pi_1")),
    ],
)
def test_an_intent_is_read(change: dict[str, Any], expected: object) -> None:
    assert wire.intent_outcome({**INTENT, **change}, "att_1", TEST) == expected


@pytest.mark.parametrize(
    ("change", "told_by", "account"),
    [
        ({}, None, None),
        ({}, "acct_1", "acct_1"),
        ({}, "acct_2", "acct_2"),
        ({"on_behalf_of": "acct_1"}, None, "acct_1"),
        ({"on_behalf_of": "acct_2"}, "acct_1", "acct_2"),
        ({"transfer_data": {"destination": "acct_3"}}, "acct_1", "acct_3"),
        ({"metadata": {"attempt": "att_1", "account": "acct_1"}}, None, "acct_1"),
        ({"metadata": {"attempt": "att_1", "account": "acct_4"}}, "acct_1", "acct_4"),
        ({"on_behalf_of": 5, "transfer_data": "x"}, None, None),
    ],
)
def test_whose_money_it_is_is_told(
    change: dict[str, Any], told_by: str | None, account: str | None
) -> None:
    ours = replace(OURS, told_by=told_by)

    paid = wire.intent_outcome({**INTENT, **change}, "att_1", ours)
    reserved = {"status": "requires_capture", "amount_capturable": 2000}
    held = wire.intent_outcome({**INTENT, **change, **reserved}, "att_1", ours)
    ended = wire.intent_outcome({**INTENT, **change, "status": "canceled"}, "att_1", ours)

    assert paid == structs.replace(PAID, account=account)
    assert isinstance(held, Waiting)
    assert held.account == account
    foreign = Unknown("the answer is about another account", "pi_1")
    assert ended == (Closed() if account in (None, "acct_1") else foreign)


def test_an_event_of_another_account_is_not_believed() -> None:
    def told(subject: dict[str, Any], kind: str, account: str | None) -> object:
        event = {"type": kind, "account": account, "data": {"object": subject}}
        return wire.notice_of(event, OURS)

    refund = {**REFUND, "metadata": {"refund": "re_1"}}
    paid = told(INTENT, "payment_intent.succeeded", "acct_2")
    failed = told({**INTENT, "status": "canceled"}, "payment_intent.canceled", "acct_2")
    refunded = told(refund, "refund.updated", "acct_2")

    assert paid == AttemptNotice("att_1", structs.replace(PAID, account="acct_2"), "pi_1")
    assert isinstance(failed, AttemptNotice)
    assert isinstance(failed.outcome, Unknown)
    assert isinstance(refunded, RefundNotice)
    assert isinstance(refunded.outcome, Unknown)
    ours = told(INTENT, "payment_intent.succeeded", "acct_1")
    assert ours == AttemptNotice("att_1", structs.replace(PAID, account="acct_1"), "pi_1")
    assert told(refund, "refund.updated", None) == RefundNotice(
        "re_1", Refunded("re_9", Money(500, USD))
    )


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (
            402,
            {
                "type": "card_error",
                "code": "expired_card",
                "message": "Expired.",
                "payment_intent": {"id": "pi_1", "metadata": {"attempt": "att_1"}},
            },
            Declined("expired_card", "Expired.", None, "expired_card", "pi_1"),
        ),
        (
            400,
            {"type": "invalid_request_error", "code": "amount_too_small", "message": "Small."},
            Declined("amount_too_small", "Small.", None, "amount_too_small"),
        ),
        (
            400,
            {"type": "invalid_request_error", "code": "parameter_unknown"},
            Unknown("answered HTTP 400 parameter_unknown"),
        ),
        (
            400,
            {"type": "idempotency_error", "message": "Keys…"},
            Unknown("answered HTTP 400 idempotency_error"),
        ),
        (
            409,
            {"code": "idempotency_key_in_use"},
            Unknown("answered HTTP 409 idempotency_key_in_use"),
        ),
        (401, {"type": "invalid_request_error"}, NotSent("refused unprocessed: HTTP 401")),
        (402, {"type": "odd"}, Unknown("answered HTTP 402 odd")),
        (
            400,
            {"code": "payment_intent_unexpected_state", "payment_intent": INTENT},
            PAID,
        ),
    ],
)
def test_an_error_is_read(status: int, error: dict[str, Any], expected: object) -> None:
    assert wire.refusal(status, error, "att_1", TEST) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, Refunded("re_9", Money(500, USD))),
        ({"status": "pending"}, RefundPending("re_9")),
        (
            {"status": "failed", "failure_reason": "expired_or_canceled_card"},
            RefundFailed(
                "expired_or_canceled_card", "The refund failed: expired_or_canceled_card.", "re_9"
            ),
        ),
        ({"amount": 499}, Unknown("the refund is of another amount", "re_9")),
        ({"status": "odd"}, Unknown("unrecognised refund status 'odd'", "re_9")),
    ],
)
def test_a_refund_is_read(change: dict[str, Any], expected: object) -> None:
    assert wire.refund_of({**REFUND, **change}, Money(500, USD)) == expected


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (
            400,
            {"code": "charge_already_refunded", "message": "Gone."},
            RefundFailed("declined", "Gone."),
        ),
        (400, {"type": "idempotency_error"}, Unknown("answered HTTP 400 idempotency_error")),
        (403, {"code": "x"}, NotSent("refused unprocessed: HTTP 403 x")),
        (400, {"code": "odd"}, Unknown("answered HTTP 400 odd")),
    ],
)
def test_a_refused_refund_is_read(status: int, error: dict[str, Any], expected: object) -> None:
    assert wire.refund_refusal(status, error) == expected


def test_events_are_read() -> None:
    def event(kind: str, subject: dict[str, Any]) -> dict[str, Any]:
        return {"type": kind, "data": {"object": subject}}

    refund = {**REFUND, "metadata": {"refund": "re_1"}}
    assert wire.notice_of(event("payment_intent.succeeded", INTENT), TEST) == AttemptNotice(
        "att_1", PAID, "pi_1"
    )
    assert wire.notice_of(event("refund.updated", refund), TEST) == RefundNotice(
        "re_1", Refunded("re_9", Money(500, USD))
    )
    assert wire.notice_of(event("charge.succeeded", {"object": "charge"}), TEST) == (
        OtherNotice("charge.succeeded")
    )
    assert wire.notice_of({"type": "ping"}, TEST) == OtherNotice("ping")


@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "charge.refund.updated"])
def test_a_refund_without_our_mark_is_a_foreign_one(kind: str) -> None:
    def told(change: dict[str, Any], account: str | None = None) -> object:
        subject = {**REFUND, "payment_intent": "pi_1", "metadata": {}, **change}
        event = {"type": kind, "account": account, "data": {"object": subject}}
        return wire.notice_of(event, OURS)

    made = ForeignRefund("re_9", Refunded("re_9", Money(500, USD)), order_reference="pi_1")
    assert told({}) == told({"metadata": {"case": "17"}}) == told({}, "acct_1") == made
    pending = told({"status": "pending"})
    assert isinstance(pending, ForeignRefund)
    assert isinstance(pending.outcome, RefundPending)
    assert isinstance(told({"metadata": {"refund": "re_1"}}), RefundNotice)
    assert told({"payment_intent": None}) == OtherNotice(kind)
    assert told({}, "acct_2") == OtherNotice(kind)


def test_what_the_official_sdk_signs_is_genuine_and_nothing_else_is() -> None:
    body = b'{"type":"ping","livemode":false}'
    sign = stripe.WebhookSignature.generate_signature_header
    header = sign(body.decode(), "whsec_new", unix(NOW))

    assert signing.is_genuine(header, body, ("whsec_new",), NOW)
    assert signing.is_genuine(header, body, ("whsec_old", "whsec_new"), NOW)
    assert signing.is_genuine(header + ",v1=" + "0" * 64, body, ("whsec_new",), NOW)
    assert signing.is_genuine("t=1,v1=aa," + header, body, ("whsec_new",), NOW) is False
    assert not signing.is_genuine(header, body + b" ", ("whsec_new",), NOW)
    assert not signing.is_genuine(header, body, ("whsec_old",), NOW)
    assert not signing.is_genuine(header, body, ("whsec_new",), NOW + timedelta(seconds=301))
    assert not signing.is_genuine(header.replace("v1", "v0"), body, ("whsec_new",), NOW)
    for broken in ("", "t=,v1=", "t=x,v1=y", "v1=" + "0" * 64, "t=²,v1=é"):
        assert not signing.is_genuine(broken, body, ("whsec_new",), NOW)
    with pytest.raises(BadNotice):
        signing.read_event({}, body, ("whsec_new",), NOW)
    stripe.WebhookSignature.verify_header(body.decode(), header, "whsec_new")


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (400, {"type": "invalid_request_error", "code": "amount_too_small"}, "amount_too_small"),
        (
            402,
            {"type": "card_error", "code": "card_declined", "decline_code": "x"},
            "card_declined",
        ),
        (400, {"type": "invalid_request_error"}, "payment_method_provider_decline"),
        (400, {"type": "invalid_request_error", "code": "charge_already_captured"}, Unknown),
        (400, {"type": "idempotency_error"}, Unknown),
        (409, {"type": "invalid_request_error", "code": "lock_timeout"}, Unknown),
        (401, {"type": "invalid_request_error"}, NotSent),
        (
            402,
            {
                "type": "card_error",
                "code": "card_declined",
                "payment_intent": {"id": "pi_1", "status": "requires_payment_method"},
            },
            Declined,
        ),
    ],
)
def test_refused_capture_leaves_the_money_reserved_where_stripe_says_so(
    status: int, error: dict, outcome: str | type
) -> None:
    told = wire.capture_refusal(status, {"message": "No.", **error}, "att_1", OURS)

    if isinstance(outcome, str):
        assert isinstance(told, CaptureRefused)
        assert (told.code, told.message) == (outcome, "No.")
    else:
        assert isinstance(told, outcome)
