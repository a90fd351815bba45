"""Refunds never exceed what was captured, and some end otherwise than they began."""

from typing import Any

import pytest
import stripe


def test_several_partial_refunds_up_to_the_cap(world: Any) -> None:
    intent = world.pay(10_000)
    refunds = world.stripe.v1.refunds

    first = refunds.create(
        {"payment_intent": intent.id, "amount": 3_000, "metadata": {"refund": "ref_1"}}
    )
    second = refunds.create({"charge": intent.latest_charge, "amount": 3_000})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        refunds.create({"payment_intent": intent.id, "amount": 4_001})
    rest = refunds.create({"payment_intent": intent.id, "reason": "requested_by_customer"})

    assert refused.value.param == "amount"
    assert [each.status for each in (first, second, rest)] == ["succeeded"] * 3
    assert rest.amount == 4_000
    charge = world.stripe.v1.charges.retrieve(intent.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (10_000, True)
    listed = refunds.list({"payment_intent": intent.id})
    assert [each.id for each in listed.data] == [rest.id, second.id, first.id]
    assert refunds.retrieve(first.id).metadata["refund"] == "ref_1"
    with pytest.raises(stripe.InvalidRequestError) as again:
        refunds.create({"payment_intent": intent.id})
    assert again.value.code == "charge_already_refunded"


def test_pending_refund_succeeds_later(world: Any) -> None:
    world.hear("refund.created", "refund.updated")
    intent = world.pay(card="pm_card_pendingRefund")

    refund = world.stripe.v1.refunds.create({"payment_intent": intent.id})

    assert refund.status == "pending"
    world.poll(lambda: world.ear.kinds == ["refund.created", "refund.updated"])
    assert world.stripe.v1.refunds.retrieve(refund.id).status == "succeeded"


def test_refund_fails_long_after_it_succeeded(world: Any) -> None:
    world.hear("refund.failed")
    intent = world.pay(10_000, card="pm_card_refundFail")

    refund = world.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 4_000})

    assert refund.status == "succeeded"
    world.poll(lambda: world.ear.kinds == ["refund.failed"])
    failed = world.stripe.v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    charge = world.stripe.v1.charges.retrieve(intent.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    entries = world.stripe.v1.balance_transactions.list()
    assert [(each.type, each.amount) for each in entries.data] == [
        ("refund_failure", 4_000),
        ("refund", -4_000),
        ("charge", 10_000),
    ]
    again = world.stripe.v1.refunds.create({"payment_intent": intent.id})
    assert again.amount == 10_000


def test_refund_by_magic_amount_and_by_control(world: Any) -> None:
    stuck = world.pay(4023)
    refund = world.stripe.v1.refunds.create({"payment_intent": stuck.id})
    assert refund.status == "pending"

    world.control(f"refunds/{refund.id}/finish", {"state": "abnormal"})

    assert world.stripe.v1.refunds.retrieve(refund.id).status == "failed"
    fails = world.pay(4017)
    later = world.stripe.v1.refunds.create({"payment_intent": fails.id})
    world.poll(lambda: world.stripe.v1.refunds.retrieve(later.id).status == "failed")


def test_unpaid_intent_cannot_be_refunded(world: Any) -> None:
    intent = world.stripe.v1.payment_intents.create({"amount": 500, "currency": "usd"})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.stripe.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError) as missing:
        world.stripe.v1.refunds.create({"charge": "ch_nothing"})

    assert refused.value.code == "payment_intent_unexpected_state"
    assert missing.value.code == "resource_missing"
    assert world.stripe.v1.refunds.list().data == []


def test_balance_and_its_transactions_carry_the_fee(world: Any) -> None:
    intent = world.pay(10_000)
    world.pay(10_000, card="pm_card_bypassPending")
    world.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 2_500})

    entries = world.stripe.v1.balance_transactions.list({"type": "charge"}).data
    balance = world.stripe.v1.balance.retrieve()

    assert [(each.amount, each.fee, each.net) for each in entries] == [(10_000, 320, 9_680)] * 2
    assert balance.pending[0].amount == 9_680
    assert balance.available[0].amount == 9_680 - 2_500
    world.control("clock", {"offset_seconds": 2 * 86_400 + 1})
    assert world.stripe.v1.balance.retrieve().available[0].amount == 2 * 9_680 - 2_500


def test_bill_can_differ_from_the_books(world: Any) -> None:
    world.pay(10_000, metadata={"attempt": "att_1"})
    world.pay(20_000, metadata={"attempt": "att_2"})

    world.control(
        "bill", {"missing": ["att_1"], "different": {"att_2": 20_001}, "extra": [{"amount": 777}]}
    )

    entries = world.stripe.v1.balance_transactions.list().data
    assert sorted(each.amount for each in entries) == [777, 20_001]
    world.control("bill", {})
    assert len(world.stripe.v1.balance_transactions.list().data) == 2


def test_books_speak_the_words_all_simulators_share(world: Any) -> None:
    intent = world.pay(10_000, metadata={"attempt": "att_1"})
    made: Any = {"payment_intent": intent.id, "amount": 2_500, "metadata": {"refund": "ref_1"}}
    world.stripe.v1.refunds.create(made)

    books = world.control("books", method="GET")

    order, refund = books["orders"][0], books["refunds"][0]
    assert (order["out_trade_no"], order["amount"], order["refunded"]) == ("att_1", 10_000, 2_500)
    assert (order["state"], order["currency"]) == ("paid", "USD")
    assert (refund["out_trade_no"], refund["out_refund_no"]) == ("att_1", "ref_1")
    assert (refund["amount"], refund["state"]) == (2_500, "success")
