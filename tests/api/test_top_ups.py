"""Top-ups over the wire: what is refused changes nothing, limits hold."""

import asyncio

import pytest

from tests.api.test_wallets import _wallet as open_wallet

CARD = {"amount": 1000, "currency": "jpy", "payment_method": "pm_card_visa"}
EXTRAS = {"refund_policy": "receivable", "bonus_amount": 5}


async def _accounts(db) -> list[str]:
    async with db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT code, currency FROM ledger.accounts ORDER BY code, currency")
    return [f"{row['code']} {row['currency']}" for row in rows]


@pytest.mark.parametrize("exists", [False, True])
async def test_a_refused_top_up_opens_no_accounts(client, db, exists: bool) -> None:
    wallet = (await open_wallet(client))["id"] if exists else "nonsense-1"
    before = await _accounts(db)

    refused = await client.post("/v1/top_ups", {"wallet": wallet, **CARD, **EXTRAS})

    assert refused.status == (400 if exists else 404)
    assert refused.error["code"] == ("currency_mismatch" if exists else "resource_missing")
    assert await _accounts(db) == before


async def test_top_ups_at_once_open_their_accounts_once(client, db, world) -> None:
    wallet = (await open_wallet(client))["id"]
    body = {"wallet": wallet, **CARD, **EXTRAS, "currency": "cny", "payment_method": "alipay"}

    answers = await asyncio.gather(*(client.post("/v1/top_ups", body) for _ in range(10)))

    assert {answer.status for answer in answers} == {200}
    opened = await _accounts(db)
    assert opened.count(f"wallet:{wallet}:owed cny") == 1
    async with db.transaction(readonly=True) as tx:
        owed = await tx.all("SELECT DISTINCT owed_account, gifts FROM payments.payments")
    assert len(owed) == 1
    assert owed[0]["owed_account"] is not None
    await world.assert_books_hold()
