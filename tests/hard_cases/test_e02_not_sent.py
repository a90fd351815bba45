"""Case 2: refused at the door is not a timeout: only when no byte left us may we go elsewhere."""

import pytest

from tests.hard_cases.deeds import METHODS, attempts, paid_by, rule, simulator, truth
from tests.serving import Client
from tests.worlds import World

INTENTS = "/v1/payment_intents"
OTHER = {"alipay": "wechat_pay", "wechat_pay": "card", "card": "alipay"}


def _order(method: str) -> dict[str, str]:
    return {"amount": "5000", "currency": "cny", "confirm": "true", **paid_by(method)}


@pytest.mark.parametrize("method", METHODS)
async def test_connection_refused_frees_the_payment_at_once(
    world: World, client: Client, method: str
) -> None:
    await simulator(world, method).server.stop()

    failed = await client.post(INTENTS, _order(method))

    assert (failed.status, failed.error["code"]) == (402, "payment_method_provider_timeout")
    intent = failed.error["payment_intent"]
    assert intent["status"] == "requires_payment_method"
    payment = await world.payment(intent["id"])
    assert [a.status for a in await attempts(world, payment)] == ["not_sent"]
    again = await client.post(f"{INTENTS}/{intent['id']}/confirm", paid_by(OTHER[method]))
    assert again.status == 200, again.body
    assert len(await truth(world, OTHER[method])) == 1
    await simulator(world, method).server.start()
    assert await truth(world, method) == {}
    await world.assert_books_hold()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["timeout_before", "reset_before"])
async def test_answer_that_does_not_come_frees_nothing(
    world: World, client: Client, method: str, kind: str
) -> None:
    """The provider did nothing, this time: but nobody on our side can know."""
    rule(world, method, "create", kind, next=1)

    made = await client.post(INTENTS, _order(method))
    elsewhere = await client.post(f"{INTENTS}/{made.json['id']}/confirm", paid_by(OTHER[method]))

    assert (made.status, made.json["status"]) == (200, "processing")
    assert elsewhere.status == 400
    assert elsewhere.error["code"] == "payment_intent_unexpected_state"
    payment = await world.payment(made.json["id"])
    assert [a.status for a in await attempts(world, payment)] == ["unknown"]
    assert await truth(world, OTHER[method]) == {}
