"""Connections of our own: lent in turn, never a broken one, never more than there may be."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tillgate.runtime.db import Database, DatabaseUnavailable
from tillgate.runtime.pool import Connection, Pool

#: Nothing here takes so long; what waits for ever must not wait for the whole run to end.
pytestmark = pytest.mark.timeout(30)


class Town:
    """A pool of two, and what its connections were asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pool = Pool(self._connect, 2)
        self.opened: list[Connection] = []
        #: How the next openings end: with this.
        self.troubles: list[BaseException] = []
        #: Openings wait for this.
        self.may_open = asyncio.Event()
        self.may_open.set()

    async def _connect(self) -> Connection:
        await self.may_open.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        opened: Connection = await asyncpg.connect(self.url)
        self.opened.append(opened)
        return opened

    async def both(self) -> tuple[Connection, Connection]:
        """Take all there are."""
        return await self.pool.acquire(), await self.pool.acquire()

    async def queue(self, count: int) -> list[asyncio.Task[Connection]]:
        """Have so many wait."""
        waiting = [asyncio.create_task(self.pool.acquire()) for _ in range(count)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        return waiting


@pytest.fixture
async def town(app_db_url: str) -> AsyncGenerator[Town]:
    built = Town(app_db_url)
    yield built
    built.pool.terminate()
    for connection in built.opened:
        connection.terminate()


async def _pid(connection: Connection) -> int:
    return await connection.fetchval("SELECT pg_backend_pid()")


async def _kill(killer: Connection, victim: Connection) -> None:
    """End a connection's server process, and wait until we know of it."""
    await killer.execute("SELECT pg_terminate_backend($1)", await _pid(victim))
    while not victim.is_closed():
        await asyncio.sleep(0.005)


async def test_whoever_waits_is_served_in_order(town: Town) -> None:
    first, second = await town.both()
    waiting = await town.queue(4)

    order: list[int] = []
    for number, task in enumerate(waiting):
        task.add_done_callback(lambda _, number=number: order.append(number))
    town.pool.release(second)
    town.pool.release(first)
    town.pool.release(await waiting[0])
    town.pool.release(await waiting[1])
    await asyncio.gather(*waiting)

    assert order == [0, 1, 2, 3]
    assert [await task for task in waiting] == [second, first, second, first]
    assert len(town.opened) == 2


async def test_a_connection_given_back_is_used_again(town: Town) -> None:
    connection = await town.pool.acquire()
    town.pool.release(connection)

    assert await town.pool.acquire() is connection
    assert town.pool.in_use == 1


async def test_a_broken_connection_is_not_lent_again(town: Town) -> None:
    first, second = await town.both()
    await _kill(first, second)
    town.pool.release(second)

    fresh = await town.pool.acquire()

    assert fresh is not second
    assert await fresh.fetchval("SELECT 1") == 1


async def test_a_connection_that_broke_while_nobody_had_it_is_not_lent(town: Town) -> None:
    first, second = await town.both()
    town.pool.release(second)
    await _kill(first, second)

    fresh = await town.pool.acquire()

    assert fresh is not second
    assert await fresh.fetchval("SELECT 1") == 1
    assert town.pool.in_use == 2


async def test_who_waits_for_one_that_comes_back_broken_opens_another(town: Town) -> None:
    first, second = await town.both()
    [waiting] = await town.queue(1)
    await _kill(first, second)
    town.pool.release(second)

    assert await (await waiting).fetchval("SELECT 1") == 1
    assert town.pool.in_use == 2


async def test_the_room_of_a_broken_one_belongs_to_who_has_waited_longest(town: Town) -> None:
    first, second = await town.both()
    order: list[str] = []

    async def use(name: str) -> None:
        connection = await town.pool.acquire()
        order.append(name)
        town.pool.release(connection)

    async def give_back_and_ask_again() -> None:
        town.pool.release(second)
        await use("again")

    waiting = [asyncio.create_task(use(name)) for name in ("early", "late")]
    await asyncio.sleep(0)
    await _kill(first, second)
    await asyncio.gather(give_back_and_ask_again(), *waiting)

    assert order == ["early", "late", "again"]


async def test_room_is_passed_on_after_a_failed_opening(town: Town) -> None:
    town.may_open.clear()
    town.troubles = [ConnectionRefusedError(), ConnectionRefusedError()]
    asked = [asyncio.create_task(town.pool.acquire()) for _ in range(4)]
    await asyncio.sleep(0)
    town.may_open.set()

    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [isinstance(answer, ConnectionRefusedError) for answer in answers] == [True] * 2 + [
        False
    ] * 2
    assert town.pool.in_use == 2


async def test_room_is_passed_on_when_who_opens_goes_away(town: Town) -> None:
    town.may_open.clear()
    asked = [asyncio.create_task(town.pool.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    asked[0].cancel()
    await asyncio.sleep(0)
    town.may_open.set()

    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert town.pool.in_use == 2


async def test_who_stops_waiting_leaves_nothing_behind(town: Town) -> None:
    first, _ = await town.both()
    gone, stays = await town.queue(2)
    gone.cancel()
    await asyncio.wait([gone])
    assert len(town.pool._waiting) == 1

    town.pool.release(first)

    assert await stays is first
    assert len(town.pool._waiting) == 0


@pytest.mark.parametrize("state", ["whole", "broken"])
async def test_who_goes_away_as_it_is_served_swallows_nothing(town: Town, state: str) -> None:
    first, second = await town.both()
    gone, stays = await town.queue(2)
    if state == "broken":
        await _kill(second, first)
    town.pool.release(first)
    gone.cancel()

    served = await stays

    assert gone.cancelled()
    assert (served is first) is (state == "whole")
    assert await served.fetchval("SELECT 1") == 1
    assert town.pool.in_use == 2
    town.pool.release(served)
    assert town.pool.in_use == 1


async def test_there_are_never_more_than_there_may_be(town: Town, app_db_url: str) -> None:
    at_once = most = 0

    async def use(number: int) -> None:
        nonlocal at_once, most
        connection = await town.pool.acquire()
        at_once += 1
        most = max(most, at_once)
        await connection.execute("SELECT 1")
        if number % 7 == 0:
            connection.terminate()
        at_once -= 1
        town.pool.release(connection)

    users = [asyncio.create_task(use(number)) for number in range(60)]
    for number, user in enumerate(users):
        if number % 5 == 0:
            user.cancel()
        await asyncio.sleep(0)
    results = await asyncio.gather(*users, return_exceptions=True)

    assert sum(result is None for result in results) >= 48
    assert most == 2
    assert len(town.pool._waiting) == 0


async def test_close_waits_for_what_is_lent(town: Town) -> None:
    first, second = await town.both()
    town.pool.release(second)
    closing = asyncio.create_task(town.pool.close())
    await asyncio.sleep(0.02)
    assert not closing.done()
    assert await first.fetchval("SELECT 1") == 1

    town.pool.release(first)
    await closing

    assert first.is_closed()
    assert second.is_closed()
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await town.pool.acquire()


@pytest.mark.parametrize("how", ["close", "terminate"])
async def test_the_end_wakes_all_who_wait(town: Town, how: str) -> None:
    first, second = await town.both()
    waiting = await town.queue(3)

    ending = asyncio.create_task(town.pool.close()) if how == "close" else None
    if ending is None:
        town.pool.terminate()
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert [isinstance(answer, asyncpg.InterfaceError) for answer in answers] == [True] * 3
    town.pool.release(first)
    town.pool.release(second)
    if ending is not None:
        await ending


@pytest.mark.parametrize("how", ["close", "terminate"])
async def test_a_connection_opened_too_late_is_dropped(town: Town, how: str) -> None:
    town.may_open.clear()
    asked = asyncio.create_task(town.pool.acquire())
    await asyncio.sleep(0)
    if how == "close":
        await town.pool.close()
    else:
        town.pool.terminate()
    town.may_open.set()

    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await asked
    assert all(connection.is_closed() for connection in town.opened)


async def test_close_that_is_given_up_leaves_no_connection_open(town: Town) -> None:
    first, second = await town.both()
    town.pool.release(second)
    closing = asyncio.create_task(town.pool.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    town.pool.release(first)

    assert first.is_closed()
    assert second.is_closed()


async def test_close_does_not_mind_what_is_broken(town: Town) -> None:
    first, second = await town.both()
    pids = [await _pid(first), await _pid(second)]
    town.pool.release(first)
    town.pool.release(second)
    with ThreadPoolExecutor() as elsewhere:
        elsewhere.submit(asyncio.run, _end(town.url, pids)).result()  # we hear nothing meanwhile

    await town.pool.close()

    assert first.is_closed()
    assert second.is_closed()


async def _end(url: str, pids: list[int]) -> None:
    killer = await asyncpg.connect(url)
    await killer.execute("SELECT pg_terminate_backend(p) FROM unnest($1::int[]) p", pids)
    while await killer.fetch("SELECT FROM pg_stat_activity WHERE pid = ANY ($1)", pids):
        await asyncio.sleep(0.005)
    await killer.close()


async def test_terminate_ends_what_is_lent_too(town: Town) -> None:
    first, second = await town.both()
    town.pool.release(second)

    town.pool.terminate()

    assert first.is_closed()
    assert second.is_closed()
    town.pool.release(first)
    await town.pool.close()


# Through `Database`: what is canceled half way ----------------------------------------------------


@asynccontextmanager
async def _database(url: str) -> AsyncGenerator[Database]:
    """A database that has one connection only, so that the next one gets it."""
    db = await Database.open(url, size=1)
    try:
        yield db
    finally:
        await db.close()


async def _sleep(db: Database, *, readonly: bool, seconds: float = 20.0) -> None:
    async with db.transaction(readonly=readonly) as tx:
        await tx.value("SELECT pg_sleep($1)", seconds)


async def _write_for_long(db: Database) -> None:
    """One statement, which is all of its transaction."""
    async with db.transaction() as tx:
        tx.later(
            "INSERT INTO runtime.outbox (merchant_id, id, at)"
            " SELECT 1, 'slow', now() FROM pg_sleep($1)",
            20.0,
        )


@pytest.mark.parametrize("kind", ["reading", "transaction", "statement"])
async def test_a_statement_given_up_hurts_nobody_after_it(app_db_url: str, kind: str) -> None:
    async with _database(app_db_url) as db:
        long = (
            _write_for_long(db) if kind == "statement" else _sleep(db, readonly=kind == "reading")
        )
        task = asyncio.create_task(long)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])

        async with asyncio.timeout(5), db.transaction() as tx:
            assert await tx.value("SELECT count(*) FROM runtime.outbox") == 0
            assert await tx.value("SELECT pg_sleep(0.05)::text") == ""
        assert db.in_use == 0


async def test_statements_given_up_at_any_moment_hurt_nobody_after_them(app_db_url: str) -> None:
    async with _database(app_db_url) as db:
        for number in range(60):
            task = asyncio.create_task(_sleep(db, readonly=number % 2 == 0, seconds=0.001))
            for _ in range(number // 3):
                await asyncio.sleep(0.0001)
            task.cancel()
            await asyncio.wait([task])
            async with db.transaction(readonly=True) as tx:
                assert await tx.value("SELECT pg_sleep(0.002)::text") == ""
        assert db.in_use == 0


async def test_a_transaction_given_up_twice_drops_its_connection(app_db_url: str) -> None:
    async with _database(app_db_url) as db:
        task = asyncio.create_task(_sleep(db, readonly=False))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        async with asyncio.timeout(5), db.transaction(readonly=True) as tx:
            assert await tx.value("SELECT 1") == 1
        assert db.in_use == 0


async def test_a_connection_that_is_lost_is_told_and_replaced(app_db_url: str) -> None:
    async with _database(app_db_url) as db:
        with pytest.raises(DatabaseUnavailable):
            async with db.transaction(readonly=True) as tx:
                await tx.value("SELECT pg_terminate_backend(pg_backend_pid())")

        async with db.transaction(readonly=True) as tx:
            assert await tx.value("SELECT 1") == 1
