"""Expected trouble of a command, as one sentence a person can act on and an exit code for scripts."""

from __future__ import annotations

import errno

import asyncpg

from tillgate.entry.exits import Exit
from tillgate.entry.local_database import NoInstallation
from tillgate.kernel.errors import Refusal
from tillgate.runtime.db import LOST_CONNECTION, DatabaseUnavailable
from tillgate.runtime.embedded_errors import EmbeddedProblem
from tillgate.runtime.file_lock import Locked
from tillgate.runtime.migrations import MigrationRefused, SchemaOutdated
from tillgate.runtime.settings import SettingsRefused

_LOGIN = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
#: What a database says that no migration, or not every one, has been applied to.
_NO_SCHEMA = (
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedTableError,
)
_NO_ROLE = (asyncpg.InvalidParameterValueError, asyncpg.UndefinedObjectError)


def told(error: Exception) -> tuple[str, Exit] | None:
    """Return what to say and how to end; None where it is a bug, whose traceback is wanted."""
    if isinstance(error, SettingsRefused):
        return str(error), Exit.USAGE
    from_database = _of_database(error)
    if from_database is not None:
        return from_database, Exit.DATABASE
    if isinstance(error, Refusal):
        return str(error), Exit.REFUSED
    from_machine = _of_machine(error)
    return None if from_machine is None else (from_machine, Exit.ENVIRONMENT)


def _of_database(error: Exception) -> str | None:
    if isinstance(error, DatabaseUnavailable):
        return _unreachable(error.__cause__ or error)
    if isinstance(error, _LOGIN):
        return f"The database does not let us in: {error}"
    if isinstance(error, SchemaOutdated | NoInstallation):
        return str(error)
    if isinstance(error, _NO_SCHEMA) or _lacks_role(error):
        said = f"The database is not set up for this version ({error})."
        return f"{said} Run `tillgate migrate`, or `tillgate up`."
    if isinstance(error, LOST_CONNECTION) and not _is_about_a_file(error):
        return _unreachable(error)
    return None


def _of_machine(error: Exception) -> str | None:
    if isinstance(error, EmbeddedProblem | MigrationRefused):
        return str(error)
    if isinstance(error, Locked):
        return "Tillgate is just being started or ended on this data; try again."
    return _about_a_file(error) if isinstance(error, OSError) else None


def _unreachable(error: BaseException) -> str:
    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    where = "The setting is TILLGATE_DATABASE_URL."
    return f"The database cannot be reached: {reason or type(error).__name__}. {where}"


def _lacks_role(error: Exception) -> bool:
    return isinstance(error, _NO_ROLE) and "role" in str(error)


def _is_about_a_file(error: Exception) -> bool:
    return isinstance(error, OSError) and error.filename is not None


def _about_a_file(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "The disk is full. Make room, or choose another folder with --data."
    reason = error.strerror or str(error)
    named = f"{error.filename}: {reason}" if error.filename is not None else reason
    return f"{named}. The folder of everything that is kept is chosen with --data."
