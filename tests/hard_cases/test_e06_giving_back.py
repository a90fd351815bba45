"""Case 6, further: the second payment does not go back at once; it is tried anew, and never twice."""

import asyncio
from datetime import timedelta

import pytest

from tests.hard_cases.deeds import (
    HASTY,
    attempts,
    behave,
    breaks,
    journals,
    refunds,
    rule,
    truth,
    two_orders,
)
from tests.worlds import MERCHANT, World
from tillgate.connectors import port
from tillgate.entry import doctor
from tillgate.payments import breaks as settling
from tillgate.payments import jobs, surplus
from tillgate.payments.errors import NothingToAsk
from tillgate.payments.flows import NO_TRACE
from tillgate.payments.model import Attempt, Payment, Refund, RefundHeard


async def paid_twice(world: World) -> tuple[Payment, Attempt]:
    """A payment that succeeded at WeChat Pay, and its old order at Alipay, paid late."""
    payment = await two_orders(world)
    first, second = await attempts(world, payment)
    await world.control("wechat_pay", f"orders/{second.id}/pay")
    payment = await world.until_paid(payment)
    await world.control("alipay", f"orders/{first.id}/pay", {"late": True})
    return payment, first


async def until(world: World, payment: Payment, *statuses: str) -> None:
    async def stands() -> bool:
        return [refund.status for refund in await refunds(world, payment)] == list(statuses)

    await world.until(stands, sweep=True)


async def assert_given_back_once(world: World, payment: Payment, first: Attempt) -> None:
    assert (await truth(world, "alipay"))[first.id].refunds == (10_000,)
    assert await world.balance_of("suspense:second_payment") == 0
    assert await world.balance(world.wallet) == 10_000
    assert (await world.payment(payment.id)).amount_refunded == 0
    await world.assert_books_hold()


async def test_second_payment_that_is_refused_goes_back_at_the_next_try(world: World) -> None:
    rule(world, "alipay", "refund", "refuse", next=1)
    payment, first = await paid_twice(world)

    await until(world, payment, "failed", "succeeded")

    failed, made = await refunds(world, payment)
    assert failed.id != made.id
    assert (failed.surplus, made.surplus) == (True, True)
    assert (failed.look_up_at, made.look_up_at) == (None, None)
    assert await journals(world, f"refund_failed:{failed.id}") == 1
    assert await journals(world, f"refund_made:{made.id}") == 1
    await assert_given_back_once(world, payment, first)


async def test_it_is_tried_later_each_time_and_then_a_person_is_told(world: World) -> None:
    rule(world, "alipay", "refund", "refuse")
    payment, _ = await paid_twice(world)

    for tried in range(1, len(surplus.WAITS) + 1):
        await until(world, payment, *["failed"] * tried)
        *_, last = await refunds(world, payment)
        wait = timedelta(seconds=surplus.WAITS[tried - 1])
        assert last.look_up_at is not None, "it will be tried again"
        assert wait - timedelta(seconds=5) < last.look_up_at - world.clock.now() <= wait
        assert "second_payment_kept" not in await breaks(world)
        await jobs.look_up_due_refunds(world.payments)
        assert len(await refunds(world, payment)) == tried, "not before its time"
    await until(world, payment, *["failed"] * (len(surplus.WAITS) + 1))
    for _ in range(3):
        await world.sweep()

    assert len(await refunds(world, payment)) == len(surplus.WAITS) + 1
    assert sorted(await breaks(world)) == ["second_payment", "second_payment_kept"]
    assert await world.balance_of("suspense:second_payment") == 10_000
    findings = await doctor.examine(world.db, doctor.everything(world.clock.now()))
    sick = {finding.check: finding for finding in findings if not finding.is_healthy}
    assert set(sick) == {"breaks_are_resolved", "second_payments_go_back"}
    assert "payments.refunds" in (sick["second_payments_go_back"].query or "")
    await world.assert_books_hold()


async def test_a_person_lets_it_be_tried_once_more(world: World) -> None:
    """As the runbook says, once the provider takes refunds again."""
    rule(world, "alipay", "refund", "refuse")
    payment, first = await paid_twice(world)
    await until(world, payment, *["failed"] * (len(surplus.WAITS) + 1))
    behave(world, "alipay")
    async with world.db.transaction() as tx:
        open_breaks = await settling.listed(tx)
        [kept] = [one for one in open_breaks if one.kind == "second_payment_kept"]
        await settling.ask_again(tx, kept.id, at=world.clock.now())

    async def given_back() -> bool:
        return (await refunds(world, payment))[-1].status == "succeeded"

    await world.until(given_back, sweep=True)
    async with world.db.transaction() as tx:
        done = await settling.resolve(tx, kept.id, "paid back", returned=False, at=kept.created_at)
        with pytest.raises(NothingToAsk):
            await settling.ask_again(tx, open_breaks[-1].id, at=world.clock.now())
    assert done.resolution == "paid back"
    assert await breaks(world) == ["second_payment"]
    await assert_given_back_once(world, payment, first)


@pytest.mark.parametrize("kind", ["timeout_after", "reset_before"])
async def test_lost_answer_to_the_second_try_is_looked_up(world: World, kind: str) -> None:
    rule(world, "alipay", "refund", "refuse", next=1)
    rule(world, "alipay", "refund", kind, next=1)
    payment, first = await paid_twice(world)

    await until(world, payment, "failed", "succeeded")

    await assert_given_back_once(world, payment, first)


async def test_process_that_dies_between_ordering_and_sending_it_anew(world: World) -> None:
    rule(world, "alipay", "refund", "refuse", next=1)
    payment, first = await paid_twice(world)
    await until(world, payment, "failed")
    [failed] = await refunds(world, payment)

    for _ in range(3):  # it dies, and whoever comes next does the same again
        async with world.db.transaction() as tx:
            await surplus.order_again(tx, failed, NO_TRACE, at=world.clock.now())

    assert [r.status for r in await refunds(world, payment)] == ["failed", "created"]
    assert (await truth(world, "alipay"))[first.id].refunds == ()
    await until(world, payment, "failed", "succeeded")
    await assert_given_back_once(world, payment, first)


async def test_workers_that_try_at_the_same_moment_give_back_once(world: World) -> None:
    world.payments.look_ups = HASTY  # leases run out while they are held
    rule(world, "alipay", "refund", "refuse", next=1)
    rule(world, "alipay", "refund", "latency", seconds=0.2)
    payment, first = await paid_twice(world)
    await until(world, payment, "failed")
    [failed] = await refunds(world, payment)

    async def given_back() -> bool:
        return (await refunds(world, payment))[-1].status == "succeeded"

    await asyncio.gather(*(world.payments.resolve_refund(failed) for _ in range(20)))
    async with asyncio.timeout(20):
        while not await given_back():
            await asyncio.gather(*(world.sweep() for _ in range(5)))

    assert [r.status for r in await refunds(world, payment)] == ["failed", "succeeded"]
    await assert_given_back_once(world, payment, first)


async def test_one_that_was_made_after_all_is_not_given_back_again(world: World) -> None:
    """The provider said no and then yes: a contradiction for a person, not money paid twice."""
    rule(world, "alipay", "refund", "timeout_after", next=1)
    payment, first = await paid_twice(world)
    await until_ordered(world, payment)
    [order] = await refunds(world, payment)
    await say(world, order, port.RefundFailed("declined", "No."))
    assert [r.status for r in await refunds(world, payment)] == ["failed"]

    for _ in range(3):
        await world.sweep()

    assert [r.status for r in await refunds(world, payment)] == ["failed"]
    assert (await truth(world, "alipay"))[first.id].refunds == (10_000,)
    assert sorted(await breaks(world)) == ["contradiction", "second_payment"]
    findings = await doctor.examine(world.db, doctor.everything(world.clock.now()))
    assert {f.check for f in findings if not f.is_healthy} == {
        "breaks_are_resolved",
        "second_payments_go_back",
    }


async def until_ordered(world: World, payment: Payment) -> None:
    async def made() -> bool:
        found = await truth(world, "alipay")
        return any(order.refunds for order in found.values())

    await world.until(made, sweep=True)


async def say(world: World, refund: Refund, outcome: port.RefundOutcome) -> None:
    heard = RefundHeard(merchant_id=MERCHANT, refund_id=refund.id, outcome=outcome)
    await world.payments._refund_hearings.submit(heard)
