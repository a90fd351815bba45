"""A provider's "no" to a refund is believed only if that very refund is not there."""

from __future__ import annotations

from simulators.card.accounts import Account
from simulators.card.simulator import CardSimulator
from simulators.common.faults import FaultKind
from tests.contract.worlds import World
from tillgate.connectors.port import NotFound, Refunded, RefundFailed, RefundPending, Unknown


async def test_a_refund_that_is_refused_and_not_made_has_failed(world: World) -> None:
    charge, paid = await world.paid(1000)
    order = world.refund_of(charge, paid, 1000)
    world.strike(FaultKind.REFUSE, "refund")

    assert isinstance(await world.refund(order), RefundFailed)
    assert await world.look_up_refund(order) == NotFound()


async def test_a_refusal_to_repeat_a_refund_that_was_made_is_not_believed(world: World) -> None:
    charge, paid = await world.paid(1000)
    order = world.refund_of(charge, paid, 1000)
    world.strike(FaultKind.TIMEOUT_AFTER, "refund")
    assert isinstance(await world.refund(order), Unknown)
    if world.name == "stripe":
        # The same key would be answered as before: as after the day for which Stripe keeps it.
        _account_of(world).answers.clear()
    world.strike(FaultKind.REFUSE, "refund")

    assert isinstance(await world.refund(order), Refunded | RefundPending)


async def test_a_refusal_is_not_believed_while_nobody_answers_what_was_made(world: World) -> None:
    charge, paid = await world.paid(1000)
    order = world.refund_of(charge, paid, 1000)
    world.strike(FaultKind.REFUSE, "refund")
    world.strike(FaultKind.TIMEOUT_BEFORE, "refund_query")

    assert isinstance(await world.refund(order), Unknown)


def _account_of(world: World) -> Account:
    assert isinstance(world.simulator, CardSimulator)
    return next(iter(world.simulator.accounts.values()))
