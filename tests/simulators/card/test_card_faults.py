"""Every way this provider can misbehave, met through the official SDK."""

from typing import Any

import pytest
import stripe

ONE: Any = {"idempotency_key": "key-1"}


def _params(amount: int) -> Any:
    return {
        "amount": amount,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "payment_method_types": ["card"],
        "confirm": True,
        "metadata": {"attempt": f"att_{amount}"},
    }


def _paid(world: Any) -> list[int]:
    return [each.amount for each in world.stripe.v1.payment_intents.list().data]


@pytest.mark.parametrize(
    ("amount", "error", "is_made"),
    [
        (4002, stripe.APIConnectionError, True),
        (4003, stripe.APIConnectionError, False),
        (4004, stripe.APIConnectionError, True),
        (4005, stripe.APIError, True),
        (4006, stripe.APIError, False),
        (4007, stripe.RateLimitError, False),
        (4008, stripe.RateLimitError, True),
        (4009, stripe.APIError, True),
    ],
)
def test_same_key_gets_the_truth_after_a_lost_answer(
    world: Any,
    amount: int,
    error: type[Exception],
    is_made: bool,  # noqa: FBT001 - a table's column
) -> None:
    hasty = world.client("sk_test_demo", timeout=0.3)

    with pytest.raises(error):
        hasty.v1.payment_intents.create(_params(amount), ONE)
    made_at_once = _paid(world) == [amount]
    intent = world.stripe.v1.payment_intents.create(_params(amount), ONE)

    assert made_at_once is is_made
    assert intent.status == "succeeded"
    replayed = "Idempotent-Replayed" in intent.last_response.headers
    assert replayed is is_made
    assert _paid(world) == [amount]


def test_remembered_500_is_replayed_and_only_search_knows(world: Any) -> None:
    for _ in range(2):
        with pytest.raises(stripe.APIError) as broken:
            world.stripe.v1.payment_intents.create(_params(4010), ONE)
        assert broken.value.http_status == 500

    found = world.stripe.v1.payment_intents.search({"query": "metadata['attempt']:'att_4010'"})
    assert [each.status for each in found.data] == ["succeeded"]


def test_definitive_decline_and_bank_refusal(world: Any) -> None:
    codes: list[str] = []
    for amount in (4020, 4001):
        with pytest.raises(stripe.CardError) as declined:
            world.stripe.v1.payment_intents.create(_params(amount))
        codes.append(declined.value.error.decline_code)

    assert codes == ["do_not_honor", "generic_decline"]


def test_wrong_amount_is_told_and_true_in_the_books(world: Any) -> None:
    intent = world.stripe.v1.payment_intents.create(_params(4011))

    assert (intent.amount, intent.amount_received) == (4011, 4111)
    books = world.control("books", method="GET")
    assert [(each["amount"], each["state"]) for each in books["orders"]] == [(4011, "paid")]
    assert books["accounts"]["acct_demo"]["charges"][0]["amount_captured"] == 4011


def test_first_query_says_not_paid_yet(world: Any) -> None:
    intent = world.stripe.v1.payment_intents.create(_params(4024))
    intents = world.stripe.v1.payment_intents

    assert [intents.retrieve(intent.id).status for _ in range(2)] == ["processing", "succeeded"]


def test_paid_at_once_without_a_card(world: Any) -> None:
    intent = world.stripe.v1.payment_intents.create({"amount": 4021, "currency": "usd"})

    assert intent.status == "succeeded"


def test_notice_comes_before_the_answer(world: Any) -> None:
    world.hear("payment_intent.succeeded")

    intent = world.stripe.v1.payment_intents.create(_params(4016))

    assert intent.status == "succeeded"
    assert world.ear.kinds == ["payment_intent.succeeded"]


@pytest.mark.parametrize(("amount", "copies"), [(4012, 2), (4013, 1), (4014, 0)])
def test_magic_notices(world: Any, amount: int, copies: int) -> None:
    world.hear("payment_intent.succeeded")
    world.stripe.v1.payment_intents.create(_params(amount))
    world.stripe.v1.payment_intents.create(_params(700))

    world.poll(lambda: len(world.ear.heard) == copies + 1)


def test_first_notice_wrongly_signed(world: Any) -> None:
    world.hear("payment_intent.succeeded")
    world.ear.statuses.append(400)
    world.stripe.v1.payment_intents.create(_params(4022))

    world.poll(lambda: len(world.ear.heard) == 2)
    (bad, body), good = world.ear.heard
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, bad, "whsec_demo")
    assert stripe.Webhook.construct_event(good[1], good[0], "whsec_demo")


def test_refund_answer_is_lost(world: Any) -> None:
    intent = world.stripe.v1.payment_intents.create(_params(4018))
    params: Any = {"payment_intent": intent.id, "amount": 100}

    with pytest.raises(stripe.APIConnectionError):
        world.client("sk_test_demo", timeout=0.3).v1.refunds.create(params, ONE)
    refund = world.stripe.v1.refunds.create(params, ONE)

    assert refund.status == "succeeded"
    assert len(world.stripe.v1.refunds.list().data) == 1


def test_caller_who_hangs_up_does_not_stop_the_payment(world: Any) -> None:
    world.rule("payment_intents.create", "latency", seconds=0.5)

    with pytest.raises(stripe.APIConnectionError):
        world.client("sk_test_demo", timeout=0.2).v1.payment_intents.create(_params(900), ONE)

    world.poll(lambda: _paid(world) == [900])


def test_outage_refuses_connections_and_ends(world: Any) -> None:
    world.control("outage", {"seconds": 0.3})
    world.poll(lambda: not world.simulator.server.is_listening)

    with pytest.raises(stripe.APIConnectionError):
        world.stripe.v1.balance.retrieve()

    world.poll(lambda: world.simulator.server.is_listening)
    assert world.stripe.v1.balance.retrieve().object == "balance"


def test_reset_forgets_payments_and_keeps_endpoints(world: Any) -> None:
    world.hear("payment_intent.succeeded")
    world.stripe.v1.payment_intents.create(_params(500), ONE)

    world.control("reset")

    assert _paid(world) == []
    assert len(world.stripe.v1.webhook_endpoints.list().data) == 1
    assert world.stripe.v1.payment_intents.create(_params(500), ONE).status == "succeeded"


def test_search_may_lag(world: Any) -> None:
    world.stripe.v1.payment_intents.create(_params(500))
    query: Any = {"query": "metadata['attempt']:'att_500'"}
    world.rule("payment_intents.search", "not_paid_yet")

    counts = [len(world.stripe.v1.payment_intents.search(query).data) for _ in range(2)]

    assert counts == [0, 1]


def test_magic_strikes_each_order_once_even_without_metadata(world: Any) -> None:
    params = _params(4007)
    del params["metadata"]
    for key in ("a", "b"):
        again: Any = {"idempotency_key": key}
        with pytest.raises(stripe.RateLimitError):
            world.stripe.v1.payment_intents.create(params, again)
        assert world.stripe.v1.payment_intents.create(params, again).status == "succeeded"
