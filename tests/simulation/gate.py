"""The gate before the database: one statement at a time, the next one drawn from the seed.

Many transactions of several processes are open at once, so locks are met as they are in life, in
the real server; but which statement goes next is the seed's choice, so the same seed meets the same
interleaving. A statement that waits for a lock (PostgreSQL says so) is frozen where it stands: its
backend is stopped as by a debugger. A commit may wake several of them at once, and on a busy machine
the one that comes first is anybody's guess; here each goes on when the seed draws it, and alone.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections.abc import Awaitable, Callable, Iterable, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.simulation.clockwork import VirtualLoop

SESSION = {
    "timezone": "UTC",
    "lock_timeout": "0",  # real seconds say nothing here; who waits for good is seen by the harness
    "plan_cache_mode": "force_generic_plan",  # or the plan would depend on what ran before
    "jit": "off",
    "synchronous_commit": "off",
    "role": "tillgate_app",
}
_WRITES = re.compile(r"\b(insert\s+into|update|delete\s+from)\s", re.IGNORECASE)


@dataclass(eq=False)
class Statement:
    """A statement that wants to run."""

    session: Session
    sql: str
    start: Callable[[], Awaitable[Any]]
    allowed: asyncio.Future[None]
    done: asyncio.Future[None]


class Gate:
    """Lets statements through, one at a time."""

    def __init__(self, rng: random.Random, watcher: asyncpg.Connection) -> None:
        self._rng = rng
        self._watcher = watcher
        self._watching = asyncio.Lock()
        self._waiting: list[Statement] = []
        self._blocked: list[Statement] = []
        self._running: Statement | None = None
        #: Blocked ones whose lock is theirs by now; looked up again when locks may have changed.
        self._free: set[Statement] = set()
        self._locks_changed = False
        self._wake = asyncio.Event()
        self._stall = asyncio.Event()
        self.holds = 0
        self.statements = 0
        self.deadlocks = 0
        self.seen: Callable[[Session, str], None] = lambda _session, _sql: None
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "virtual time"
        loop.stalled = self._stall.set
        self._dispatcher = asyncio.create_task(self._dispatch())
        main = asyncio.current_task()
        assert main is not None, "called by the seed's own task"
        self._ended: Callable[[Any], Any] = lambda _: main.cancel()
        self._dispatcher.add_done_callback(self._ended)

    @property
    def failure(self) -> str | None:
        """What ended the gate before its time."""
        task = self._dispatcher
        failed = task.done() and not task.cancelled() and task.exception()
        return f"the gate failed: {failed!r}" if failed else None

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
        self._dispatcher.remove_done_callback(self._ended)
        self._dispatcher.cancel()
        await asyncio.gather(self._dispatcher, return_exceptions=True)
        for statement in self._blocked:
            statement.session.thaw()

    async def _dispatch(self) -> None:
        while True:
            await self._until_quiet()
            self._wake.clear()
            if self.holds:
                await self._wake.wait()
                continue
            ready = [*self._waiting, *await self._thawable()]
            if self.holds:
                continue
            if ready:
                await self._turn(ready[self._rng.randrange(len(ready))])
            elif not await self._break_deadlock():
                await self._wake.wait()

    async def _until_quiet(self) -> None:
        """Let everybody who is about to ask, ask: how long that takes must not show."""
        ready: Sized = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        while len(ready):
            await asyncio.sleep(0)

    async def _turn(self, statement: Statement) -> None:
        """Let one statement run until it is done, or waits for a lock."""
        self._running = statement
        was_blocked = statement in self._blocked
        if not was_blocked:
            self._waiting.remove(statement)
            if not statement.allowed.done():  # else its process has died meanwhile
                self.statements += 1
                statement.allowed.set_result(None)
        else:
            self._blocked.remove(statement)
            statement.session.thaw()
        if await self._is_done_before_blocked(statement):
            session = statement.session
            self._locks_changed |= was_blocked or session.is_closed() or session.is_idle()
        else:
            statement.session.freeze()
            self._blocked.append(statement)
            self._locks_changed = True
        self._running = None

    async def _is_done_before_blocked(self, statement: Statement) -> bool:
        while not statement.done.done():
            self._stall.clear()
            await self._stall.wait()
            if not statement.done.done() and await self._blockers([statement.session]):
                return False
        return True

    async def _thawable(self) -> list[Statement]:
        """Those who have waited for a lock and could go on now."""
        self._blocked = [each for each in self._blocked if not each.done.done()]
        if self._locks_changed:
            self._locks_changed = False
            blockers = await self._blockers([each.session for each in self._blocked])
            self._free = {each for each in self._blocked if each.session.pid not in blockers}
        return [each for each in self._blocked if each in self._free]

    async def _break_deadlock(self) -> bool:
        """Where all wait for each other, the last to come is sent away, as PostgreSQL would."""
        waiting = {each.session.pid for each in self._blocked}
        blockers = await self._blockers([each.session for each in self._blocked])
        if blockers.keys() != waiting or not waiting:
            self._locks_changed = bool(waiting)
            return bool(waiting)
        if not all(waiting.intersection(pids) for pids in blockers.values()):
            return False
        self.deadlocks += 1
        victim = self._blocked[-1]
        await self._see("SELECT pg_cancel_backend($1)", victim.session.pid)
        await self._turn(victim)
        return True

    async def _blockers(self, sessions: Iterable[Session]) -> dict[int, list[int]]:
        """Who waits for a lock, and for whom."""
        pids = [session.pid for session in sessions if not session.is_closed()]
        if not pids:
            return {}
        rows = await self._see(
            "SELECT pid, pg_blocking_pids(pid) AS by FROM unnest($1::int[]) pid", pids
        )
        return {row["pid"]: row["by"] for row in rows if row["by"]}

    async def _see(self, sql: str, value: object) -> list[asyncpg.Record]:
        async with self._watching:
            return await self._watcher.fetch(sql, value)

    async def bury(self, sessions: list[Session]) -> None:
        """End a dead process's sessions, and wait until the server has rolled them back.

        One after the other, those first that wait for locks: what they wait for must not come.
        """
        waiting = {each.session.pid for each in self._blocked}
        for session in sorted(sessions, key=lambda each: each.pid not in waiting):
            session.terminate()
            while await self._see(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1", session.pid
            ):
                session.thaw()

    async def hold(self, work: Awaitable[Any]) -> None:
        """Do something real while no statement runs and no time passes."""
        self.holds += 1
        try:
            await work
        finally:
            self._locks_changed = True
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
        return await self._pass(sql, lambda said: self.connection.execute(said, *args))

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        return await self._pass(sql, lambda said: self.connection.fetch(said, *args))

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        return await self._pass(sql, lambda said: self.connection.fetchrow(said, *args))

    async def fetchval(self, sql: str, *args: object) -> Any:
        return await self._pass(sql, lambda said: self.connection.fetchval(said, *args))

    async def executemany(self, sql: str, rows: Any) -> None:
        await self._pass(sql, lambda said: self.connection.executemany(said, rows))

    def freeze(self) -> None:
        """Stop the server's process for this connection where it stands."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def is_idle(self) -> bool:
        """Whether no transaction is open, so that all its locks are gone."""
        return not self.connection.is_in_transaction()

    def is_closed(self) -> bool:
        return self.connection.is_closed()

    def terminate(self) -> None:
        self.connection.terminate()

    async def _pass(self, sql: str, run: Callable[[str], Awaitable[Any]]) -> Any:
        shelf = self._shelf
        assert shelf.gate is not None
        ends = sql == "COMMIT" or (self.is_idle() and _WRITES.search(sql) is not None)

        async def speak() -> Any:
            if not ends:
                return await run(shelf.rewrite(sql))
            await shelf.committing(self)
            text = shelf.rewrite(sql)
            return await (self._forget(text, run) if shelf.forgets(text) else run(text))

        answer = await shelf.gate.pass_through(self, sql, speak)
        if ends:
            await shelf.committed(self)
        return answer

    async def _forget(self, sql: str, run: Callable[[str], Awaitable[Any]]) -> Any:
        """Say that it is committed, and take it back."""
        if sql == "COMMIT":
            await self.connection.execute("ROLLBACK")
            return "COMMIT"
        await self.connection.execute("BEGIN")
        try:
            return await run(sql)
        finally:
            await self.connection.execute("ROLLBACK")


async def _nothing(_session: Session) -> None:
    """No fault."""


@dataclass
class Shelf:
    """Connections, kept from seed to seed; what a mutant changes about statements, it changes here."""

    url: str
    gate: Gate | None = None
    free: list[Session] = field(default_factory=list)
    rewrite: Callable[[str], str] = lambda sql: sql
    #: Whether what this ends a transaction with is lost, and called committed.
    forgets: Callable[[str], bool] = lambda _sql: False
    #: Fault points: the turn of what ends a transaction has come; it has ended.
    committing: Callable[[Session], Awaitable[None]] = _nothing
    committed: Callable[[Session], Awaitable[None]] = _nothing

    def still(self) -> None:
        """No more faults."""
        self.committing = self.committed = _nothing

    async def fill(self, spare: int = 14) -> None:
        """Have connections ready, so that nobody's turn depends on how long connecting takes."""
        self.free = [session for session in self.free if not session.is_closed()]
        while len(self.free) < spare:
            connection = await asyncpg.connect(self.url, server_settings=SESSION)
            self.free.append(Session(self, connection))

    async def dust(self) -> None:
        """Let connections forget what they planned, so that none remembers an earlier seed."""
        for session in self.free:
            await session.connection.execute("DISCARD PLANS")

    def take(self) -> Session:
        """Return a connection that is ready."""
        return self.free.pop()


class Pool:
    """The few connections of one process, in the words of `runtime.pool`."""

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

    def release(self, session: Session) -> None:
        if session.is_closed():
            self.sessions.remove(session)
        else:
            self._free.append(session)
        self._slots.release()

    def drop_idle(self) -> None:
        """Drop what nobody has been lent."""
        idle, self._free = self._free, []
        for session in idle:
            self.sessions.remove(session)
            session.terminate()

    def put_back(self) -> None:
        """Give the connections of a process that has ended in good order to the next one."""
        self._shelf.free.extend(session for session in self._free if not session.is_closed())
        self._free.clear()

    def _open(self) -> Session:
        session = self._shelf.take()
        session.process = self._process
        self.sessions.append(session)
        return session
