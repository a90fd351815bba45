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
        #: Connections being opened.
        self._opening = 0
        #: Those who wait: given a connection, or None where there is room to open one.
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._is_closed = False
        self._all_back = asyncio.Event()

    async def acquire(self) -> Connection:
        """Lend a connection, waiting for one if all are out."""
        while True:
            if self._is_closed:
                raise asyncpg.InterfaceError("the pool is closed")
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return self._lend(connection)
            if len(self._lent) + self._opening < self._size:
                return await self._open()
            given = await self._wait()
            if given is not None:
                return given

    async def _open(self) -> Connection:
        self._opening += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._opening -= 1
            self._call_next(None)
            raise
        self._opening -= 1
        if self._is_closed:
            connection.terminate()
            raise asyncpg.InterfaceError("the pool is closed")
        return self._lend(connection)

    async def _wait(self) -> Connection | None:
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                given = turn.result()  # given to one who has gone away in the same moment
                if given is not None:
                    self.release(given)
                else:
                    self._call_next(None)
            raise

    def _lend(self, connection: Connection) -> Connection:
        self._lent.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back; one that is broken is not lent again."""
        if connection.is_closed() or self._is_closed:
            self._lent.discard(connection)
            if not connection.is_closed():
                connection.terminate()
            self._call_next(None)
        elif not self._call_next(connection):
            self._lent.discard(connection)
            self._idle.append(connection)
        if self._is_closed and not self._lent:
            self._all_back.set()

    def drop_idle(self) -> None:
        """Drop what nobody has been lent: where one session was lost, the others may be too."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()

    def _call_next(self, connection: Connection | None) -> bool:
        """Give the first who waits a connection, or the room to open one."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    async def close(self) -> None:
        """Close all connections, those that are out when they come back."""
        self._is_closed = True
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
        self._waiting.clear()
        idle, self._idle = self._idle, []
        if self._lent:
            await self._all_back.wait()
        for connection in idle:
            await connection.close()

    def terminate(self) -> None:
        """Drop all connections at once."""
        self._is_closed = True
        for connection in (*self._idle, *self._lent):
            connection.terminate()
        self._idle.clear()

    @property
    def in_use(self) -> int:
        """Connections that are out."""
        return len(self._lent)
