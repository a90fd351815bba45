"""A capture's words and its refusal: written with it, and told again as often as it is repeated."""

from typing import Any

import pytest

from tests.hard_cases.deeds import rule
from tillgate.api.recovery import Recovery
from tillgate.runtime.db import DatabaseUnavailable
from tillgate.runtime.idempotency import Claims

CARD = {
    "amount": 1200,
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "capture_method": "manual",
    "confirm": "true",
}
#: What the provider refuses to capture.
TOO_LITTLE = {"amount_to_capture": 10}


def _keys(letter: str, count: int) -> dict[str, str]:
    return {f"metadata[{letter}{n}]": "1" for n in range(count)}


async def _away(*_: object) -> Any:
    raise DatabaseUnavailable


async def _held(client: Any) -> str:
    made = await client.post("/v1/payment_intents", CARD)
    assert made.json["status"] == "requires_capture", made.body
    return f"/v1/payment_intents/{made.json['id']}"


async def test_capture_that_was_made_is_not_answered_as_refused(client, world, monkeypatch) -> None:
    """Whoever wants to write more words than fit while it is made is refused, not the capture."""
    path = await _held(client)
    connector = world.payments._capture

    async def slowly(*given: Any, **named: Any) -> Any:
        changed = await client.post(path, _keys("b", 30))
        assert (changed.status, changed.error["param"]) == (400, "metadata")
        return await connector(*given, **named)

    monkeypatch.setattr(world.payments, "_capture", slowly)
    answered = await client.post(f"{path}/capture", _keys("a", 30), key="c")
    again = await client.post(f"{path}/capture", _keys("a", 30), key="c")

    assert (answered.status, again.status) == (200, 200), answered.body
    assert answered.json["metadata"].keys() == {f"a{n}" for n in range(30)}
    assert again.body == answered.body
    assert (await client.get(path)).json["status"] == "succeeded"


async def test_words_that_do_not_fit_are_refused_and_nothing_is_captured(
    client, world, monkeypatch
) -> None:
    """Somebody writes them right before the capture."""
    path = await _held(client)
    capture = world.payments.capture

    async def slowly(*given: Any) -> Any:
        assert (await client.post(path, _keys("b", 30))).status == 200
        return await capture(*given)

    monkeypatch.setattr(world.payments, "capture", slowly)
    refused = await client.post(f"{path}/capture", _keys("a", 30), key="c")

    assert (refused.status, refused.error["param"]) == (400, "metadata")
    found = (await client.get(path)).json
    assert (found["status"], found["amount_received"]) == ("requires_capture", 0)


async def test_words_of_a_capture_are_not_lost_with_its_answer(client, monkeypatch) -> None:
    path = await _held(client)

    with monkeypatch.context() as patched:
        patched.setattr(Claims, "finish", _away)
        lost = await client.post(f"{path}/capture", {"metadata[order]": "17"}, key="c")
    captured = await client.post(f"{path}/capture", {"metadata[order]": "17"}, key="c")

    assert lost.status == 503
    assert (captured.status, captured.json["status"]) == (200, "succeeded")
    assert captured.json["metadata"] == {"order": "17"}


@pytest.mark.parametrize("by", ["worker", "caller"])
@pytest.mark.parametrize("meanwhile", [("", {"description": "tea"}), ("/cancel", {})])
async def test_capture_that_was_refused_stays_refused(
    client, application, db, monkeypatch, by: str, meanwhile: tuple[str, dict[str, str]]
) -> None:
    """Its answer was lost, and the payment has been changed since."""
    path = await _held(client)

    with monkeypatch.context() as patched:
        patched.setattr(Claims, "finish", _away)
        assert (await client.post(f"{path}/capture", TOO_LITTLE, key="c")).status == 503
    assert (await client.get(path)).json["status"] == "requires_capture"
    assert (await client.post(path + meanwhile[0], meanwhile[1])).status == 200
    if by == "worker":
        assert await Recovery(application.api).run() == 1
    told = await client.post(f"{path}/capture", TOO_LITTLE, key="c")

    assert (told.status, told.error["code"]) == (402, "amount_too_small"), told.body


async def test_next_capture_is_not_answered_with_the_refusal_of_the_one_before(
    client, world, monkeypatch
) -> None:
    path = await _held(client)
    assert (await client.post(f"{path}/capture", TOO_LITTLE)).status == 402
    rule(world, "card", "*capture*", "reset_before", next=3)

    with monkeypatch.context() as patched:
        patched.setattr(Claims, "finish", _away)
        assert (await client.post(f"{path}/capture", key="c")).status == 503
    told = await client.post(f"{path}/capture", key="c")

    assert (told.status, told.json["status"]) == (200, "requires_capture"), told.body
    assert told.json["last_payment_error"] is None
