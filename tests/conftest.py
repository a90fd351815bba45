"""One embedded PostgreSQL for a whole run, and a database of its own for each test.

The first worker to need it starts the server on a throw-away folder and migrates a template
once; the run's controller ends it. Commits, locks and crashes in a test are therefore real.
"""

import asyncio
import importlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_conf import Tuning
from tillgate.runtime.embedded_watch import is_alive
from tillgate.runtime.file_lock import locked

PREFIX = "tillgate-tests-"
HOME_VARIABLE = "TESTS_POSTGRES_HOME"
TEMPLATE = "template_tillgate"
#: What a test records under this name is printed at the end of the run.
FIGURES = "figures"


def pytest_configure(config: pytest.Config) -> None:
    """Name the folder of this run's server before any worker is born."""
    if hasattr(config, "workerinput"):
        return
    sweep_abandoned_runs()
    home = Path(tempfile.mkdtemp(prefix=PREFIX))
    # PostgreSQL's user is another one when we are root, and must get in.
    home.chmod(0o755)
    (home / "controller.pid").write_text(str(os.getpid()))
    os.environ[HOME_VARIABLE] = str(home)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the server after the last worker."""
    if not hasattr(config, "workerinput"):
        end_run(Path(os.environ.pop(HOME_VARIABLE)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured; their own output is swallowed where several processes run them."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [text for one in reports for name, text in one.user_properties if name == FIGURES]
    if figures:
        terminalreporter.section("figures")
    for text in figures:
        terminalreporter.write_line(str(text))


@pytest.fixture(scope="session")
def postgres_server() -> EmbeddedPostgres:
    """The server of this run, shared by its workers."""
    home = Path(os.environ[HOME_VARIABLE])
    tuning = Tuning(shared_buffers="128MB", max_connections=300)
    server = EmbeddedPostgres(home / "postgres", tuning=tuning)
    server.start()
    return server


@pytest.fixture(scope="session")
def template_database(postgres_server: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody writes to."""
    done = postgres_server.home / "template.done"
    with locked(postgres_server.home / "template.lock"):
        if not done.exists():
            migrate = importlib.import_module("tillgate.runtime.migrations").migrate
            postgres_server.drop_database(TEMPLATE)
            postgres_server.ensure_database(TEMPLATE)
            with asyncio.Runner() as runner:
                runner.run(migrate(postgres_server.dsn(TEMPLATE)))
            postgres_server.admit_application(TEMPLATE)
            done.touch()
    return TEMPLATE


@pytest.fixture
def database_name(postgres_server: EmbeddedPostgres, template_database: str) -> Generator[str]:
    """A migrated database of this test's own, dropped after it."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    postgres_server.clone_database(template_database, name)
    yield name
    postgres_server.drop_database(name)


@pytest.fixture
def db_url(postgres_server: EmbeddedPostgres, database_name: str) -> str:
    """How to connect to this test's database as its owner."""
    return postgres_server.dsn(database_name)


@pytest.fixture
def app_db_url(postgres_server: EmbeddedPostgres, database_name: str) -> str:
    """How to connect to this test's database as the application, with its few rights."""
    return postgres_server.dsn(database_name, role="application")


@pytest.fixture
def empty_db_url(postgres_server: EmbeddedPostgres) -> Generator[str]:
    """A database with nothing in it, for the tests of migrations."""
    name = f"empty_{uuid.uuid4().hex[:16]}"
    postgres_server.ensure_database(name)
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


def sweep_abandoned_runs() -> None:
    """End the servers of runs that were killed before they could."""
    for home in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        controller = home / "controller.pid"
        is_ours = home.stat().st_uid == os.geteuid() and controller.exists()
        if is_ours and not is_alive(int(controller.read_text() or os.getpid())):
            end_run(home)


def end_run(home: Path) -> None:
    """Stop the server of a run, if it had one, and throw its folder away."""
    EmbeddedPostgres(home / "postgres").stop()
    shutil.rmtree(home, ignore_errors=True)
