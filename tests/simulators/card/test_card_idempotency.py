"""A key answers the same request the same way, and refuses anything else."""

import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
import stripe

PARAMS: Any = {
    "amount": 5_000,
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "payment_method_types": ["card"],
    "confirm": True,
    "metadata": {"attempt": "att_1"},
}
ONE: Any = {"idempotency_key": "key-1"}


def test_replay_gives_the_same_bytes(world: Any) -> None:
    intents = world.stripe.v1.payment_intents

    first = intents.create(PARAMS, ONE)
    second = intents.create(dict(reversed(PARAMS.items())), ONE)

    assert second.last_response.body == first.last_response.body
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert second.last_response.headers["Original-Request"] == first.last_response.request_id
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert len(intents.list().data) == 1


def test_declines_are_replayed_too(world: Any) -> None:
    declined: list[Any] = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as error:
            world.stripe.v1.payment_intents.create(
                PARAMS | {"payment_method": "pm_card_visa_chargeDeclined"}, ONE
            )
        declined.append(error.value.error.payment_intent.id)

    assert declined[0] == declined[1]


def test_other_parameters_or_another_address_are_refused(world: Any) -> None:
    intent = world.stripe.v1.payment_intents.create(PARAMS, ONE)

    with pytest.raises(stripe.IdempotencyError) as other:
        world.stripe.v1.payment_intents.create(PARAMS | {"amount": 5_001}, ONE)
    with pytest.raises(stripe.IdempotencyError) as elsewhere:
        world.stripe.v1.refunds.create({"payment_intent": intent.id}, ONE)

    assert (other.value.http_status, elsewhere.value.http_status) == (400, 400)
    assert len(world.stripe.v1.payment_intents.list().data) == 1
    assert world.stripe.v1.refunds.list().data == []


def test_key_is_free_again_after_a_refused_parameter(world: Any) -> None:
    intents = world.stripe.v1.payment_intents
    with pytest.raises(stripe.InvalidRequestError):
        intents.create(PARAMS | {"amount": "many"}, ONE)

    assert intents.create(PARAMS, ONE).status == "succeeded"


def test_key_belongs_to_one_account(world: Any) -> None:
    first = world.stripe.v1.payment_intents.create(PARAMS, ONE)
    second = world.client("sk_test_other").v1.payment_intents.create(PARAMS, ONE)

    assert first.id != second.id


def test_key_is_forgotten_after_a_day(world: Any) -> None:
    first = world.stripe.v1.payment_intents.create(PARAMS, ONE)
    world.control("clock", {"offset_seconds": 86_401})

    assert world.stripe.v1.payment_intents.create(PARAMS, ONE).id != first.id


def _post(world: Any, key: str) -> tuple[int, bytes]:
    body = b"amount=5000&currency=usd&confirm=true&payment_method=pm_card_visa"
    body += b"&payment_method_types[]=card"
    headers = {"Authorization": "Bearer sk_test_demo", "Idempotency-Key": key}
    request = urllib.request.Request(f"{world.url}/v1/payment_intents", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_key_in_use_is_told_so(world: Any) -> None:
    world.rule("payment_intents.create", "latency", seconds=0.4)
    answers: list[tuple[int, bytes]] = []
    slow = threading.Thread(target=lambda: answers.append(_post(world, "key-2")))
    slow.start()
    keys = world.simulator.accounts["acct_demo"].answers
    while not keys.is_running("key-2"):
        pass

    status, body = _post(world, "key-2")
    slow.join()

    assert status == 409
    assert b"idempotency_key_in_use" in body
    assert answers[0][0] == 200
    assert _post(world, "key-2") == answers[0]


def test_sdk_waits_out_a_key_in_use(world: Any) -> None:
    world.rule("payment_intents.create", "latency", seconds=0.3)
    slow = threading.Thread(target=lambda: world.stripe.v1.payment_intents.create(PARAMS, ONE))
    slow.start()
    keys = world.simulator.accounts["acct_demo"].answers
    while not keys.is_running("key-1"):
        pass

    patient = world.client("sk_test_demo", max_network_retries=3)
    intent = patient.v1.payment_intents.create(PARAMS, ONE)
    slow.join()

    assert intent.status == "succeeded"
    assert len(world.stripe.v1.payment_intents.list().data) == 1


def test_bad_expand_is_refused_before_anybody_pays(world: Any) -> None:
    intents = world.stripe.v1.payment_intents

    with pytest.raises(stripe.InvalidRequestError) as refused:
        intents.create(PARAMS | {"expand": ["colour"]}, ONE)

    assert refused.value.param == "expand"
    assert intents.list().data == []


def test_inline_card_data_pays(world: Any) -> None:
    inline = {"type": "card", "card": {"token": "tok_mastercard"}}
    params = {name: PARAMS[name] for name in PARAMS if name != "payment_method"}

    intent = world.stripe.v1.payment_intents.create(
        params | {"payment_method_data": inline, "expand": ["payment_method"]}
    )

    assert intent.status == "succeeded"
    assert intent.payment_method.card.brand == "mastercard"
