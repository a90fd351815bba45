"""Folders that PostgreSQL's own user can enter, and a server on one of them."""

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_conf import Tuning

MakeServer = Callable[..., EmbeddedPostgres]


@pytest.fixture
def open_dir() -> Generator[Path]:
    """A folder whose parents everybody may pass; pytest's own is of mode 0700."""
    path = Path(tempfile.mkdtemp(prefix="tillgate-install-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_server(open_dir: Path) -> Generator[MakeServer]:
    """Make servers on one folder; all are ended after the test."""
    made: list[EmbeddedPostgres] = []

    def make(**given: object) -> EmbeddedPostgres:
        tuning = Tuning(shared_buffers="16MB", max_connections=20)
        server = EmbeddedPostgres(open_dir / "pg", **{"tuning": tuning, **given})
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
