"""The official SDK verifies our webhooks, and rejects what was tampered with."""

import socket
from typing import Any

import pytest
import stripe


def _verified(heard: tuple[str, bytes], secret: str = "whsec_demo") -> stripe.Event:
    header, body = heard
    return stripe.Webhook.construct_event(body, header, secret)


def test_first_endpoint_has_the_secret_from_the_keys(world: Any) -> None:
    first, second = world.hear("charge.failed"), world.hear("charge.failed")
    endpoints = world.stripe.v1.webhook_endpoints

    assert first.secret == "whsec_demo"
    assert second.secret.startswith("whsec_sim")
    assert endpoints.retrieve(first.id).secret is None
    assert [each.secret for each in endpoints.list().data] == [None, None]
    assert endpoints.delete(second.id).deleted
    assert [each.id for each in endpoints.list().data] == [first.id]


def test_payment_tells_its_story_in_order(world: Any) -> None:
    world.hear()
    intent = world.pay(metadata={"attempt": "att_1"})

    world.poll(lambda: len(world.ear.heard) == 3)
    events = sorted((_verified(each) for each in world.ear.heard), key=lambda each: each.type)
    assert [each.type for each in events] == [
        "charge.succeeded",
        "payment_intent.created",
        "payment_intent.succeeded",
    ]
    assert events[2].data.object.id == intent.id
    assert events[2].data.object.metadata["attempt"] == "att_1"
    assert events[1].data.object.status == "requires_confirmation"
    listed = world.stripe.v1.events.list({"type": "payment_intent.succeeded"})
    assert [each.id for each in listed.data] == [events[2].id]
    assert (
        world.stripe.v1.events.retrieve(events[2].id).request.id == intent.last_response.request_id
    )


def test_capture_cancel_refund_and_decline_tell_theirs(world: Any) -> None:
    kinds = [
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.canceled",
        "charge.refunded",
        "refund.created",
        "payment_intent.payment_failed",
        "charge.failed",
        "payment_intent.requires_action",
    ]
    world.hear(*kinds)
    intents = world.stripe.v1.payment_intents

    captured = intents.capture(world.pay(capture_method="manual").id)
    intents.cancel(world.pay(capture_method="manual").id)
    world.stripe.v1.refunds.create({"payment_intent": captured.id})
    with pytest.raises(stripe.CardError):
        world.pay(card="pm_card_visa_chargeDeclined")
    world.pay(card="pm_card_authenticationRequired", return_url="https://shop.test/")

    world.poll(lambda: set(world.ear.kinds) == set(kinds))


def test_tampered_or_foreign_webhook_is_rejected(world: Any) -> None:
    world.hear("payment_intent.succeeded")
    world.pay()
    world.poll(lambda: len(world.ear.heard) == 1)
    header, body = world.ear.heard[0]

    assert _verified((header, body)).type == "payment_intent.succeeded"
    for tampered, secret in (
        (body.replace(b"10000", b"10001"), "whsec_demo"),
        (body, "whsec_other"),
    ):
        with pytest.raises(stripe.SignatureVerificationError):
            _verified((header, tampered), secret)


def test_stale_clock_is_rejected(world: Any) -> None:
    world.hear("payment_intent.succeeded")
    world.control("clock", {"offset_seconds": -400})
    world.pay()

    world.poll(lambda: len(world.ear.heard) == 1)
    with pytest.raises(stripe.SignatureVerificationError):
        _verified(world.ear.heard[0])


def test_unacknowledged_webhook_comes_again_freshly_signed(world: Any) -> None:
    world.hear("payment_intent.succeeded")
    world.ear.statuses += [500, 302]
    world.pay()

    world.poll(lambda: len(world.ear.heard) == 3)
    assert len({_verified(each).id for each in world.ear.heard}) == 1


@pytest.mark.parametrize(
    ("kind", "copies"), [("duplicate_notice", 2), ("late_notice", 1), ("lost_notice", 0)]
)
def test_notice_faults(world: Any, kind: str, copies: int) -> None:
    world.hear("payment_intent.succeeded")
    world.rule("payment_intent.succeeded", kind, seconds=2)
    world.pay()
    world.pay(777)

    def about(amount: int) -> int:
        events = [_verified(each) for each in world.ear.heard]
        return sum(each.data.object.amount == amount for each in events)

    world.poll(lambda: about(777) == 1 and about(10_000) == copies)


def test_out_of_order_notice_comes_after_the_next(world: Any) -> None:
    world.hear("payment_intent.succeeded")
    world.rule("payment_intent.succeeded", "out_of_order_notice")
    first = world.pay()
    second = world.pay()

    world.poll(lambda: len(world.ear.heard) == 2)
    order = [_verified(each).data.object.id for each in world.ear.heard]
    assert order == [second.id, first.id]


def test_control_sends_the_last_notice_again(world: Any) -> None:
    world.hear("payment_intent.succeeded")
    intent = world.pay()
    world.poll(lambda: len(world.ear.heard) == 1)

    assert world.control(f"orders/{intent.id}/notice", {"times": 2}) == {"sent": 2}

    world.poll(lambda: len(world.ear.heard) == 3)
    assert len({_verified(each).id for each in world.ear.heard}) == 1


def test_webhook_repeats_no_header(world: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/hooks"
        world.stripe.v1.webhook_endpoints.create(
            {"url": url, "enabled_events": ["payment_intent.succeeded"]}
        )
        world.pay()
        wire, _ = listener.accept()
        with wire:
            wire.settimeout(5)
            said = b""
            while b"\r\n\r\n" not in said:
                said += wire.recv(65_536)
            wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    lines = said.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    names = [line.partition(b":")[0].lower() for line in lines]
    assert b"stripe-signature" in names
    assert len(names) == len(set(names))
