"""Case 49: a key used for something else, a key in use, a key whose request died half-way."""

import asyncio

from tests.hard_cases.deeds import nothing_moves, rule, truth
from tests.serving import Client
from tests.worlds import World

BODY = "amount=5000&currency=usd&payment_method=pm_card_visa&confirm=true"
INTENTS = "/v1/payment_intents"


async def test_key_with_another_body_is_refused_and_moves_nothing(
    world: World, client: Client
) -> None:
    assert (await client.post(INTENTS, BODY, key="k1")).status == 200

    async with nothing_moves(world):
        again = await client.post(INTENTS, BODY.replace("5000", "6000"), key="k1")

    assert again.status == 400
    assert again.error["type"] == "idempotency_error"


async def test_same_key_gives_the_same_answer_and_one_charge(world: World, client: Client) -> None:
    first = await client.post(INTENTS, BODY, key="k2")
    again = await client.post(INTENTS, BODY, key="k2")

    assert first.body == again.body
    assert again.headers["Idempotent-Replayed"] == "true"
    assert [told.paid for told in (await truth(world, "card")).values()] == [5000]


async def test_fifty_with_one_key_at_once_charge_once(world: World, client: Client) -> None:
    rule(world, "card", "create", "latency", seconds=0.2, probability=1.0)

    answers = await asyncio.gather(*(client.post(INTENTS, BODY, key="k3") for _ in range(50)))

    assert {answer.status for answer in answers} <= {200, 409}
    assert len({answer.json["id"] for answer in answers if answer.status == 200}) == 1
    assert [told.paid for told in (await truth(world, "card")).values()] == [5000]
    after = await client.post(INTENTS, BODY, key="k3")
    assert after.status == 200
    await world.assert_books_hold()


async def test_decline_is_the_answer_for_ever(world: World, client: Client) -> None:
    body = BODY.replace("5000", "4020")
    first = await client.post(INTENTS, body, key="k4")
    again = await client.post(INTENTS, body, key="k4")

    assert (first.status, again.status) == (402, 402)
    assert first.body == again.body
    assert all(told.paid == 0 for told in (await truth(world, "card")).values())
