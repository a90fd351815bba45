"""The database at hand: the one that settings name, or the embedded one of the data folder.

A command borrows the embedded server when `tillgate up` has it running, and otherwise starts it
for as long as the command takes.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_conf import Tuning
from tillgate.runtime.embedded_errors import EmbeddedProblem
from tillgate.runtime.file_lock import locked
from tillgate.runtime.ports import is_free
from tillgate.runtime.settings import Settings

Say = Callable[[str], None]


class NoInstallation(EmbeddedProblem):
    """The folder holds no database, and the command is not one that makes one."""

    def __init__(self, data: Path) -> None:
        super().__init__(
            f"There is no installation in {data}. Name its folder with --data, or make one there"
            " with `tillgate up`."
        )


def embedded(settings: Settings, say: Say) -> EmbeddedPostgres:
    """Return the runner of this installation's own server, started or not."""
    return EmbeddedPostgres(
        settings.data_path / "postgres",
        port=settings.database.port,
        source=settings.database.binaries,
        tuning=Tuning(shared_buffers=settings.database.shared_buffers),
        say=say,
    )


def lock_file(settings: Settings) -> Path:
    """Return the file whose lock says that somebody runs this installation."""
    settings.data_path.mkdir(parents=True, exist_ok=True)
    return settings.data_path / "up.lock"


def as_owner(settings: Settings, server: EmbeddedPostgres | None) -> Settings:
    """Return settings that reach the database with the right to change its schema."""
    if server is None:
        return with_url(settings, settings.database.migrate_url or settings.database.url)
    return with_url(settings, server.dsn())


def as_application(settings: Settings, server: EmbeddedPostgres | None) -> Settings:
    """Return settings that reach the database with the application's few rights."""
    if server is None:
        return settings
    return with_url(settings, server.dsn(role="application"))


@contextmanager
def at_hand(
    settings: Settings, say: Say, *, owner: bool = False, may_make: bool = False
) -> Generator[Settings]:
    """Give settings whose database can be reached while inside; make one only if that is wanted."""
    if settings.database.url:
        yield as_owner(settings, None) if owner else settings
        return
    if not may_make and not settings.data_path.is_dir():
        raise NoInstallation(settings.data_path)
    server = embedded(_beside_others(settings), say)
    if not may_make and not server.place.data.exists():
        raise NoInstallation(settings.data_path)
    if server.is_running():
        yield _for_command(settings, server, owner=owner)
        return
    with locked(lock_file(settings), wait=False):
        try:
            server.start()
            server.ensure_database()
            yield _for_command(settings, server, owner=owner)
        finally:
            server.stop()


def _beside_others(settings: Settings) -> Settings:
    """Let a command's own server take any port where another installation holds ours."""
    if is_free(settings.database.port):
        return settings
    database = msgspec.structs.replace(settings.database, port=0)
    return msgspec.structs.replace(settings, database=database)


def with_url(settings: Settings, url: str) -> Settings:
    """Return the settings with the database's address, and no second, mightier one."""
    database = msgspec.structs.replace(settings.database, url=url, migrate_url="")
    return msgspec.structs.replace(settings, database=database)


def _for_command(settings: Settings, server: EmbeddedPostgres, *, owner: bool) -> Settings:
    if owner or not server.has_application():
        return as_owner(settings, server)
    return as_application(settings, server)
