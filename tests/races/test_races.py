"""Fifty at once, over real connections of several processes: no cap is ever exceeded."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from tests.hard_cases.deeds import attempts, journals, paid, refunds, simulator, truth
from tests.worlds import CONFIRMATIONS, MERCHANT, World
from tillgate.kernel import ids
from tillgate.kernel.errors import Refusal
from tillgate.payments import jobs
from tillgate.payments.errors import UnexpectedState
from tillgate.payments.flows import NO_TRACE, Payments
from tillgate.payments.model import NewRefund, Payment, RefundView


async def fifty(
    processes: Sequence[Payments], do: Callable[[Payments], Awaitable[Any]]
) -> list[Any]:
    """Do it fifty times at once, shared out among the processes; only refusals are forgiven."""
    results = await asyncio.gather(
        *(do(processes[n % len(processes)]) for n in range(50)), return_exceptions=True
    )
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Refusal):
            raise result
    return results


async def test_fifty_refunds_in_four_processes(world: World, processes: list[Payments]) -> None:
    payment = await paid(world, "wechat_pay")

    def refund(payments: Payments) -> Awaitable[RefundView]:
        order = NewRefund(
            merchant_id=MERCHANT, id=ids.new_id("re"), payment_id=payment.id, amount=700
        )
        return payments.refund(order, NO_TRACE)

    results = await fifty(processes, refund)

    assert sum(isinstance(result, RefundView) for result in results) == 14
    assert (await world.payment(payment.id)).amount_refunded == 9_800

    async def settled() -> bool:
        return {r.status for r in await refunds(world, payment)} == {"succeeded"}

    await world.until(settled, sweep=True)
    told = (await truth(world, "wechat_pay"))[payment.latest_attempt or ""]
    assert sum(told.refunds) == 9_800
    await world.assert_books_hold()


async def test_fifty_captures(world: World, processes: list[Payments]) -> None:
    payment = await world.pay("card", capture_method="manual")

    await fifty(processes, lambda p: p.capture(MERCHANT, payment.id, 6_000, NO_TRACE))

    done = await world.until_paid(payment)
    assert done.amount_received == 6_000
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    assert (await truth(world, "card"))[payment.latest_attempt or ""].paid == 6_000
    await world.assert_books_hold()


async def test_fifty_captures_of_different_amounts_take_one_of_them(
    world: World, processes: list[Payments]
) -> None:
    payment = await world.pay("card", capture_method="manual")
    amounts = iter(range(1_000, 1_050))

    await fifty(processes, lambda p: p.capture(MERCHANT, payment.id, next(amounts), NO_TRACE))

    done = await world.until_paid(payment, sweep=True)
    told = (await truth(world, "card"))[payment.latest_attempt or ""]
    assert done.amount_received == told.paid
    await world.assert_books_hold()


async def test_fifty_confirmations(world: World, processes: list[Payments]) -> None:
    payment = await world.pay("card", confirmation=None)

    results = await fifty(processes, lambda p: p.confirm(payment, CONFIRMATIONS["card"], NO_TRACE))

    assert sum(isinstance(result, Payment) for result in results) == 1
    assert sum(isinstance(result, UnexpectedState) for result in results) == 49
    assert len(await attempts(world, payment)) == 1
    await world.assert_books_hold()


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_cancel_against_the_payer(
    world: World, processes: list[Payments], method: str
) -> None:
    payments = [await world.pay(method, 1_000 + n) for n in range(12)]

    async def cancel(n: int) -> None:
        with contextlib.suppress(UnexpectedState):
            await processes[n % 4].cancel(MERCHANT, payments[n].id, None, NO_TRACE)

    async def pay(n: int) -> None:
        with contextlib.suppress(AssertionError):  # it was closed already, says the phone
            await world.phone_pays(method, payments[n])

    await asyncio.gather(*(deed(n) for n in range(12) for deed in (cancel, pay)))
    await simulator(world, method).sender.settle()
    await world.payments.finish()
    await world.sweep()

    told = await truth(world, method)
    for payment in payments:
        took = told[payment.latest_attempt or ""].paid
        assert (await world.payment(payment.id)).amount_received == took
    assert await world.balance(world.wallet) == sum(each.paid for each in told.values())
    await world.assert_books_hold()


async def test_fifty_equal_notices_in_four_processes(
    world: World, processes: list[Payments]
) -> None:
    payment = await paid(world, "wechat_pay")
    async with world.db.transaction() as tx:
        row = await tx.one("SELECT headers::text AS headers, body FROM runtime.notices LIMIT 1")
    headers = json.loads(row["headers"])

    await fifty(
        processes, lambda p: p.notices.receive(MERCHANT, "pa_wechat_pay", headers, row["body"])
    )
    await asyncio.gather(*(process.finish() for process in processes))

    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    assert (await world.facts(payment.id)).count("payment.succeeded") == 1
    await world.assert_books_hold()


async def test_four_workers_ask_once_about_each(world: World, processes: list[Payments]) -> None:
    payments = [await world.pay("wechat_pay", 1_000 + n) for n in range(20)]
    async with world.db.transaction() as tx:
        await tx.run("UPDATE payments.attempts SET look_up_at = '2001-01-01'")

    counts = await asyncio.gather(*(jobs.look_up_due(process) for process in processes))

    assert max(counts) == 20
    for payment in payments:
        [attempt] = await attempts(world, payment)
        assert attempt.look_ups == 1
