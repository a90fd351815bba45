"""The database ends sessions while cards are charged: no answer is wrong, and none is kept that is."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import asyncpg

CARD = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
TIMES = 12
CLIENTS = 12


async def _end_sessions(db_url: str, charged: Callable[[], int]) -> None:
    """End the application's sessions again and again, each time once a card has been charged."""
    owner = await asyncpg.connect(db_url)
    for _ in range(TIMES):
        before = charged()
        await asyncio.sleep(0.12)
        while charged() == before:  # a slow machine
            await asyncio.sleep(0.02)
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'tillgate' AND datname = current_database()"
        )
    await owner.close()


async def test_cards_are_charged_once_and_no_failure_is_kept(client, world, db, db_url) -> None:
    answers: dict[str, list[tuple[int, Any]]] = {}

    async def ask(key: str) -> int:
        answered = await client.post("/v1/payment_intents", {**CARD, "metadata[key]": key}, key=key)
        answers.setdefault(key, []).append((answered.status, answered.json))
        return answered.status

    async def buy(number: int) -> None:
        for turn in itertools.count():
            await ask(f"{number}-{turn}")
            if ending.done():
                return

    def charged() -> int:
        return sum(told[0][0] == 200 for told in answers.values())

    ending = asyncio.create_task(_end_sessions(db_url, charged))
    await asyncio.gather(*(buy(number) for number in range(CLIENTS)))
    await ending
    statuses = {told[0][0] for told in answers.values()}
    assert statuses <= {200, 503}, statuses
    assert statuses == {200, 503}, "nobody noticed"

    async with db.transaction() as tx:  # a while later
        await tx.run(
            "UPDATE runtime.idempotency SET locked_at = locked_at - interval '1 hour'"
            " WHERE status IS NULL"
        )
    await _answered_in_the_end(answers, ask)
    await world.sweep()

    async with db.transaction(readonly=True) as tx:
        assert await tx.all("SELECT * FROM runtime.idempotency WHERE status >= 500") == []
        paid = await tx.all("SELECT id, status, metadata ->> 'key' AS key FROM payments.payments")
    assert sorted(row["key"] for row in paid) == sorted(answers)
    for row in paid:
        _, shown = answers[row["key"]][-1]
        assert shown["id"] == row["id"]
        assert (await ask(row["key"]), row["status"]) == (200, "succeeded")
        assert answers[row["key"]][-1][1]["id"] == row["id"]
    charged = [order for order in (await world.books("card"))["orders"] if order["state"] == "paid"]
    assert len(charged) == len(answers)
    await world.assert_books_hold()


async def _answered_in_the_end(answers: dict[str, list[tuple[int, Any]]], ask: Any) -> None:
    """Ask each key that was not answered until it is."""
    for key in list(answers):
        for _ in range(100):
            if answers[key][-1][0] == 200:
                break
            assert await ask(key) in {200, 409, 503}, answers[key][-1]
            await asyncio.sleep(0.02)
        assert answers[key][-1][0] == 200


async def test_failure_to_show_is_not_kept_over_a_charge(
    client, world, application, caplog
) -> None:
    expand, application.api.expand = application.api.expand, _Broken(application.api.expand)
    asked = {**CARD, "expand[]": "latest_charge"}
    first = await client.post("/v1/payment_intents", asked, key="once")
    application.api.expand = expand
    again = await client.post("/v1/payment_intents", asked, key="once")

    assert (first.status, first.headers.get("Stripe-Should-Retry")) == (500, None)
    assert (again.status, again.json["status"]) == (200, "succeeded")
    assert again.json["latest_charge"]["object"] == "charge"
    assert len((await world.books("card"))["orders"]) == 1
    assert "_Broken" in caplog.text


class _Broken:
    """Cannot expand anything."""

    def __init__(self, expand: Any) -> None:
        self.check = expand.check

    async def __call__(self, *_: object) -> bytes:
        raise ZeroDivisionError("_Broken")
