"""A session that is lost while it holds a key, such as one whose machine has gone."""

import asyncio
import time

import asyncpg
import pytest

CARD = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}


@pytest.mark.parametrize("what", ["create", "confirm"])
async def test_key_that_a_lost_session_holds_holds_up_no_other(client, db_url, what) -> None:
    lost = await asyncpg.connect(db_url)
    hold = lost.transaction()
    await hold.start()
    await lost.execute(
        "INSERT INTO runtime.idempotency (merchant_id, key, request_hash, request_id, created_at,"
        " locked_at) VALUES (3, 'lost', '', 'req_lost', now(), now())"
    )
    plain = {name: value for name, value in CARD.items() if name != "confirm"}
    intents = [(await client.post("/v1/payment_intents", plain)).json["id"] for _ in range(9)]

    async def ask(key: str, intent: str) -> float:
        began = time.monotonic()
        if what == "create":
            answered = await client.post("/v1/payment_intents", CARD, key=key)
        else:
            answered = await client.post(f"/v1/payment_intents/{intent}/confirm", {}, key=key)
        assert answered.status == 200 or key == "lost", answered.body
        return time.monotonic() - began

    try:
        repeated = asyncio.create_task(ask("lost", intents[0]))
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(ask(f"k{n}", intents[n + 1])) for n in range(8)]
        done, waiting = await asyncio.wait(others, timeout=10)
        took = sorted(round(task.result(), 1) for task in done)
    finally:
        await hold.rollback()
        await lost.close()
    await asyncio.gather(repeated, *others)
    assert not waiting, f"{len(waiting)} of 8 strangers waited for more than 10 s; {took}"
