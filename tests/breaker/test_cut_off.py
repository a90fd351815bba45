"""A request whose body was cut off on its way is not the request that was asked for."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.serving import Client


async def _cut_off(
    client: Client, path: str, whole: str, sent: str, key: str, *, chunked: bool = False
) -> None:
    """Announce the whole body, send part of it, and be gone."""
    base = urlsplit(client.base)
    _, writer = await asyncio.open_connection(base.hostname, base.port)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(whole)}"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Idempotency-Key: {key}\r\n{length}\r\n\r\n"
    )
    writer.write((head + (f"{len(sent):x}\r\n{sent}\r\n" if chunked else sent)).encode())
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.8)


@pytest.mark.parametrize("chunked", [False, True])
async def test_payment_that_was_cut_off_charges_nothing(client, world, chunked) -> None:
    whole = "currency=usd&payment_method=pm_card_visa&confirm=true&amount=1200000"
    await _cut_off(
        client, "/v1/payment_intents", whole, whole.removesuffix("0000"), "k", chunked=chunked
    )

    async with world.db.transaction(readonly=True) as tx:
        charged = await tx.all("SELECT amount, status FROM payments.payments")
    assert [tuple(row) for row in charged] == []
    again = await client.post("/v1/payment_intents", whole, key="k")
    assert (again.status, again.json.get("amount")) == (200, 1_200_000), again.body


async def test_refund_of_a_part_that_was_cut_off_refunds_nothing(client, world) -> None:
    """Without its last parameter it would be a refund of everything."""
    card = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    paid = (await client.post("/v1/payment_intents", card)).json["id"]
    whole = f"payment_intent={paid}&amount=100"

    await _cut_off(client, "/v1/refunds", whole, f"payment_intent={paid}", "r")

    async with world.db.transaction(readonly=True) as tx:
        given = await tx.all("SELECT amount, status FROM payments.refunds")
    assert [tuple(row) for row in given] == []


async def test_spend_that_was_cut_off_spends_nothing(client) -> None:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    made = await client.post("/v1/wallets", {"customer": customer, "currency": "usd"})
    wallet = made.json["id"]
    top_up = {"wallet": wallet, "amount": 5000, "currency": "usd", "payment_method": "pm_card_visa"}
    assert (await client.post("/v1/top_ups", top_up)).status == 200
    whole = "currency=usd&amount=3000"

    await _cut_off(client, f"/v1/wallets/{wallet}/spend", whole, whole.removesuffix("00"), "s")

    assert (await client.get(f"/v1/wallets/{wallet}")).json["balance"] == 5000
