"""Migrations: numbered SQL files, each applied once, in order, under a lock, never edited after.

Each file is one transaction. The checksum of what was applied is kept, and a file that was edited
afterwards is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_LOCK = 7_001_001


class MigrationRefused(Exception):
    """The migrations on disk do not continue what the database has."""


class SchemaOutdated(Exception):
    """The database lacks migrations that this version works with."""

    def __init__(self, missing: list[str], *, has_any: bool) -> None:
        super().__init__(f"{_lacking(missing, has_any=has_any)} Run `tillgate migrate`.")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `0001` of `0001_kernel_tables.sql`, its text and the digest of its text."""

    name: str
    sql: str
    digest: str


def on_disk(folder: Path = FOLDER) -> list[Migration]:
    """Return the migrations in order."""
    return [
        Migration(path.stem, text, hashlib.sha256(text.encode()).hexdigest())
        for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
        for text in [path.read_text(encoding="utf-8")]
    ]


async def migrate(dsn: str, *, progress: Callable[[str], None] | None = None) -> list[str]:
    """Apply what is missing; return the names applied."""
    connection = _connection(await asyncpg.connect(dsn, server_settings={"timezone": "UTC"}))
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        applied = await _applied(connection)
        missing = _missing(on_disk(), applied)
        for migration in missing:
            if progress:
                progress(migration.name)
            await _apply(connection, migration)
        return [migration.name for migration in missing]
    finally:
        await connection.close()


async def pending(dsn: str) -> list[str]:
    """Return the names of the migrations the database lacks."""
    connection = _connection(await asyncpg.connect(dsn))
    try:
        if await connection.fetchval("SELECT to_regclass('runtime.migrations')") is None:
            return [migration.name for migration in on_disk()]
        rows = await connection.fetch("SELECT name FROM runtime.migrations")
        known = {str(row["name"]) for row in rows}
        return [migration.name for migration in on_disk() if migration.name not in known]
    finally:
        await connection.close()


async def require_all(dsn: str) -> None:
    """Raise `SchemaOutdated` where the database lacks a migration; one of a newer version may be."""
    missing = await pending(dsn)
    if missing:
        raise SchemaOutdated(missing, has_any=len(missing) < len(on_disk()))


def _lacking(missing: list[str], *, has_any: bool) -> str:
    if not has_any:
        return "Tillgate has not been set up in this database."
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"The database lacks migration {missing[0]}{more}."


def _connection(connection: Any) -> Any:
    """asyncpg says less of its types than we ask for."""
    return connection


async def _applied(connection: Any) -> dict[str, str]:
    await connection.execute(
        """
        CREATE SCHEMA IF NOT EXISTS runtime;
        CREATE TABLE IF NOT EXISTS runtime.migrations (
            name text PRIMARY KEY,
            digest text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT statement_timestamp()
        )
        """
    )
    rows = await connection.fetch("SELECT name, digest FROM runtime.migrations ORDER BY name")
    return {str(row["name"]): str(row["digest"]) for row in rows}


def _missing(files: list[Migration], applied: dict[str, str]) -> list[Migration]:
    for migration in files:
        if applied.get(migration.name, migration.digest) != migration.digest:
            raise MigrationRefused(
                f"migration {migration.name} was edited after it had been applied"
            )
    unknown = sorted(set(applied) - {migration.name for migration in files})
    if unknown:
        raise MigrationRefused(
            f"the database has migration {unknown[-1]}, which this version does not know:"
            " it belongs to a newer Tillgate"
        )
    return [migration for migration in files if migration.name not in applied]


async def _apply(connection: Any, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '5s'")
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO runtime.migrations (name, digest) VALUES ($1, $2)",
            migration.name,
            migration.digest,
        )
