"""A notice and its effect are one transaction; whatever comes between, it is neither lost nor doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from tests.hard_cases.deeds import journals, paid, raw_notice, simulator
from tests.worlds import MERCHANT, World
from tillgate.connectors import port
from tillgate.payments import jobs
from tillgate.payments.flows import Payments
from tillgate.payments.model import Payment

ACCOUNT = "pa_wechat_pay"
HASTY, PATIENT = 0.05, 30.0


@dataclass(frozen=True)
class Told:
    """A genuine notice on its way to us."""

    headers: Mapping[str, str]
    body: bytes

    async def reach(self, payments: Payments) -> port.Ack:
        """Let it come to a process."""
        return await payments.notices.receive(MERCHANT, ACCOUNT, self.headers, self.body)


async def _told(world: World) -> tuple[Payment, Told]:
    """A payment that has been paid, and the notice of it that nobody has heard yet."""
    payment = await world.pay("wechat_pay")
    told: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
    ours = world.payments.notices

    class Postman:
        async def receive(
            self, _merchant: int, _account: str, headers: Mapping[str, str], body: bytes
        ) -> port.Ack:
            told.set_result(Told(headers, body))
            return port.Ack(200, b"", "text/plain")

    world.payments.notices = Postman()
    await world.phone_pays("wechat_pay", payment)
    notice = await told
    world.payments.notices = ours
    return payment, notice


async def _stored(world: World) -> list[Any]:
    async with world.db.transaction(readonly=True) as tx:
        return await tx.all("SELECT * FROM runtime.notices ORDER BY id")


async def _statuses(world: World) -> list[tuple[str, bool, str | None]]:
    """Where each stands, and whether somebody will still take it up."""
    return [(r["status"], r["next_at"] is not None, r["note"]) for r in await _stored(world)]


async def _assert_credited_once(world: World, payment: Payment) -> None:
    assert await world.balance(world.wallet) == 10_000
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    assert (await world.facts(payment.id)).count("payment.succeeded") == 1
    await world.assert_books_hold()


@asynccontextmanager
async def _held(world: World, table: str = "payments.payments") -> AsyncIterator[None]:
    """Somebody holds the payment's row, or the books."""
    async with world.db.transaction() as tx:
        await tx.one(f"SELECT 1 FROM {table} FOR UPDATE")  # type: ignore[arg-type]
        yield


def _first_commit(world: World, do: Callable[[], Awaitable[None]]) -> None:
    """Do it before the next commit of this process, and nothing before those after it."""

    async def once() -> None:
        world.db.before_commit = None
        await do()

    world.db.before_commit = once


# One transaction ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
async def test_notice_is_written_once_together_with_its_effect(world: World, method: str) -> None:
    payment = await world.pay(method)

    await world.phone_pays(method, payment)
    await simulator(world, method).sender.settle()

    async with world.db.transaction(readonly=True) as tx:
        row = await tx.one(
            "SELECT n.status, n.next_at, n.applied_at, n.xmin = p.xmin AS is_one"
            " FROM runtime.notices n, payments.payments p"
        )
    assert (row["status"], row["next_at"], row["is_one"]) == ("applied", None, True)
    assert row["applied_at"] is not None
    await _assert_credited_once(world, payment)


async def test_notice_of_a_refund_is_written_once_together_with_its_effect(world: World) -> None:
    payment = await paid(world, "wechat_pay")
    view = await world.refund(payment, 2_500)

    async def told() -> bool:
        return len(await _stored(world)) == 2

    await world.until(told)
    async with world.db.transaction(readonly=True) as tx:
        rows = await tx.all(
            "SELECT r.status, n.status AS notice FROM runtime.notices n, payments.refunds r"
            " WHERE n.xmin = r.xmin AND r.id = $1",
            view.refund.id,
        )
    assert [(row["status"], row["notice"]) for row in rows] == [("succeeded", "applied")]


async def test_notice_of_no_consequence_is_written_once(world: World) -> None:
    raw = raw_notice(world, "pa_stripe")

    await world.payments.notices._apply_or_store(raw, port.OtherNotice("customer.created"), None)

    assert await _statuses(world) == [("applied", False, "customer.created")]


async def test_nobody_is_answered_before_the_commit(world: World) -> None:
    payment, told = await _told(world)
    world.payments.notices.patience_seconds = PATIENT
    hold = asyncio.Event()
    _first_commit(world, lambda: _wait(hold))

    answer = asyncio.create_task(told.reach(world.payments))
    await asyncio.sleep(0.2)
    assert not answer.done()
    assert await _stored(world) == []

    hold.set()
    assert (await answer).status == 200
    await _assert_credited_once(world, payment)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


# At the same time --------------------------------------------------------------------------------


async def test_notice_that_comes_many_times_at_once_credits_once(
    world: World, processes: list[Payments]
) -> None:
    payment, told = await _told(world)

    answers = await asyncio.gather(*(told.reach(process) for process in processes * 3))

    assert {answer.status for answer in answers} == {200}
    await asyncio.gather(*(process.finish() for process in processes))
    assert await _statuses(world) == [("applied", False, None)] * 12
    await _assert_credited_once(world, payment)


async def test_notice_that_comes_at_once_and_is_always_stored_first_credits_once(
    world: World, processes: list[Payments]
) -> None:
    """Both writes of a notice are under way at a time, and end in whatever order."""
    payment, told = await _told(world)
    for process in processes:
        process.notices.patience_seconds = 0

    await asyncio.gather(*(told.reach(process) for process in processes * 3))

    await asyncio.gather(*(process.finish() for process in processes))
    assert await _statuses(world) == [("applied", False, None)] * 12
    await _assert_credited_once(world, payment)


# Later than the provider would wait --------------------------------------------------------------


@pytest.mark.parametrize("table", ["payments.payments", "ledger.books"])
async def test_notice_that_has_to_wait_is_stored_and_answered_and_applied_later(
    world: World, table: str
) -> None:
    payment, told = await _told(world)
    world.payments.notices.patience_seconds = HASTY

    async with _held(world, table):
        async with asyncio.timeout(2):
            assert (await told.reach(world.payments)).status == 200
        assert await _statuses(world) == [("received", True, None)]
        assert await world.balance(world.wallet) == 0

    await world.payments.finish()
    assert await _statuses(world) == [("applied", False, None)]
    await _assert_credited_once(world, payment)


async def test_notice_that_waits_here_and_is_taken_up_by_a_worker_too_is_applied_once(
    world: World, processes: list[Payments]
) -> None:
    payment, told = await _told(world)
    world.payments.notices.patience_seconds = HASTY

    async with _held(world):
        await told.reach(world.payments)
        async with world.db.transaction() as tx:
            await tx.run("UPDATE runtime.notices SET next_at = '2000-01-01'")
        workers = [asyncio.create_task(jobs.apply_stored_notices(each)) for each in processes[:2]]
        await asyncio.sleep(0.2)

    assert sum(await asyncio.gather(*workers)) >= 1, "it was due"
    await world.payments.finish()
    assert await _statuses(world) == [("applied", False, None)]
    await _assert_credited_once(world, payment)


async def test_notice_of_nothing_of_ours_that_had_to_wait_says_why(world: World) -> None:
    payment, told = await _told(world)
    world.payments.notices.patience_seconds = HASTY
    hold = asyncio.Event()
    async with world.db.transaction() as tx:
        await tx.run("UPDATE payments.attempts SET id = id || 'x'")
        await tx.run("UPDATE payments.payments SET open_attempt = open_attempt || 'x'")
    _first_commit(world, lambda: _wait(hold))

    await told.reach(world.payments)
    assert await _statuses(world) == [("received", True, None)]
    hold.set()
    await world.payments.finish()

    note = f"ChargeNotFound: No such charge: '{payment.latest_attempt}'"
    [(status, is_due, said)] = await _statuses(world)
    assert (status, is_due, (said or "")[: len(note)]) == ("received", True, note)


# A commit nobody knows of ------------------------------------------------------------------------


async def test_notice_is_stored_only_where_its_slow_commit_has_failed(world: World) -> None:
    payment, told = await _told(world)
    world.payments.notices.patience_seconds = HASTY
    hold = asyncio.Event()

    async def fail() -> None:
        await hold.wait()
        raise ZeroDivisionError

    _first_commit(world, fail)
    answer = asyncio.create_task(told.reach(world.payments))
    await asyncio.sleep(0.3)
    assert not answer.done(), "whether it is stored is not known yet"
    hold.set()

    assert (await answer).status == 200
    await world.payments.finish()
    assert await _statuses(world) == [("received", True, "ZeroDivisionError: ")]
    await world.sweep()
    assert await _statuses(world) == [("applied", False, None)]
    await _assert_credited_once(world, payment)


async def test_notice_whose_slow_commit_succeeds_while_it_is_stored_stays_applied(
    world: World,
) -> None:
    payment, told = await _told(world)
    world.payments.notices.patience_seconds = HASTY
    hold = asyncio.Event()
    _first_commit(world, lambda: _wait(hold))
    answer = asyncio.create_task(told.reach(world.payments))
    await asyncio.sleep(0.3)
    hold.set()

    assert (await answer).status == 200
    await world.payments.finish()
    assert await _statuses(world) == [("applied", False, None)]
    await _assert_credited_once(world, payment)


async def test_notice_whose_commit_lost_its_session_is_stored_and_applied_later(
    world: World, db_url: str
) -> None:
    payment, told = await _told(world)

    async def end_sessions() -> None:
        owner = await asyncpg.connect(db_url)
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'tillgate' AND datname = current_database()"
        )
        await owner.close()

    _first_commit(world, end_sessions)
    assert (await told.reach(world.payments)).status == 200
    await world.payments.finish()
    [(status, is_due, note)] = await _statuses(world)
    assert (status, is_due) == ("received", True)
    assert (note or "").startswith("CommitUnknown: ")

    await world.sweep()
    assert await _statuses(world) == [("applied", False, None)]
    await _assert_credited_once(world, payment)


async def test_notice_whose_commit_was_made_and_not_heard_of_stays_applied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment, told = await _told(world)
    commit = type(world.db)._commit

    async def lose_the_answer(self: Any, tx: Any) -> None:
        monkeypatch.setattr(type(world.db), "_commit", commit)
        await commit(self, tx)
        raise asyncpg.ConnectionDoesNotExistError("the answer was lost")

    monkeypatch.setattr(type(world.db), "_commit", lose_the_answer)
    assert (await told.reach(world.payments)).status == 200
    await world.payments.finish()

    assert await _statuses(world) == [("applied", False, None)]
    await _assert_credited_once(world, payment)
