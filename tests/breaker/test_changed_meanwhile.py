"""What a payment has been changed to between looking at it and locking it."""

from typing import Any

from tillgate.runtime.db import DatabaseUnavailable
from tillgate.runtime.idempotency import Claims

CARD = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}

#: What the provider refuses to capture.
TOO_LITTLE = {"amount_to_capture": 10}


def _keys(letter: str, count: int) -> dict[str, str]:
    return {f"metadata[{letter}{n}]": "1" for n in range(count)}


async def test_capture_that_was_made_is_not_answered_as_refused(client, world, monkeypatch) -> None:
    """Its words do not fit beside those that somebody else wrote while it was made."""
    held = await client.post("/v1/payment_intents", {**CARD, "capture_method": "manual"})
    path = f"/v1/payment_intents/{held.json['id']}"
    capture = world.payments.capture

    async def slowly(*given: Any) -> Any:
        made = await capture(*given)
        changed = await client.post(path, _keys("b", 30))
        assert changed.status == 200, changed.body
        return made

    monkeypatch.setattr(world.payments, "capture", slowly)
    answered = await client.post(f"{path}/capture", _keys("a", 30), key="c")
    again = await client.post(f"{path}/capture", _keys("a", 30), key="c")

    assert (await client.get(path)).json["status"] == "succeeded"
    assert (answered.status, again.status) == (200, 200), answered.body


async def test_words_of_a_capture_are_not_lost_with_its_answer(client, world, monkeypatch) -> None:
    held = await client.post("/v1/payment_intents", {**CARD, "capture_method": "manual"})
    path = f"/v1/payment_intents/{held.json['id']}/capture"

    async def away(*_: object) -> Any:
        raise DatabaseUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(world.payments, "update", away)
        assert (await client.post(path, {"metadata[order]": "17"}, key="c")).status == 503
    captured = await client.post(path, {"metadata[order]": "17"}, key="c")

    assert (captured.status, captured.json["status"]) == (200, "succeeded")
    assert captured.json["metadata"] == {"order": "17"}


async def test_capture_that_was_refused_stays_refused(client, world, monkeypatch) -> None:
    """Its answer was lost, and somebody changed another word of the payment meanwhile."""
    held = await client.post("/v1/payment_intents", {**CARD, "capture_method": "manual"})
    path = f"/v1/payment_intents/{held.json['id']}"

    async def away(*_: object) -> Any:
        raise DatabaseUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(Claims, "finish", away)
        assert (await client.post(f"{path}/capture", TOO_LITTLE, key="c")).status == 503
    assert (await client.get(path)).json["status"] == "requires_capture"
    assert (await client.post(path, {"description": "tea"})).status == 200

    told = await client.post(f"{path}/capture", TOO_LITTLE, key="c")

    assert told.status == 402, (told.status, told.json["status"], told.json["last_payment_error"])
