"""The gate before the database: one statement at a time, the next one drawn from the seed.

Many transactions of several processes are open at once, so locks are met as they are in life; but
which statement goes next is the seed's choice, so the same seed meets the same interleaving. A
statement that waits for a lock (PostgreSQL says so) steps aside until somebody commits.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sized
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.simulation.clockwork import VirtualLoop

SESSION = {
    "timezone": "UTC",
    "lock_timeout": "15s",
    "jit": "off",
    "synchronous_commit": "off",
    "role": "tillgate_app",
}


@dataclass(eq=False)
class Statement:
    """A statement that wants to run."""

    session: Session
    sql: str
    start: Callable[[], Awaitable[Any]]
    allowed: asyncio.Future[None]
    done: asyncio.Future[None]
    blocked: bool = False


class Gate:
    """Lets statements through, one at a time."""

    def __init__(self, rng: random.Random, watcher: asyncpg.Connection) -> None:
        self._rng = rng
        self._watcher = watcher
        self._watching = asyncio.Lock()
        self._waiting: list[Statement] = []
        self._blocked: list[Statement] = []
        self._running: Statement | None = None
        self._wake = asyncio.Event()
        self._stall = asyncio.Event()
        self._closed = False
        self.holds = 0
        self.statements = 0
        self.deadlocks = 0
        self.seen: Callable[[Session, str], None] = lambda _session, _sql: None
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "virtual time"
        loop.stalled = self._stall.set
        self._dispatcher = asyncio.create_task(self._dispatch())

    @property
    def is_busy(self) -> bool:
        """Whether anything is at the database or on its way there."""
        return bool(self._waiting or self._blocked or self._running or self.holds)

    async def pass_through(
        self, session: Session, sql: str, run: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Run a statement when its turn has come."""
        loop = asyncio.get_running_loop()
        statement = Statement(session, sql, run, loop.create_future(), loop.create_future())
        self._waiting.append(statement)
        self._wake.set()
        try:
            await statement.allowed
            self.seen(session, sql)
            return await run()
        except asyncpg.DeadlockDetectedError:
            self.deadlocks += 1
            raise
        finally:
            if statement in self._waiting:
                self._waiting.remove(statement)
            if not statement.done.done():
                statement.done.set_result(None)
            self._stall.set()

    async def close(self) -> None:
        """Stop."""
        self._dispatcher.cancel()
        await asyncio.gather(self._dispatcher, return_exceptions=True)

    async def _dispatch(self) -> None:
        while True:
            while self.holds or not self._waiting:
                self._wake.clear()
                if self._blocked and not self.holds:
                    await self._unblock()
                    if self._waiting:
                        break
                await self._wake.wait()
            await self._until_quiet()
            if self.holds or not self._waiting:
                continue
            chosen = self._waiting.pop(self._rng.randrange(len(self._waiting)))
            await self._let_through(chosen)

    async def _until_quiet(self) -> None:
        """Let everybody who is about to ask, ask: how long that takes must not show."""
        ready: Sized = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        while len(ready):
            await asyncio.sleep(0)

    async def _let_through(self, statement: Statement) -> None:
        if statement.allowed.done():  # its process has died meanwhile
            return
        self._running = statement
        self.statements += 1
        statement.allowed.set_result(None)
        await self._until_done_or_blocked(statement)
        self._running = None
        if statement.blocked:
            self._blocked.append(statement)
        elif self._blocked and statement.sql in ("COMMIT", "ROLLBACK"):
            await self._until_quiet()
            await self._unblock()

    async def _unblock(self) -> None:
        """Somebody has let go of locks: those who waited for them go on, first come first served."""
        for statement in list(self._blocked):
            if not statement.done.done() and await self._is_blocked(statement):
                continue
            self._running = statement
            statement.session.listen()
            await self._until_done_or_blocked(statement)
            self._running = None
            if not statement.blocked:
                self._blocked.remove(statement)
            await self._until_quiet()

    async def _until_done_or_blocked(self, statement: Statement) -> None:
        statement.blocked = False
        while not statement.done.done():
            self._stall.clear()
            await self._stall.wait()
            if not statement.done.done() and await self._is_blocked(statement):
                # Its answer will come when somebody commits; it is heard when it is its turn.
                statement.session.close_ears()
                statement.blocked = True
                return

    async def _is_blocked(self, statement: Statement) -> bool:
        if statement.session.is_closed():
            return False
        pid = statement.session.pid
        return bool(await self._see("SELECT cardinality(pg_blocking_pids($1)) > 0", pid))

    async def _see(self, sql: str, value: object) -> Any:
        async with self._watching:
            return await self._watcher.fetchval(sql, value)

    async def bury(self, sessions: list[Session]) -> None:
        """End a dead process's sessions, and wait until the server has rolled them back."""
        pids = [session.pid for session in sessions]
        for session in sessions:
            session.terminate()
        while await self._see(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = ANY($1)",
            pids,
        ):
            pass

    async def hold(self, work: Awaitable[Any]) -> None:
        """Do something real while no statement runs and no time passes."""
        self.holds += 1
        await work
        self.holds -= 1
        self._wake.set()


class Session:
    """A connection whose every statement passes the gate."""

    def __init__(self, shelf: Shelf, connection: asyncpg.Connection) -> None:
        self._shelf = shelf
        self.connection = connection
        self.pid = connection.get_server_pid()
        self.process = "-"

    async def execute(self, sql: str, *args: object) -> str:
        connection = self.connection
        if sql == "COMMIT":
            return await self._shelf.commit(self)
        return await self._pass(sql, lambda: connection.execute(self._shelf.rewrite(sql), *args))

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        connection = self.connection
        return await self._pass(sql, lambda: connection.fetch(self._shelf.rewrite(sql), *args))

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        connection = self.connection
        return await self._pass(sql, lambda: connection.fetchrow(self._shelf.rewrite(sql), *args))

    async def fetchval(self, sql: str, *args: object) -> Any:
        connection = self.connection
        return await self._pass(sql, lambda: connection.fetchval(self._shelf.rewrite(sql), *args))

    async def executemany(self, sql: str, rows: Any) -> None:
        connection = self.connection
        await self._pass(sql, lambda: connection.executemany(sql, rows))

    async def copy_records_to_table(self, table: str, **given: Any) -> str:
        connection = self.connection
        return await self._pass(
            f"COPY {table}", lambda: connection.copy_records_to_table(table, **given)
        )

    def close_ears(self) -> None:
        """Let what the server says wait."""
        self.connection._transport.pause_reading()

    def listen(self) -> None:
        """Hear what the server says."""
        if not self.is_closed():
            self.connection._transport.resume_reading()

    def is_closed(self) -> bool:
        return self.connection.is_closed()

    def terminate(self) -> None:
        self.connection.terminate()

    async def _pass(self, sql: str, run: Callable[[], Awaitable[Any]]) -> Any:
        assert self._shelf.gate is not None
        return await self._shelf.gate.pass_through(self, sql, run)


@dataclass
class Shelf:
    """Connections, kept from seed to seed; what a mutant changes about statements, it changes here."""

    url: str
    gate: Gate | None = None
    free: list[Session] = field(default_factory=list)
    rewrite: Callable[[str], str] = lambda sql: sql
    commit_as: Callable[[Session], str] = lambda _session: "COMMIT"
    committed: Callable[[Session], Awaitable[None]] | None = None

    async def fill(self, spare: int = 14) -> None:
        """Have connections ready, so that nobody's turn depends on how long connecting takes."""
        self.free = [session for session in self.free if not session.is_closed()]
        while len(self.free) < spare:
            connection = await asyncpg.connect(self.url, server_settings=SESSION)
            self.free.append(Session(self, connection))

    def take(self) -> Session:
        """Return a connection that is ready."""
        return self.free.pop()

    async def commit(self, session: Session) -> str:
        """Commit; a process may die right after it."""
        assert self.gate is not None
        said = self.commit_as(session)
        connection = session.connection
        answer = await self.gate.pass_through(session, said, lambda: connection.execute(said))
        if self.committed is not None:
            await self.committed(session)
        return answer


class Pool:
    """The few connections of one process, in the words of asyncpg's pool."""

    def __init__(self, shelf: Shelf, process: str, size: int = 4) -> None:
        self._shelf = shelf
        self._process = process
        self._free: list[Session] = []
        self._slots = asyncio.Semaphore(size)
        self.sessions: list[Session] = []

    async def acquire(self) -> Session:
        await self._slots.acquire()
        try:
            session = self._free.pop() if self._free else self._open()
        except BaseException:
            self._slots.release()
            raise
        return session

    async def release(self, session: Session) -> None:
        if session.is_closed():
            self.sessions.remove(session)
        else:
            self._free.append(session)
        self._slots.release()

    def put_back(self) -> None:
        """Give the connections of a process that has ended in good order to the next one."""
        self._shelf.free.extend(session for session in self._free if not session.is_closed())
        self._free.clear()

    def _open(self) -> Session:
        session = self._shelf.take()
        session.process = self._process
        self.sessions.append(session)
        return session
