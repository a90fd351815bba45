"""Idempotency: one effect and one answer per key, whatever the network does.

Two ways. `OnceLane` is for operations of a single transaction: the effect and the stored answer
commit together, a batch at a time. Operations that call a provider have several transactions: the
first takes the key together with the object it makes, and the answer is stored at the end (`attach`,
`KeyedLane`). Where what they decide rests on more than that transaction locks, the key is claimed
before, by a transaction of its own (`Claims`), and the first one attaches the object to the claim.
A claim whose process died is taken over: without an object nothing was committed and the work runs
afresh; with one, its present state is the answer.

Answers are kept at least 24 hours. Refusals that a repetition may not meet again (conflict, rate,
unavailability) are not stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Kind, Refusal
from tillgate.kernel.ids import new_id
from tillgate.runtime.db import Contended, Database, Tx
from tillgate.runtime.lane import Lane
from tillgate.runtime.writes import Notebook

_encode = msgspec.json.Encoder().encode

#: Refusals that say nothing about the request itself: the same request may succeed later.
TRANSIENT: Final = frozenset(
    {
        Kind.CONFLICT,
        Kind.RATE_LIMITED,
        Kind.UNAVAILABLE,
        Kind.UNAUTHENTICATED,
        Kind.IDEMPOTENCY,
    }
)


class KeyMismatch(Refusal):
    """Keys for idempotent requests can only be used with the same endpoint and the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."""  # noqa: E501  a message is one line

    kind = Kind.IDEMPOTENCY
    param = "Idempotency-Key"

    def __init__(self, asked: Asked) -> None:
        super().__init__(key=asked.given_key or asked.key or "")


class KeyInUse(Refusal):
    """There is currently another in-progress request using this Idempotency-Key ('{key}'); please try again later."""  # noqa: E501

    kind = Kind.CONFLICT
    code = "idempotency_key_in_use"
    param = "Idempotency-Key"

    def __init__(self, asked: Asked) -> None:
        super().__init__(key=asked.given_key or asked.key or "")


class ClaimLost(Refusal):
    """Another request with the same Idempotency-Key has taken over; please try again."""

    kind = Kind.CONFLICT
    code = "idempotency_key_in_use"
    param = "Idempotency-Key"


class KeyTaken(Exception):
    """A key that was believed to be new is not: look again at what its earlier use says."""


class Asked(msgspec.Struct, frozen=True):
    """Who asks for what: the key, the digest of the decoded request, and the request's id.

    A claim remembers the operation and what is to be expanded, so that whoever finishes it after a
    crash answers as it would have been answered. `given_key` is what the caller calls the key, where
    it is kept under another name.
    """

    merchant_id: int
    key: str | None
    request_hash: bytes
    request_id: str
    operation: str | None = None
    expand: Sequence[str] = ()
    given_key: str | None = None


class Stored(msgspec.Struct, frozen=True):
    """An answer. `original_request` is set where it was given before."""

    status: int
    body: bytes
    original_request: str | None = None


class Claimed(msgspec.Struct, frozen=True):
    """The key is ours. `object_id` is set where an earlier, dead request had committed something."""

    object_id: str | None


class Claim(msgspec.Struct, frozen=True):
    """What a request has of its key: it holds it, or takes it with the first thing it commits."""

    asked: Asked
    is_held: bool


class Claims:
    """Keys of requests that take several transactions and a provider's time."""

    def __init__(
        self, db: Database, clock: Clock, *, abandoned_after_seconds: float = 45.0
    ) -> None:
        self._db = db
        self._clock = clock
        self._abandoned_after = timedelta(seconds=abandoned_after_seconds)
        self._claims: Lane[Asked, Stored | Claimed] = Lane(db, self._claim, key=key_of)
        self._finishes: Lane[tuple[Asked, Stored], None] = Lane(
            db, self._finish, key=lambda item: key_of(item[0])
        )
        self._releases: Lane[Asked, None] = Lane(db, self._release, key=key_of)

    async def claim(self, asked: Asked) -> Stored | Claimed:
        """Return the stored answer, or take the key; refuse a mismatch or a key in use.

        A key that this very request has taken already is its own.
        """
        return await self._claims.submit(asked)

    async def finish(self, asked: Asked, answer: Stored) -> None:
        """Store the answer; `ClaimLost` where somebody else has taken over, whose answer it is then."""
        await self._finishes.submit((asked, answer))

    async def release(self, asked: Asked) -> None:
        """Give the key back: at once usable again, or, with an object attached, resumed at once.

        By a lane: many are given back when the database has gone, and they share the tries to reach it.
        A key whose row somebody has locked, such as a session of ours that was lost, is refused as
        contended, so that no other key waits for it.
        """
        await self._releases.submit(asked)

    async def replace(self, asked: Asked, stored: bytes, given: bytes) -> bytes:
        """Store an answer as it is really given, with objects expanded in it; return what is kept.

        Whoever does so first, the request or a repetition of it, decides for all that come after.
        """
        async with self._db.transaction() as tx:
            kept: bytes | None = await tx.value(
                "UPDATE runtime.idempotency SET body = CASE WHEN body = $4 THEN $5 ELSE body END"
                " WHERE merchant_id = $1 AND key = $2 AND request_hash = $3 RETURNING body",
                asked.merchant_id,
                asked.key,
                asked.request_hash,
                stored,
                given,
            )
        return given if kept is None else kept

    async def abandoned(self, limit: int = 100) -> list[tuple[Asked, str]]:
        """Take over requests whose process died after it had committed an object; drop the others.

        One that was only slow has lost its claim: its request's id stands there with this turn behind.
        """
        now = self._clock.now()
        async with self._db.transaction() as tx:
            await tx.run(
                "DELETE FROM runtime.idempotency"
                " WHERE status IS NULL AND object_id IS NULL AND locked_at < $1",
                now - self._abandoned_after * 4,
            )
            rows = await tx.all(
                """
                UPDATE runtime.idempotency i
                SET locked_at = $2, request_id = split_part(i.request_id, ':', 1) || ':' || $4::text
                FROM (SELECT merchant_id, key FROM runtime.idempotency
                    WHERE status IS NULL AND object_id IS NOT NULL AND locked_at < $1
                    ORDER BY merchant_id, key LIMIT $3 FOR UPDATE SKIP LOCKED) old
                WHERE i.merchant_id = old.merchant_id AND i.key = old.key
                RETURNING i.merchant_id, i.key, i.request_hash, i.request_id, i.object_id,
                    i.operation, i.expand
                """,
                now - self._abandoned_after,
                now,
                limit,
                new_id("turn"),
            )
        return [(_asked(row), row["object_id"]) for row in rows]

    async def _claim(self, tx: Tx, items: Sequence[Asked]) -> list[Stored | Claimed | Refusal]:
        now = self._clock.now()
        ours = await insert_started(tx, items, now)
        rest = [item for item in items if (item.merchant_id, item.key) not in ours]
        known = await select_rows(tx, rest)
        answers: list[Stored | Claimed | Refusal] = []
        for item in items:
            is_ours = (item.merchant_id, item.key) in ours
            row = known.get((item.merchant_id, item.key or ""))
            answers.append(Claimed(None) if is_ours else await self._other(tx, item, row, now))
        return answers

    async def _other(
        self, tx: Tx, item: Asked, row: Row | None, now: datetime
    ) -> Stored | Claimed | Refusal:
        """Answer for a key that was there already."""
        earlier = earlier_answer(item, row)
        if row is None or not isinstance(earlier, KeyInUse):
            return earlier or KeyInUse(item)
        if row.request_id == item.request_id:
            return Claimed(None)
        if row.locked_at >= now - self._abandoned_after:
            return earlier
        taken = await tx.maybe(
            "UPDATE runtime.idempotency SET locked_at = $3, request_id = $4"
            " WHERE merchant_id = $1 AND key = $2 AND status IS NULL AND locked_at = $5"
            " RETURNING object_id",
            item.merchant_id,
            item.key,
            now,
            item.request_id,
            row.locked_at,
        )
        return earlier if taken is None else Claimed(taken["object_id"])

    async def _finish(self, tx: Tx, items: Sequence[tuple[Asked, Stored]]) -> list[None]:
        rows = [_answer_row(asked, answer) for asked, answer in items]
        tx.later(FINISH, rows, rows=len(rows), otherwise=ClaimLost())
        return [None] * len(items)

    async def _release(self, tx: Tx, items: Sequence[Asked]) -> list[Refusal | None]:
        columns = _columns(items)
        free = {tuple(row) for row in await tx.all(HELD + " FOR UPDATE OF i SKIP LOCKED", *columns)}
        held = free
        if len(free) < len(items):
            held = {tuple(row) for row in await tx.all(HELD, *columns)}
        ours = _columns([item for item in items if _order(item) in free])
        await tx.run(DROP, *ours)
        await tx.run(GIVE_UP, *ours, self._clock.now() - self._abandoned_after * 2)
        return [Contended() if _order(item) in held - free else None for item in items]


# Of several keys the status is asked for by coalesce: were it IS NULL, the index of open keys would
# seem the best way to a few of them, since statistics mostly see it empty; each key would be looked for
# among all that are open.

FINISH: Final = """
    UPDATE runtime.idempotency i SET status = u.status, body = u.body
    FROM unnest($1::runtime.answer_row[]) u
    WHERE i.merchant_id = u.merchant_id AND i.key = u.key AND i.request_id = u.request_id
        AND coalesce(i.status, 0) = 0
    """
ATTACH: Final = """
    UPDATE runtime.idempotency i SET object_id = u.object_id
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
        u(merchant_id, key, request_id, object_id)
    WHERE i.merchant_id = u.merchant_id AND i.key = u.key AND i.request_id = u.request_id
        AND coalesce(i.status, 0) = 0 AND (i.object_id IS NULL OR i.object_id = u.object_id)
    """
#: Keys that requests hold and have not finished.
HELD: Final = """
    SELECT i.merchant_id, i.key
    FROM unnest($1::bigint[], $2::text[], $3::text[]) u(merchant_id, key, request_id)
    JOIN runtime.idempotency i ON i.merchant_id = u.merchant_id AND i.key = u.key
        AND i.request_id = u.request_id
    WHERE coalesce(i.status, 0) = 0
    ORDER BY i.merchant_id, i.key
    """
#: They are forgotten, or left to whoever asks next.
DROP: Final = """
    DELETE FROM runtime.idempotency i
    USING unnest($1::bigint[], $2::text[], $3::text[]) u(merchant_id, key, request_id)
    WHERE i.merchant_id = u.merchant_id AND i.key = u.key AND i.request_id = u.request_id
        AND coalesce(i.status, 0) = 0 AND i.object_id IS NULL
    """
GIVE_UP: Final = """
    UPDATE runtime.idempotency i SET locked_at = $4
    FROM unnest($1::bigint[], $2::text[], $3::text[]) u(merchant_id, key, request_id)
    WHERE i.merchant_id = u.merchant_id AND i.key = u.key AND i.request_id = u.request_id
        AND coalesce(i.status, 0) = 0
    """


class Row(msgspec.Struct, frozen=True):
    """A key as it stands in the table."""

    request_hash: bytes
    request_id: str
    status: int | None
    body: bytes | None
    locked_at: datetime


def attach(notes: Notebook, rows: Sequence[tuple[Claim | None, str]], at: datetime) -> None:
    """Write down, in the transaction that commits it, what each request works on (an object's id).

    A key that is not held yet is taken with it; where it is not free, the transaction fails with
    `KeyTaken`. One that is held must still be: where somebody else has taken over, it fails with
    `ClaimLost`. Like all that writes keys it is among the last that its transaction writes, and goes
    in order of keys, so that two processes wait for each other in one direction only.
    """
    claims = [(claim, object_id) for claim, object_id in rows if claim is not None]
    claims.sort(key=lambda row: _order(row[0].asked))
    _insert_taken(
        notes, [(one.asked, object_id) for one, object_id in claims if not one.is_held], at
    )
    _update_held(notes, [(one.asked, object_id) for one, object_id in claims if one.is_held])


def _insert_taken(notes: Notebook, taken: Sequence[tuple[Asked, str]], at: datetime) -> None:
    """Take keys that have to be free, with the objects that are made under them."""
    if not taken:
        return
    notes.later(
        """
        INSERT INTO runtime.idempotency (merchant_id, key, request_hash, request_id, operation, expand,
            object_id, created_at, locked_at)
        SELECT u.*, $2, $2 FROM unnest($1::runtime.claim_row_2[]) u
        ON CONFLICT DO NOTHING
        """,
        [_claim_row(asked, object_id) for asked, object_id in taken],
        at,
        rows=len(taken),
        otherwise=KeyTaken(),
    )


def _update_held(notes: Notebook, held: Sequence[tuple[Asked, str]]) -> None:
    """Attach objects to keys that are held."""
    if not held:
        return
    notes.later(
        ATTACH,
        *_columns([asked for asked, _ in held]),
        [object_id for _, object_id in held],
        rows=len(held),
        otherwise=ClaimLost(),
    )


async def prune(tx: Tx, before: datetime, limit: int = 10_000) -> int:
    """Forget answers given before a moment (at least 24 hours ago)."""
    return await tx.run(
        """
        DELETE FROM runtime.idempotency i USING (
            SELECT merchant_id, key FROM runtime.idempotency
            WHERE created_at < $1 AND status IS NOT NULL LIMIT $2) old
        WHERE i.merchant_id = old.merchant_id AND i.key = old.key
        """,
        before,
        limit,
    )


async def select_rows(tx: Tx, asked: Sequence[Asked]) -> dict[tuple[int, str], Row]:
    """Read the rows of these keys."""
    if not asked:
        return {}
    rows = await tx.all(
        """
        SELECT i.merchant_id, i.key, i.request_hash, i.request_id, i.status, i.body, i.locked_at
        FROM unnest($1::bigint[], $2::text[]) k(merchant_id, key)
        JOIN runtime.idempotency i ON i.merchant_id = k.merchant_id AND i.key = k.key
        """,
        [item.merchant_id for item in asked],
        [item.key for item in asked],
    )
    return {
        (row["merchant_id"], row["key"]): Row(
            row["request_hash"], row["request_id"], row["status"], row["body"], row["locked_at"]
        )
        for row in rows
    }


async def select_known(tx: Tx, asked: Sequence[Asked]) -> set[tuple[int, str]]:
    """Return those of these keys that have been used."""
    if not asked:
        return set()
    rows = await tx.all(
        """
        SELECT i.merchant_id, i.key FROM unnest($1::bigint[], $2::text[]) k(merchant_id, key)
        JOIN runtime.idempotency i ON i.merchant_id = k.merchant_id AND i.key = k.key
        """,
        [item.merchant_id for item in asked],
        [item.key for item in asked],
    )
    return {(row["merchant_id"], row["key"]) for row in rows}


async def insert_started(
    tx: Tx, asked: Sequence[Asked], at: datetime
) -> set[tuple[int, str | None]]:
    """Claim keys that are free; return those that were."""
    ordered = sorted(asked, key=_order)
    rows = await tx.all(
        """
        INSERT INTO runtime.idempotency (merchant_id, key, request_hash, request_id, operation, expand,
            object_id, created_at, locked_at)
        SELECT u.*, $2, $2 FROM unnest($1::runtime.claim_row_2[]) u
        ON CONFLICT DO NOTHING RETURNING merchant_id, key
        """,
        [_claim_row(item, None) for item in ordered],
        at,
    )
    return {(row["merchant_id"], row["key"]) for row in rows}


def insert_finished(
    notes: Notebook,
    finished: Sequence[tuple[Asked, Stored]],
    at: datetime,
    *,
    otherwise: Exception | None = None,
) -> None:
    """Store answers under keys that are free; where one is not, fail with `otherwise`, if given.

    It is among the last that its transaction writes and goes in order of keys, as in `attach`.
    """
    if not finished:
        return
    ordered = sorted(finished, key=lambda item: _order(item[0]))
    notes.later(
        """
        INSERT INTO runtime.idempotency (merchant_id, key, request_hash, request_id, status, body,
            created_at, locked_at)
        SELECT u.*, $2, $2 FROM unnest($1::runtime.answer_row[]) u
        ON CONFLICT DO NOTHING
        """,
        [_answer_row(asked, answer) for asked, answer in ordered],
        at,
        rows=None if otherwise is None else len(ordered),
        otherwise=otherwise or "",
    )


def _claim_row(asked: Asked, object_id: str | None) -> tuple[object, ...]:
    return (
        asked.merchant_id, asked.key, asked.request_hash, asked.request_id, asked.operation,
        _encode(asked.expand).decode() if asked.expand else None, object_id,
    )  # fmt: skip


def _answer_row(asked: Asked, answer: Stored) -> tuple[object, ...]:
    return (
        asked.merchant_id, asked.key, asked.request_hash, asked.request_id, answer.status,
        answer.body,
    )  # fmt: skip


def _columns(items: Sequence[Asked]) -> tuple[list[object], ...]:
    """Merchants, keys and requests."""
    return (
        [item.merchant_id for item in items],
        [item.key for item in items],
        [item.request_id for item in items],
    )


def _order(asked: Asked) -> tuple[int, str]:
    return asked.merchant_id, asked.key or ""


def _asked(row: asyncpg.Record) -> Asked:
    return Asked(
        row["merchant_id"],
        row["key"],
        row["request_hash"],
        row["request_id"],
        row["operation"],
        msgspec.json.decode(row["expand"] or "[]", type=list[str]),
    )


def request_of(holder: str) -> str:
    """Return the request that an answer is of, whoever held its key in the end."""
    return holder.partition(":")[0]


def key_of(asked: Asked) -> tuple[int, str] | None:
    return None if asked.key is None else (asked.merchant_id, asked.key)


def earlier_answer(asked: Asked, row: Row | None) -> Stored | Refusal | None:
    """Return what the key's earlier use says about this request."""
    if row is None:
        return None
    if row.request_hash != asked.request_hash:
        return KeyMismatch(asked)
    if row.status is None or row.body is None:
        return KeyInUse(asked)
    return Stored(row.status, row.body, request_of(row.request_id))
