"""Case 7: looking changes nothing, however often the page is reloaded."""

from tests.hard_cases.deeds import METHODS, nothing_moves, truth
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
