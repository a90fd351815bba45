"""The database: a pool, transactions as values, and the proof that none is open over a call.

`Tx` is passed down explicitly. SQL is literal text with `$1` parameters, prepared once per
connection by asyncpg. A commit whose answer was lost is reported as `CommitUnknown`: it may have
happened, and only looking can tell.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Final, LiteralString, cast

import asyncpg

from tillgate.kernel.errors import Kind, Refusal
from tillgate.runtime.pool import Connection, Pool
from tillgate.runtime.writes import (
    NOT_AS_WANTED,
    Notebook,
    Write,
    first_of_each_table,
    together,
)

_holding: ContextVar[int] = ContextVar("connections_held", default=0)

#: Connection lost, server restarting, no answer in time: nothing is wrong with the request itself.
CONNECTION_FAILED = (
    asyncpg.InterfaceError,
    # A session that was told it is over, while it was idle, and has not seen the end yet, is for
    # asyncpg in the midst of an operation, and everything else it is asked to do is an error of ours.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # We are at a server that has been replaced by another.
    asyncpg.ReadOnlySQLTransactionError,
    ConnectionError,
    TimeoutError,
)
#: The same, or no connection to be had.
LOST_CONNECTION = (*CONNECTION_FAILED, asyncpg.TooManyConnectionsError, OSError)
#: Somebody else had the lock: the same transaction may well succeed now.
_CONTENDED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
)


#: A server that does not even refuse is given up after this time: others wait for the same place.
CONNECT_SECONDS: Final = 10

#: Sessions that only ever look rows up by key. Whatever the statistics say, and there are none yet
#: for a table that fills up for the first time, a batch must not meet a scan of a table that grew;
#: nor must it be planned anew each time because it happens to be small.
BY_INDEX: Final = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}


class DatabaseUnavailable(Refusal):
    """The database cannot be reached right now; please try again, with the same Idempotency-Key."""

    kind = Kind.UNAVAILABLE
    code = "database_unavailable"


class CommitUnknown(Refusal):
    """The connection was lost while the change was being saved; repeat the request with the same Idempotency-Key to learn the truth."""  # noqa: E501  a message is one line

    kind = Kind.UNAVAILABLE
    code = "commit_unknown"


class Contended(Refusal):
    """Another request is working on the same object; please try again in a moment, with the same Idempotency-Key."""  # noqa: E501  a message is one line

    kind = Kind.UNAVAILABLE
    code = "lock_timeout"


class TookTooLong(Refusal):
    """The database took too long and was stopped; please try again, with the same Idempotency-Key."""

    kind = Kind.UNAVAILABLE
    code = "statement_timeout"


def assert_outside_transaction() -> None:
    """Fail loudly where a database connection is held by the caller: it must not be, over a call."""
    assert _holding.get() == 0, "a database connection is held over a network call"


class Tx(Notebook):
    """A transaction, begun with the first thing it says.

    Writes may be put off with `later`: they are sent together, in one statement and one round trip,
    before whatever else the transaction says next, and at the latest before it commits. Where that
    is all it has to say, the one statement is the transaction.
    """

    __slots__ = ("_connection", "is_begun")

    def __init__(self, connection: Connection, *, is_begun: bool) -> None:
        super().__init__()
        self._connection = connection
        self.is_begun = is_begun

    async def all(self, sql: LiteralString, *args: object) -> list[asyncpg.Record]:
        """Return all rows."""
        await self._catch_up()
        return await self._connection.fetch(sql, *args)

    async def maybe(self, sql: LiteralString, *args: object) -> asyncpg.Record | None:
        """Return the first row, if there is one."""
        await self._catch_up()
        return await self._connection.fetchrow(sql, *args)

    async def one(self, sql: LiteralString, *args: object) -> asyncpg.Record:
        """Return the first row, which must exist."""
        row = await self.maybe(sql, *args)
        assert row is not None, "a row was expected"
        return row

    async def value(self, sql: LiteralString, *args: object) -> Any:
        """Return the first column of the first row, or None."""
        await self._catch_up()
        return await self._connection.fetchval(sql, *args)

    async def run(self, sql: LiteralString, *args: object) -> int:
        """Execute and return the number of rows touched."""
        await self._catch_up()
        return _touched(await self._connection.execute(sql, *args))

    async def many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        """Execute once per row, pipelined."""
        await self._catch_up()
        await self._connection.executemany(sql, rows)

    async def _catch_up(self) -> None:
        """Say first what comes first."""
        if not self.is_begun:
            self.is_begun = True
            await self._connection.execute("BEGIN")
        if self._writes:
            await self.flush()

    async def prepare(self) -> None:
        """Send all that must be said before the commit."""
        if self.is_begun or not self.is_one_statement:
            await self._catch_up()

    async def commit(self) -> None:
        """Commit, or send the one statement that is all there is."""
        if self.is_begun:
            tag = await self._connection.execute("COMMIT")
            assert tag == "COMMIT", "the transaction had failed before, and was rolled back"
        else:
            await self.flush()

    async def roll_back(self) -> None:
        """Undo everything."""
        if self._connection.is_closed() or not self.is_begun:
            return
        try:
            await self._connection.execute("ROLLBACK")
        except (*LOST_CONNECTION, asyncpg.PostgresError):
            self.terminate()
        except BaseException:  # canceled a second time: never give back what may hold a transaction
            self.terminate()
            raise

    def terminate(self) -> None:
        """Drop the connection."""
        self._connection.terminate()

    async def flush(self) -> None:
        """Send what was put off: writes to different tables in one statement, in any order;
        a second write to a table sees what the first has done."""
        waiting, self._writes = self._writes, []
        while waiting:
            together, waiting = first_of_each_table(waiting)
            await self._send(together)

    async def _send(self, writes: list[Write]) -> None:
        if len(writes) == 1 and writes[0].rows is None:
            await self._connection.execute(writes[0].sql, *writes[0].args)
            return
        sql, args = together(writes)
        try:
            await self._connection.fetchrow(sql, *args)
        except asyncpg.PostgresError as error:
            if getattr(error, "sqlstate", None) != NOT_AS_WANTED:
                raise
            raise writes[int(str(error)) - 1].failure from error


def _touched(tag: str) -> int:
    last = tag.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


class Reading(Tx):
    """Statements that only read; one that writes or locks is a bug, and is told so."""

    __slots__ = ()

    async def all(self, sql: LiteralString, *args: object) -> list[asyncpg.Record]:
        _assert_reads(sql)
        return await super().all(sql, *args)

    async def maybe(self, sql: LiteralString, *args: object) -> asyncpg.Record | None:
        _assert_reads(sql)
        return await super().maybe(sql, *args)

    async def one(self, sql: LiteralString, *args: object) -> asyncpg.Record:
        _assert_reads(sql)
        return await super().one(sql, *args)

    async def value(self, sql: LiteralString, *args: object) -> Any:
        _assert_reads(sql)
        return await super().value(sql, *args)

    async def run(self, sql: LiteralString, *args: object) -> int:
        raise AssertionError(f"a reading only reads: {sql}")

    def later(
        self,
        sql: LiteralString,
        *args: object,
        rows: int | None = None,
        otherwise: str | Exception = "",
    ) -> None:
        raise AssertionError(f"a reading only reads: {sql}")

    async def many(self, sql: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        raise AssertionError(f"a reading only reads: {sql}")


_CHANGES = re.compile(
    r"\b(insert\s+into|update\s+\w+\.\w+|delete\s+from|for\s+(no\s+key\s+)?update|for\s+(key\s+)?share)\b",
    re.IGNORECASE,
)


@cache
def _assert_reads(sql: str) -> None:
    assert not _CHANGES.search(sql), f"a reading only reads: {sql}"


class Database:
    """A pool of connections to one database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        #: Statements and transactions under way; a virtual clock stands still while it is not zero.
        self.busy = 0
        #: Fault points, for crash tests only: called with the name of the step about to be made.
        self.before_commit: Callable[[], Awaitable[None]] | None = None

    @staticmethod
    async def open(
        url: str,
        *,
        size: int = 8,
        role: str | None = "tillgate_app",
        settings: dict[str, str] | None = None,
    ) -> Database:
        """Connect. `role` is the least-privileged role every session takes on."""
        server_settings = {
            "application_name": "tillgate",
            "timezone": "UTC",
            "lock_timeout": "15s",
            "statement_timeout": "30s",
            # How long a session that was lost holds what it had locked. Nobody here thinks for seconds
            # in a transaction, so it is less than any of the others' patience with that lock.
            "idle_in_transaction_session_timeout": "10s",
            "jit": "off",
            **({"role": role} if role else {}),
            **(settings or {}),
        }

        async def connect() -> Connection:
            opened = await asyncpg.connect(  # pyright: ignore[reportUnknownVariableType]
                url,
                timeout=CONNECT_SECONDS,
                command_timeout=60,
                server_settings=server_settings,
                # All texts are literals, so there are as many as the code has; joined ones are long.
                statement_cache_size=1000,
                max_cacheable_statement_size=0,
            )
            return cast("Connection", opened)

        pool = Pool(connect, size)
        try:
            pool.release(await pool.acquire())
        except LOST_CONNECTION as error:
            raise DatabaseUnavailable from error
        return Database(pool)

    async def close(self) -> None:
        """Close all connections, those in use after they are given back."""
        await self._pool.close()

    async def abort(self) -> None:
        """Drop all connections at once."""
        self._pool.terminate()

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncGenerator[Tx]:
        """Open a transaction; commit at the end, roll back on any exception.

        `readonly` is one in name: each statement of it sees what is committed when it begins, as it
        would inside READ COMMITTED too, and two round trips are saved. What has to agree is read in
        a `snapshot`.
        """
        if readonly:
            async with self._reading() as tx:
                yield tx
            return
        async with self._lent() as connection:
            tx = Tx(connection, is_begun=False)
            try:
                yield tx
                await tx.prepare()
            except CONNECTION_FAILED:
                raise
            except BaseException:
                await tx.roll_back()
                raise
            await self._commit(tx)

    @asynccontextmanager
    async def _reading(self) -> AsyncGenerator[Tx]:
        async with self._lent() as connection:
            yield Reading(connection, is_begun=True)

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Tx]:
        """Lend statements that only read, all of them one moment: for what is shown side by side.

        Two round trips more than `transaction(readonly=True)`, so not for what asks one question.
        """
        async with self._lent() as connection:
            tx = Reading(connection, is_begun=True)
            try:
                await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                yield tx
            except CONNECTION_FAILED:
                raise
            except BaseException:
                await tx.roll_back()
                raise
            await tx.roll_back()

    @asynccontextmanager
    async def _lent(self) -> AsyncGenerator[Connection]:
        """Lend a connection; one that failed is dropped, and what it met by chance is refused."""
        connection = await self._take()
        token = _holding.set(_holding.get() + 1)
        try:
            yield connection
        except CONNECTION_FAILED as error:
            self._lost(connection)
            raise DatabaseUnavailable from error
        except CommitUnknown:
            self._lost(connection)
            raise
        except _CONTENDED as error:
            raise Contended from error
        except asyncpg.QueryCanceledError as error:
            raise TookTooLong from error
        finally:
            _holding.reset(token)
            self.busy -= 1
            self._pool.release(connection)

    def _lost(self, connection: Connection) -> None:
        connection.terminate()
        self._pool.drop_idle()

    async def _take(self) -> Connection:
        self.busy += 1
        try:
            return await self._pool.acquire()
        except LOST_CONNECTION as error:
            self.busy -= 1
            raise DatabaseUnavailable from error
        except BaseException:
            self.busy -= 1
            raise

    async def _commit(self, tx: Tx) -> None:
        try:
            if self.before_commit is not None:
                await self.before_commit()
            await tx.commit()
        except LOST_CONNECTION as error:
            # Were it used again, what follows would be committed, or not, together with this.
            tx.terminate()
            raise CommitUnknown from error
        except BaseException:
            await tx.roll_back()
            raise

    @property
    def in_use(self) -> int:
        """Connections taken from the pool right now."""
        return self._pool.in_use
