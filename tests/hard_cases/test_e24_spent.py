"""Case 24: a top-up to be refunded has been spent: the stated policy decides, all or nothing."""

import asyncio
from typing import Any

import pytest

from tests.hard_cases.deeds import Held, nothing_moves, topped_up, truth
from tests.serving import Answered, Client
from tests.worlds import World


async def _refund(client: Client, held: Held, **more: Any) -> Answered:
    return await client.post("/v1/refunds", {"payment_intent": held.payment, **more})


async def _has(client: Client, held: Held) -> tuple[int, int, int]:
    """What the wallet holds: all of it, what was paid for, what was given."""
    now = (await client.get(held.url)).json
    return now["balance"], now["principal_balance"], now["bonus_balance"]


async def _given_back(world: World, held: Held) -> tuple[int, ...]:
    """What the provider has given back."""
    payment = await world.payment(held.payment)
    return (await truth(world, "alipay"))[payment.latest_attempt or ""].refunds


async def _assert_refused(
    world: World, client: Client, held: Held, code: str = "balance_insufficient", **more: Any
) -> None:
    """A refusal moves nothing here or there, and says the same when it is asked again."""
    async with nothing_moves(world):
        refused = await _refund(client, held, **more)
        again = await _refund(client, held, **more)
    for answer in (refused, again):
        assert (answer.status, answer.error["code"]) == (400, code), answer.body
        assert answer.error["param"] == "amount"
    assert await _given_back(world, held) == ()


@pytest.mark.parametrize("stated", [{}, {"refund_policy": "block"}])
async def test_block_refuses_what_has_been_spent(
    world: World, client: Client, stated: dict[str, str]
) -> None:
    held = await topped_up(world, client, spent=4_000, **stated)

    await _assert_refused(world, client, held)
    await _assert_refused(world, client, held, amount=6_001)
    made = await _refund(client, held, amount=6_000)

    assert (made.status, made.json["status"], made.json["amount"]) == (200, "succeeded", 6_000)
    assert await _has(client, held) == (0, 0, 0)
    assert await _given_back(world, held) == (6_000,)
    assert (await client.get(f"/v1/top_ups/{held.top_up}")).json["amount_refunded"] == 6_000
    await world.assert_books_hold()


async def test_block_refuses_what_is_held_for_somebody(world: World, client: Client) -> None:
    held = await topped_up(world, client)
    order = {"amount": 4_000, "currency": "cny"}
    hold = (await client.post(f"{held.url}/holds", order)).json

    await _assert_refused(world, client, held)
    await client.post(f"{held.url}/holds/{hold['id']}/release")

    assert (await _refund(client, held)).json["amount"] == 10_000
    await world.assert_books_hold()


async def test_partial_gives_back_what_is_left(world: World, client: Client) -> None:
    held = await topped_up(world, client, spent=4_000, refund_policy="partial")

    await _assert_refused(world, client, held, amount=6_001)
    made = await _refund(client, held)

    assert (made.status, made.json["amount"]) == (200, 6_000), made.body
    assert await _has(client, held) == (0, 0, 0)
    assert await _given_back(world, held) == (6_000,)
    await world.assert_books_hold()


async def test_partial_with_a_gift_takes_the_gift_from_what_is_left(
    world: World, client: Client
) -> None:
    held = await topped_up(world, client, spent=4_000, refund_policy="partial", bonus_amount=1_000)

    made = await _refund(client, held)

    assert (made.status, made.json["amount"]) == (200, 6_000), made.body
    assert await _has(client, held) == (400, 0, 400)
    assert await _given_back(world, held) == (6_000,)
    await world.assert_books_hold()


async def test_partial_refuses_where_nothing_is_left(world: World, client: Client) -> None:
    held = await topped_up(world, client, spent=10_000, refund_policy="partial")

    await _assert_refused(world, client, held)


async def test_receivable_books_what_the_holder_owes(world: World, client: Client) -> None:
    held = await topped_up(world, client, spent=4_000, refund_policy="receivable")

    made = await _refund(client, held)

    assert (made.status, made.json["amount"]) == (200, 10_000), made.body
    assert await _has(client, held) == (0, 0, 0)
    assert await world.balance_of(f"wallet:{held.wallet}:owed") == -4_000
    assert await _given_back(world, held) == (10_000,)
    await world.assert_books_hold()


async def test_refund_and_spend_at_the_same_moment_share_what_there_is(
    world: World, client: Client
) -> None:
    """Whoever comes second is told so; nobody is given what another one has."""
    held = await topped_up(world, client)
    spend = {"amount": 6_000, "currency": "cny"}

    answers = await asyncio.gather(
        _refund(client, held, amount=6_000), client.post(f"{held.url}/spend", spend)
    )

    assert sorted(answer.status for answer in answers) == [200, 400]
    assert await _has(client, held) == (4_000, 4_000, 0)
    assert sum(await _given_back(world, held)) in (0, 6_000)
    await world.assert_books_hold()
