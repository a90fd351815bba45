"""One suite for every connector, against its simulator, over real sockets.

A connector may stand on the money path only if all of this holds for it.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from simulators.common.faults import FaultKind
from simulators.common.simulator import WrongState
from tests.contract.worlds import CLOCK, World
from tillgate.connectors.port import (
    AttemptNotice,
    BadNotice,
    Closed,
    Connector,
    Declined,
    NotFound,
    Notifying,
    NotSent,
    Paid,
    Redirect,
    Refunded,
    RefundFailed,
    RefundNotice,
    RefundPending,
    ShowQr,
    Unknown,
    Waiting,
)
from tillgate.connectors.registry import build
from tillgate.connectors.transport import HttpTransport
from tillgate.kernel.money import Money

BEFORE = [
    FaultKind.TIMEOUT_BEFORE,
    FaultKind.RESET_BEFORE,
    FaultKind.HTTP_500_BEFORE,
    FaultKind.HTTP_429_BEFORE,
    FaultKind.SYSTEM_ERROR_BEFORE,
]
AFTER = [
    FaultKind.TIMEOUT_AFTER,
    FaultKind.RESET_AFTER,
    FaultKind.HTTP_500_AFTER,
    FaultKind.HTTP_429_AFTER,
    FaultKind.SYSTEM_ERROR_AFTER,
    FaultKind.MALFORMED,
    FaultKind.BAD_SIGNATURE,
    FaultKind.NO_SIGNATURE,
]


# Charging ---------------------------------------------------------------------------------------


async def test_a_charge_waits_for_the_customer_and_is_paid_on_the_phone(world: World) -> None:
    charge = world.charge_of(1230)

    outcome = await world.charge(charge)
    world.pay(charge)
    found = await world.look_up(charge)

    assert isinstance(outcome, Waiting)
    assert isinstance(outcome.step, ShowQr | Redirect)
    assert isinstance(found, Paid)
    assert found.amount == Money(1230, world.currency)
    assert found.reference
    assert found.at is not None
    assert abs((found.at - CLOCK.now()).total_seconds()) < 60


async def test_an_order_nobody_paid_is_never_paid(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)

    found = await world.look_up(charge)

    assert isinstance(found, NotFound if world.name == "alipay" else Waiting)


async def test_an_order_never_made_is_not_found(world: World) -> None:
    charge = world.charge_of()
    world.opened[charge.attempt_id] = CLOCK.now()

    assert await world.look_up(charge) == NotFound()


async def test_an_order_refused_for_good_is_declined(world: World) -> None:
    charge = world.charge_of(payment_method="pm_card_visa")
    world.strike(FaultKind.REFUSE, "create")

    outcome = await world.charge(charge)

    assert isinstance(outcome, Declined | NotSent)
    assert not isinstance(await world.look_up(charge), Paid)


async def test_a_customer_whose_bank_refuses_has_not_paid(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)
    world.open_on_phone(charge)
    world.simulator.decline(charge.attempt_id)

    found = await world.look_up(charge)

    assert isinstance(found, Declined if world.name == "stripe" else Waiting)


# Answers that are lost or cannot be read ----------------------------------------------------------


@pytest.mark.parametrize("kind", BEFORE)
async def test_a_lost_answer_to_an_order_not_made_is_unknown(world: World, kind: FaultKind) -> None:
    charge = world.charge_of()
    world.strike(kind, "create")

    outcome = await world.charge(charge)

    assert isinstance(outcome, Unknown), outcome
    assert await world.look_up(charge) == NotFound()


@pytest.mark.parametrize("kind", AFTER)
async def test_a_lost_answer_to_an_order_made_is_unknown_until_looked_up(
    world: World, kind: FaultKind
) -> None:
    if world.name == "stripe" and kind is FaultKind.MALFORMED:
        kind = FaultKind.RESET_AFTER
    charge = world.charge_of(payment_method="pm_card_visa")
    world.strike(kind, "create")

    outcome = await world.charge(charge)
    if world.name != "stripe":
        world.pay(charge)
    found = await world.look_up(charge)

    assert isinstance(outcome, Unknown), outcome
    assert isinstance(found, Paid), found
    assert found.amount == charge.amount


@pytest.mark.parametrize("kind", [*BEFORE, FaultKind.MALFORMED])
async def test_a_question_whose_answer_is_lost_says_nothing(world: World, kind: FaultKind) -> None:
    charge = world.charge_of()
    await world.charge(charge)
    world.pay(charge)
    world.strike(kind, "query", times=4)

    found = await world.look_up(charge)

    assert isinstance(found, Unknown), found


async def test_too_many_requests_is_not_a_decline(world: World) -> None:
    charge = world.charge_of()
    world.strike(FaultKind.HTTP_429_BEFORE, "create")

    outcome = await world.charge(charge)

    assert isinstance(outcome, Unknown)
    assert "429" in outcome.reason


async def test_a_refused_connection_is_certainly_not_sent(world: World) -> None:
    charge = world.charge_of()
    await world.simulator.server.stop()

    outcome = await world.charge(charge)
    found = await world.look_up(charge)

    assert isinstance(outcome, NotSent)
    assert isinstance(found, Unknown), "a question not sent proves nothing about the order"


async def test_an_unknown_host_is_certainly_not_sent(world: World) -> None:
    where = "gateway_url" if world.name == "alipay" else "base_url"
    account = {**world.account, where: "http://nowhere.invalid/gateway.do"}
    connector: Connector = build(world.name, account, world.transport)

    outcome = await connector.charge(world.charge_of(), now=CLOCK.now())

    assert isinstance(outcome, NotSent)


async def test_the_same_order_twice_is_one_order(world: World) -> None:
    charge = world.charge_of(payment_method="pm_card_visa")
    world.strike(FaultKind.RESET_AFTER, "create")

    first = await world.charge(charge)
    second = await world.charge(charge)
    if world.name != "stripe":
        world.pay(charge)
    found = await world.look_up(charge)

    assert isinstance(first, Unknown)
    assert isinstance(second, Paid if world.name == "stripe" else Waiting), second
    assert isinstance(found, Paid)
    orders = world.simulator.phone_orders()
    assert [each.out_trade_no for each in orders] == [charge.attempt_id]


async def test_no_call_is_made_while_a_transaction_is_open(world: World) -> None:
    from tillgate.runtime import db  # noqa: PLC0415  its private counter is what we set

    charge = world.charge_of()
    token = db._holding.set(1)
    try:
        with pytest.raises(AssertionError):
            await world.charge(charge)
    finally:
        db._holding.reset(token)


# Closing ------------------------------------------------------------------------------------------


async def test_an_unpaid_order_is_closed_and_stays_so(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)
    world.open_on_phone(charge)

    closed = await world.close(charge)
    again = await world.close(charge)

    assert closed == Closed()
    assert again == Closed()
    assert await world.look_up(charge) == Closed()


async def test_closing_too_late_says_paid(world: World) -> None:
    charge, paid = await world.paid()

    assert await world.close(charge) == paid


async def test_a_lost_answer_to_closing_is_unknown(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)
    world.open_on_phone(charge)
    world.strike(FaultKind.TIMEOUT_AFTER, "close")

    assert isinstance(await world.close(charge), Unknown)
    assert await world.look_up(charge) == Closed()


async def test_paying_and_closing_at_once_ends_one_way(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)
    world.open_on_phone(charge)

    async def pay() -> None:
        await asyncio.sleep(0.001)
        with contextlib.suppress(WrongState):
            world.simulator.pay(charge.attempt_id)

    closed, _ = await asyncio.gather(world.close(charge), pay())
    found = await world.look_up(charge)

    assert isinstance(closed, Closed | Paid)
    assert closed == found


# What they say of amounts -----------------------------------------------------------------------------


async def test_another_amount_is_told_as_it_is(world: World) -> None:
    charge = world.charge_of(4011)
    await world.charge(charge)
    world.pay(charge)

    found = await world.look_up(charge)

    assert isinstance(found, Paid)
    assert found.amount != charge.amount
    assert found.amount.currency == charge.amount.currency


# Notices ------------------------------------------------------------------------------------------


def _payments(notices: list[object]) -> list[AttemptNotice]:
    return [
        each
        for each in notices
        if isinstance(each, AttemptNotice) and isinstance(each.outcome, Paid)
    ]


async def test_a_notice_of_a_payment_says_what_the_question_says(world: World) -> None:
    charge, paid = await world.paid()
    await world.simulator.sender.settle()

    notices = _payments(list(await world.notices(1)))

    assert [each.attempt_id for each in notices] == [charge.attempt_id]
    outcome = notices[0].outcome
    assert isinstance(outcome, Paid)
    assert (outcome.reference, outcome.amount) == (paid.reference, paid.amount)
    assert world.simulator.sender.acked == world.simulator.sender.sent > 0
    assert not world.simulator.sender.unfinished


async def test_a_tampered_notice_is_bad(world: World) -> None:
    await world.paid()
    await world.simulator.sender.settle()
    assert isinstance(world.connector, Notifying)
    await world.notices(1)
    headers, body = world.ear.heard[-1]

    for other_headers, other_body in (
        (headers, body.replace(b"1", b"2", 1)),
        (headers, body[:-1]),
        (headers, b""),
        (headers, b"\xff\xfe<xml>"),
        ({}, body if world.name != "alipay" else body.replace(b"sign=", b"sing=")),
    ):
        with pytest.raises(BadNotice):
            world.connector.read_notice(other_headers, other_body, now=CLOCK.now())


async def test_a_wrongly_signed_notice_is_bad(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)
    await world.simulator.sender.settle()
    world.ear.heard.clear()
    world.strike(FaultKind.BAD_SIGNATURE, "notice", times=9)
    world.pay(charge)

    with pytest.raises(BadNotice):
        await world.notices(1)


async def test_a_refused_notice_comes_again(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)
    await world.simulator.sender.settle()
    assert isinstance(world.connector, Notifying)
    refusal = world.connector.ack(accepted=False)
    world.ear.heard.clear()
    world.ear.ack = lambda: (refusal.status, refusal.body)

    world.pay(charge)
    await world.notices(1)
    await world.simulator.sender.settle()

    assert world.simulator.sender.unfinished


# Refunds ----------------------------------------------------------------------------------------------


async def _finished(world: World, order: object) -> object:
    async with asyncio.timeout(5):
        while True:
            found = await world.look_up_refund(order)  # pyright: ignore[reportArgumentType]
            if not isinstance(found, RefundPending):
                return found
            await asyncio.sleep(0.02)


async def test_two_equal_partial_refunds_are_two(world: World) -> None:
    charge, paid = await world.paid(1000)
    first, second = world.refund_of(charge, paid, 300), world.refund_of(charge, paid, 300)

    outcomes = [await world.refund(first), await world.refund(second)]

    assert all(isinstance(each, Refunded | RefundPending) for each in outcomes), outcomes
    for order in (first, second):
        found = await _finished(world, order)
        assert isinstance(found, Refunded)
        assert found.amount == Money(300, world.currency)


async def test_one_refund_sent_twice_is_one(world: World) -> None:
    charge, paid = await world.paid(1000)
    order = world.refund_of(charge, paid, 600)

    outcomes = [await world.refund(order), await world.refund(order)]
    beyond = await world.refund(world.refund_of(charge, paid, 500))

    assert all(isinstance(each, Refunded | RefundPending) for each in outcomes), outcomes
    assert isinstance(beyond, RefundFailed), "only 400 is left"
    assert isinstance(await _finished(world, order), Refunded)


async def test_a_lost_answer_to_a_refund_is_unknown_until_looked_up(world: World) -> None:
    charge, paid = await world.paid(1000)
    order = world.refund_of(charge, paid, 1000)
    world.strike(FaultKind.TIMEOUT_AFTER, "refund")

    outcome = await world.refund(order)

    assert isinstance(outcome, Unknown)
    assert isinstance(await _finished(world, order), Refunded)
    assert isinstance(await world.refund(order), Refunded | RefundPending)


async def test_a_refund_never_made_is_not_found(world: World) -> None:
    charge, paid = await world.paid(1000)
    order = world.refund_of(charge, paid, 1000)
    world.strike(FaultKind.TIMEOUT_BEFORE, "refund")

    assert isinstance(await world.refund(order), Unknown)
    assert await world.look_up_refund(order) == NotFound()


async def test_a_refused_connection_is_a_refund_not_sent(world: World) -> None:
    charge, paid = await world.paid(1000)
    order = world.refund_of(charge, paid, 1000)
    await world.simulator.server.stop()

    assert isinstance(await world.refund(order), NotSent)
    assert isinstance(await world.look_up_refund(order), Unknown)


async def test_a_refund_under_way_is_not_made_yet(world: World) -> None:
    charge, paid = await world.paid(4023)
    order = world.refund_of(charge, paid, 1000)

    outcome = await world.refund(order)
    found = await world.look_up_refund(order)

    assert isinstance(outcome, RefundPending)
    # Alipay cannot tell a refund under way from one never asked for.
    assert isinstance(found, NotFound if world.name == "alipay" else RefundPending)


async def test_a_refund_that_fails_later_is_told(world: World) -> None:
    charge, paid = await world.paid(4017)
    order = world.refund_of(charge, paid, 1000)

    outcome = await world.refund(order)
    async with asyncio.timeout(5):
        found = await world.look_up_refund(order)
        while isinstance(found, Refunded | RefundPending):
            await asyncio.sleep(0.02)
            found = await world.look_up_refund(order)

    assert isinstance(outcome, Refunded | RefundPending)
    # At Alipay a refund that failed is as if never asked for; the same number asks again.
    assert isinstance(found, NotFound if world.name == "alipay" else RefundFailed)


async def test_a_notice_of_a_refund_is_never_a_payment(world: World) -> None:
    charge, paid = await world.paid(1000)
    await world.simulator.sender.settle()
    world.ear.heard.clear()
    order = world.refund_of(charge, paid, 400)

    await world.refund(order)
    await _finished(world, order)
    await world.simulator.sender.settle()
    notices = await world.notices(1)

    assert not _payments(list(notices))
    told = [each for each in notices if isinstance(each, RefundNotice)]
    assert {each.refund_id for each in told} == {order.refund_id}
    assert all(isinstance(each.outcome, Refunded | RefundPending) for each in told)


async def test_a_transport_is_one_pool(world: World) -> None:
    assert isinstance(world.transport, HttpTransport)
    charges = [world.charge_of() for _ in range(20)]

    outcomes = await asyncio.gather(*(world.charge(each) for each in charges))

    assert all(isinstance(each, Waiting) for each in outcomes)
