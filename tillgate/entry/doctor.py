"""The doctor: every invariant of the money, on demand and on a schedule.

On a schedule it looks at what is recent; on demand at everything. What it finds is a row, with the
query that finds it again; metrics carry the number of rows, so that an alarm can ring.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import click
import msgspec

from tillgate.entry.doctor_checks import CHECKS, GAUGES, Check
from tillgate.kernel.clock import Clock, SystemClock
from tillgate.kernel.ids import floor_id, suffix
from tillgate.ledger import flows as books
from tillgate.runtime import telemetry
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.settings import Settings

_log = logging.getLogger("tillgate.doctor")

#: What a look on schedule covers: this many journals per merchant, and objects this young.
RECENT_JOURNALS: Final = 2_000
RECENT: Final = timedelta(hours=2)
_ALL_JOURNALS: Final = 2**62
#: Rows shown of each finding.
_SHOWN: Final = 10
_MOST_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to. `query` finds the rows again, as it stands."""

    check: str
    promise: str
    concern: str
    rows: int
    examples: list[dict[str, Any]]
    query: str | None

    @property
    def is_healthy(self) -> bool:
        """Whether nothing breaks the promise."""
        return self.rows == 0


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is looked at."""

    journals: int
    since: str
    at: datetime


def everything(at: datetime) -> Scope:
    """Look at all there is."""
    return Scope(_ALL_JOURNALS, "", at)


def recent(at: datetime) -> Scope:
    """Look at what is young."""
    return Scope(RECENT_JOURNALS, suffix(floor_id("x", at - RECENT)), at)


async def examine(db: Database, scope: Scope) -> list[Finding]:
    """Put all questions, each to a snapshot of its own."""
    is_full = scope.journals == _ALL_JOURNALS
    findings: list[Finding] = []
    for check in CHECKS:
        if check.is_full_only and not is_full:
            continue
        async with db.transaction(readonly=True) as tx:
            findings.append(await _ask(tx, check, scope))
    return findings


async def look(db: Database, clock: Clock) -> int:
    """Look at what is recent, and tell by metrics and logs; return how many rows are wrong."""
    at = clock.now()
    findings = await examine(db, recent(at))
    for finding in findings:
        telemetry.DOCTOR.labels(finding.check).set(finding.rows)
        if not finding.is_healthy:
            _log.error(
                "%s %d rows break it: %s", finding.promise, finding.rows, finding.examples[:1],
                extra={"event.action": f"doctor.{finding.check}", "event.outcome": "failure"},
            )  # fmt: skip
    telemetry.DOCTOR_AT.set(at.timestamp())
    await measure(db, clock)
    return sum(finding.rows for finding in findings)


async def measure(db: Database, clock: Clock) -> None:
    """Set the gauges that are true of the whole installation."""
    now = clock.now()
    async with db.transaction(readonly=True) as tx:
        row = await tx.one(GAUGES, now)
    telemetry.UNKNOWN_OPEN.set(row["unknown_open"])
    telemetry.UNKNOWN_AGE.set(_age(row["unknown_oldest"], now))
    telemetry.UNKNOWN_REFUNDS.set(row["unknown_refunds"])
    telemetry.UNKNOWN_REFUNDS_AGE.set(_age(row["unknown_refunds_oldest"], now))
    telemetry.OUTBOX.set(row["outbox"])
    telemetry.OUTBOX_AGE.set(_age(row["outbox_oldest"], now))
    telemetry.PARKED.set(row["parked"])
    telemetry.INBOX.set(row["inbox"])
    telemetry.INBOX_AGE.set(_age(row["inbox_oldest"], now))
    telemetry.WEBHOOKS_DUE.set(row["webhooks_due"])
    telemetry.WEBHOOKS_AGE.set(_age(row["webhooks_oldest"], now))
    telemetry.CONNECTIONS.set(db.in_use)


async def run(settings: Settings, *, json: bool = False) -> int:
    """`tillgate doctor`: examine everything, print it, and return 1 where something is wrong."""
    db = await Database.open(
        settings.database.url,
        size=2,
        role=settings.database.role or None,
        settings={"statement_timeout": "0"},
    )
    try:
        findings = await examine(db, everything(SystemClock().now()))
        findings.append(await _audit(db))
    finally:
        await db.close()
    is_healthy = all(finding.is_healthy for finding in findings)
    click.echo(_as_json(findings, is_healthy=is_healthy) if json else _as_table(findings))
    return 0 if is_healthy else 1


async def _audit(db: Database) -> Finding:
    """Recompute the chain of seals over all journals."""
    differences = (await books.verify(db)).differences
    return Finding(
        "seals_verify",
        "Every sealed journal hashes to what was sealed.",
        "money",
        len(differences),
        [msgspec.to_builtins(difference) for difference in differences[:_SHOWN]],
        "-- tillgate books verify" if differences else None,
    )


async def _ask(tx: Tx, check: Check, scope: Scope) -> Finding:
    rows = await tx.all(check.sql, scope.journals, scope.since, scope.at)
    examples = [_plain(dict(row)) for row in rows[:_SHOWN]]
    query = runnable(check.sql, scope) if rows else None
    return Finding(
        check.name, check.promise, check.concern, min(len(rows), _MOST_ROWS), examples, query
    )


def runnable(sql: str, scope: Scope) -> str:
    """Return the statement as it can be pasted into psql."""
    values = (str(scope.journals), f"'{scope.since}'", f"'{scope.at.isoformat()}'")
    for number, value in enumerate(values, start=1):
        sql = sql.replace(f"${number}", value)
    return sql + ";"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, int | str | None) else _text(value)
        for name, value in row.items()
    }


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _age(oldest: datetime | None, now: datetime) -> float:
    return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())


def _as_json(findings: list[Finding], *, is_healthy: bool) -> str:
    return msgspec.json.encode(
        {"healthy": is_healthy, "checks": len(findings), "findings": findings}
    ).decode()


def _as_table(findings: list[Finding]) -> str:
    lines = [
        f"{'ok' if finding.is_healthy else finding.concern.upper():<7} {finding.check:<28}"
        f" {finding.promise}"
        for finding in findings
    ]
    for finding in findings:
        if finding.query is not None:
            lines += ["", f"-- {finding.check}: {finding.rows} rows", finding.query]
            lines += [f"--   {example}" for example in finding.examples]
    broken = sum(not finding.is_healthy for finding in findings)
    lines += ["", f"{len(findings)} checks, {broken} not healthy"]
    return "\n".join(lines)
