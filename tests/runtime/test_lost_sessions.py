"""Sessions that the server has ended: nothing of it is a bug, and none of them is used again."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tillgate.kernel.clock import SystemClock
from tillgate.runtime import idempotency
from tillgate.runtime.db import CommitUnknown, Contended, Database, DatabaseUnavailable, TookTooLong
from tillgate.runtime.idempotency import Asked
from tillgate.runtime.lane import Lane
from tillgate.runtime.once import OnceItem, OnceLane


class Wire:
    """Stands between the application and PostgreSQL; keeps to itself that the server has hung up.

    What a client sees for a moment in life, the server's last words but not yet the end, it sees
    for as long as the test wants.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.last_words = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told, tell = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, tell]
        self._tasks.add(asyncio.create_task(_copy(reader, tell)))
        await _copy(told, writer)
        self.last_words.set()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def through_the_wire(url: str) -> AsyncGenerator[tuple[Database, Wire]]:
    parts = urlsplit(url)
    wire = Wire(int(parse_qs(parts.query)["port"][0]))
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    db = await Database.open(f"postgresql://{login}@127.0.0.1:{port}{parts.path}", size=1)
    try:
        yield db, wire
    finally:
        await db.abort()
        server.close()
        await wire.end()


async def _end_sessions(db_url: str) -> None:
    owner = await asyncpg.connect(db_url)
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'tillgate' AND datname = current_database()"
    )
    await owner.close()


async def _numb(db_url: str, wire: Wire) -> None:
    """Leave the pool with a session that has heard its last words and does not know it is over."""
    await _end_sessions(db_url)
    await wire.last_words.wait()
    wire.last_words.clear()
    await asyncio.sleep(0.02)  # from the wire to the application


async def test_reading_on_a_dead_session_is_unavailable_and_the_next_one_works(
    db_url: str, app_db_url: str
) -> None:
    async with through_the_wire(app_db_url) as (db, wire):
        await _numb(db_url, wire)
        with pytest.raises(DatabaseUnavailable):
            async with db.transaction(readonly=True) as tx:
                await tx.value("SELECT 1")
        async with db.transaction(readonly=True) as tx:
            assert await tx.value("SELECT 1") == 1


async def test_transaction_on_a_dead_session_is_unavailable_and_the_next_one_works(
    db_url: str, app_db_url: str
) -> None:
    async with through_the_wire(app_db_url) as (db, wire):
        await _numb(db_url, wire)
        with pytest.raises(DatabaseUnavailable):
            async with db.transaction() as tx:
                await tx.value("SELECT 1")
        async with db.transaction() as tx:
            assert await tx.value("SELECT 1") == 1


async def test_commit_on_a_dead_session_is_not_known(db_url: str, app_db_url: str) -> None:
    async with through_the_wire(app_db_url) as (db, wire):
        with pytest.raises(CommitUnknown):
            await _commit_on_a_dead_session(db, db_url, wire)
        async with db.transaction(readonly=True) as tx:
            assert await tx.value("SELECT 1") == 1
        await _numb(db_url, wire)
        with pytest.raises(CommitUnknown):
            async with db.transaction() as tx:
                tx.later("DELETE FROM runtime.idempotency WHERE key = $1", "alone")


async def _commit_on_a_dead_session(db: Database, db_url: str, wire: Wire) -> None:
    async with db.transaction() as tx:
        await tx.value("SELECT 1")
        await _numb(db_url, wire)


async def test_lost_session_is_never_stored_as_the_answer(db_url: str, app_db_url: str) -> None:
    async with through_the_wire(app_db_url) as (db, wire):
        lane = OnceLane(db, SystemClock(), _made)
        await _numb(db_url, wire)
        with pytest.raises(DatabaseUnavailable):
            await lane.submit(_item("k"))
        assert (await lane.submit(_item("k"))).status == 200


async def _made(tx, orders) -> list[str]:
    await tx.value("SELECT 1")
    return [f"made {order}" for order in orders]


def _item(key: str) -> OnceItem[str, str]:
    def render(result: str | Exception) -> tuple[int, bytes]:
        return (500, b"oops") if isinstance(result, Exception) else (200, result.encode())

    return OnceItem(Asked(3, key, b"body", "req_1"), "tea", render)


@pytest.fixture
async def hasty(app_db_url: str) -> AsyncGenerator[Database]:
    settings = {"lock_timeout": "50ms", "statement_timeout": "300ms"}
    opened = await Database.open(app_db_url, size=4, settings=settings)
    yield opened
    await opened.close()


@asynccontextmanager
async def _locked(db: Database) -> AsyncGenerator[None]:
    """Somebody holds a row for longer than anybody waits."""
    async with db.transaction() as tx:
        await tx.run(
            "INSERT INTO runtime.idempotency (merchant_id, key, request_hash, request_id,"
            " created_at, locked_at) VALUES (3, 'row', '', '', statement_timestamp(),"
            " statement_timestamp()) ON CONFLICT DO NOTHING"
        )
    async with db.transaction() as tx:
        await tx.one("SELECT 1 FROM runtime.idempotency WHERE key = 'row' FOR UPDATE")
        yield


async def _lock(tx, items) -> list[str]:
    await tx.one("SELECT 1 FROM runtime.idempotency WHERE key = 'row' FOR UPDATE")
    return [f"made {each}" for each in items]


async def _dawdle(tx, items) -> list[str]:
    await tx.value("SELECT pg_sleep(5)")
    return [f"made {each}" for each in items]


async def test_lock_that_could_not_be_had_is_a_refusal_that_passes(hasty: Database) -> None:
    async with _locked(hasty):
        with pytest.raises(Contended):
            async with hasty.transaction() as tx:
                await _lock(tx, [])
        with pytest.raises(Contended):
            async with hasty.transaction() as tx:
                tx.later("UPDATE runtime.idempotency SET request_id = 'x' WHERE key = 'row'")
        with pytest.raises(Contended):
            await Lane(hasty, _lock).submit("tea")
    async with hasty.transaction() as tx:
        await _lock(tx, [])


async def test_what_took_too_long_is_a_refusal_that_passes(hasty: Database) -> None:
    with pytest.raises(TookTooLong):
        async with hasty.transaction() as tx:
            await _dawdle(tx, [])
    with pytest.raises(TookTooLong):
        async with hasty.transaction(readonly=True) as tx:
            await tx.value("SELECT pg_sleep(5)")


@pytest.mark.parametrize(("handle", "refusal"), [(_lock, Contended), (_dawdle, TookTooLong)])
async def test_waiting_in_vain_is_never_stored_as_the_answer(
    hasty: Database, handle, refusal: type[Exception]
) -> None:
    async with _locked(hasty):
        with pytest.raises(refusal):
            await OnceLane(hasty, SystemClock(), handle).submit(_item("k"))
    assert refusal.kind in idempotency.TRANSIENT
    stored = await OnceLane(hasty, SystemClock(), _made).submit(_item("k"))
    assert (stored.status, stored.original_request) == (200, None)
