"""Connections kept open and lent one at a time.

Giving one back is not awaited: whoever waits has it at once, and a lane sends its next batch in the
same turn of the loop in which the last one was answered. asyncpg's own pool resets a connection
when it comes back, by a task of its own and over two turns of the loop; nothing of a session
outlives its transaction here, so there is nothing to reset (measured: a sixth of the time between
two batches).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import asyncpg


class Connection(Protocol):
    """What we use of asyncpg's connections, which say less of their types than we ask for."""

    async def fetch(self, sql: str, /, *args: object) -> list[asyncpg.Record]: ...
    async def fetchrow(self, sql: str, /, *args: object) -> asyncpg.Record | None: ...
    async def fetchval(self, sql: str, /, *args: object) -> Any: ...
    async def execute(self, sql: str, /, *args: object) -> str: ...
    async def executemany(self, sql: str, rows: Iterable[Sequence[object]], /) -> None: ...
    async def close(self) -> None: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...


Connect = Callable[[], Awaitable[Connection]]


class Pool:
    """Up to `size` connections, opened when they are needed."""

    def __init__(self, connect: Connect, size: int) -> None:
        self._connect = connect
        self._size = size
        self._idle: list[Connection] = []
        self._lent: set[Connection] = set()
        #: Connections being opened, or about to be by one who has waited.
        self._opening = 0
        #: Those who wait: given a connection, or None where it is theirs to open one.
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._is_closed = False
        self._all_back = asyncio.Event()

    async def acquire(self) -> Connection:
        """Lend a connection, waiting for one if all are out."""
        if self._is_closed:
            raise _closed()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return self._lend(connection)
        if len(self._lent) + self._opening < self._size:
            self._opening += 1
            return await self._open()
        return await self._wait() or await self._open()

    async def _open(self) -> Connection:
        """Open a connection; that there is room for it has been counted."""
        try:
            connection = await self._connect()
        except BaseException:
            self._leave_room()
            raise
        self._opening -= 1
        if self._is_closed:
            connection.terminate()
            raise _closed()
        return self._lend(connection)

    async def _wait(self) -> Connection | None:
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except BaseException:
            if turn.cancelled() or not turn.done():
                with suppress(ValueError):  # who gives may have passed over it already
                    self._waiting.remove(turn)
            elif turn.exception() is None:  # served, and gone away in the same moment
                given = turn.result()
                if given is not None:
                    self.release(given)
                else:
                    self._leave_room()
            raise

    def _lend(self, connection: Connection) -> Connection:
        self._lent.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back; one that is broken is not lent again."""
        if connection.is_closed():
            self._lent.discard(connection)
            self._opening += 1
            self._leave_room()
        elif not self._serve(connection):
            self._lent.discard(connection)
            self._idle.append(connection)
        if self._is_closed and not self._lent:
            self._all_back.set()

    def drop_idle(self) -> None:
        """Drop what nobody has been lent: where one session was lost, the others may be too."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()

    def _leave_room(self) -> None:
        """Pass on the right to open a connection; without anybody who waits, there is room."""
        if not self._serve(None):
            self._opening -= 1

    def _serve(self, given: Connection | None) -> bool:
        """Give it to who has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(given)
                return True
        return False

    async def close(self) -> None:
        """Close all connections, once those that are out have come back."""
        self._turn_away()
        try:
            if self._lent:
                await self._all_back.wait()
            for connection in self._idle:
                with suppress(OSError, asyncpg.InterfaceError, asyncpg.PostgresError):  # it is gone
                    await connection.close()
        finally:
            self.terminate()

    def terminate(self) -> None:
        """Drop all connections at once."""
        self._turn_away()
        for connection in (*self._idle, *self._lent):
            connection.terminate()
        self._idle.clear()

    def _turn_away(self) -> None:
        """Lend nothing any more, nor let anybody wait for it."""
        self._is_closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(_closed())

    @property
    def in_use(self) -> int:
        """Connections that are out."""
        return len(self._lent)


def _closed() -> Exception:
    return asyncpg.InterfaceError("the pool is closed")
