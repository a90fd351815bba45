"""Case 7: looking changes nothing, however often the page is reloaded."""

from tests.hard_cases.deeds import METHODS, nothing_moves, truth
from tests.serving import Client
from tests.worlds import MERCHANT, World
from tillgate.payments import queries


async def test_reading_an_open_payment_moves_nothing_here_or_there(world: World) -> None:
    payments = [await world.pay(method) for method in METHODS]
    before = [await truth(world, method) for method in METHODS]

    async with nothing_moves(world):
        for payment in payments * 5:
            async with world.db.transaction(readonly=True) as tx:
                await queries.payment(tx, MERCHANT, payment.id)
                await queries.attempts_of(tx, MERCHANT, payment.id)
                await queries.charge(tx, MERCHANT, payment.latest_attempt or "")

    assert [await truth(world, method) for method in METHODS] == before


async def test_get_over_http_moves_nothing(world: World, client: Client) -> None:
    body = "amount=5000&currency=cny&payment_method=alipay&confirm=true"
    made = await client.post("/v1/payment_intents", body)
    assert made.json["status"] == "requires_action", made.body
    before = await truth(world, "alipay")

    async with nothing_moves(world):
        for _ in range(5):
            got = await client.get(f"/v1/payment_intents/{made.json['id']}")
            assert got.json["status"] == "requires_action"

    assert await truth(world, "alipay") == before
