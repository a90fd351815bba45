"""Case 49: a key used for something else, a key in use, a key whose request died half-way."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.hard_cases.deeds import nothing_moves, rule, truth
from tests.serving import Client
from tests.worlds import World
from tillgate.api.app import Application
from tillgate.kernel import ids
from tillgate.runtime.db import CommitUnknown, Database, DatabaseUnavailable
from tillgate.runtime.idempotency import Asked, Claimed, Stored

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


#: What a key may be used for: bodies that are done, refused or declined.
_BODIES = (
    BODY,
    BODY.replace("5000", "6000"),
    BODY.replace("5000", "4020"),
    "amount=-1&currency=usd",
    "amount=5000&currency=usd",
)


@settings(
    max_examples=12,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@seed(49)
@given(
    requests=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, len(_BODIES) - 1)), max_size=8
    )
)
async def test_any_requests_under_any_keys_are_answered_by_the_rules(
    world: World, client: Client, requests: list[tuple[str, int]]
) -> None:
    """The first body under a key is done once; itself again is answered alike, another is refused.

    What was refused before anything was done (400) leaves its key to whoever comes next.
    """
    run = ids.new_id("key")
    used: dict[str, tuple[int, bytes]] = {}
    charged = sum(told.paid for told in (await truth(world, "card")).values())
    for name, number in requests:
        answered = await client.post(INTENTS, _BODIES[number], key=f"{run}-{name}")
        kept = used.get(name)
        if kept is None:
            if answered.status != 400:
                used[name] = (number, answered.body)
                charged += 5000 * (number == 0) + 6000 * (number == 1)
            else:
                assert number == 3, answered.body
        elif kept[0] == number:
            assert answered.body == kept[1]
        else:
            assert answered.status == 400
            assert answered.error["type"] == "idempotency_error" or number == 3
    assert sum(told.paid for told in (await truth(world, "card")).values()) == charged


async def test_request_whose_process_died_is_answered_with_what_it_had_done(
    world: World, client: Client, db: Database
) -> None:
    first = await client.post(INTENTS, BODY, key="k5")
    async with db.transaction() as tx:  # as if it had died right before it could keep the answer
        await tx.run(
            "UPDATE runtime.idempotency SET status = NULL, body = NULL,"
            " locked_at = locked_at - interval '1 hour' WHERE key = 'k5'"
        )

    again = await client.post(INTENTS, BODY, key="k5")

    assert (again.status, again.json["id"]) == (200, first.json["id"])
    assert again.json["status"] == "succeeded"
    assert [told.paid for told in (await truth(world, "card")).values()] == [5000]


async def test_key_that_was_claimed_unheard_is_given_back(
    client: Client, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or whoever repeats the request would be told for a while that it is under way."""
    made = (await client.post(INTENTS, "amount=5000&currency=usd")).json
    claims = application.api.claims
    claim = claims.claim

    async def unheard(asked: Asked) -> Stored | Claimed:
        await claim(asked)
        raise CommitUnknown

    with monkeypatch.context() as lost:
        lost.setattr(claims, "claim", unheard)
        first = await client.post(f"{INTENTS}/{made['id']}", "description=tea", key="k5")
    again = await client.post(f"{INTENTS}/{made['id']}", "description=tea", key="k5")

    assert (first.status, first.error["code"]) == (503, "commit_unknown")
    assert (again.status, again.json["description"]) == (200, "tea"), again.body


async def test_key_that_was_taken_before_the_database_went_is_given_back(
    client: Client, world: World, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Any:
        raise DatabaseUnavailable

    with monkeypatch.context() as lost:
        lost.setattr(world.payments, "charge", away)
        lost.setattr(application.api.claims, "claim", away)
        first = await client.post(INTENTS, BODY, key="k6")
    again = await client.post(INTENTS, BODY, key="k6")

    assert (first.status, first.error["code"]) == (503, "database_unavailable")
    assert again.status == 200, again.body
