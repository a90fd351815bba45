"""An own small runner for PostgreSQL: one server, one folder, no other service.

Promises: PostgreSQL never runs as root; passwords are SCRAM and kept in files of mode 0600;
data is checksummed and every commit is durable; a start waits for recovery as long as recovery
gets on; what cannot work is said in one sentence (`EmbeddedProblem`) before anything is touched.

    server = EmbeddedPostgres(Path("data/postgres"))
    server.start()
    server.dsn("tillgate")
    server.stop()

The server is not our child in spirit: it survives the process that started it, and the next
`start` on the same folder takes it over.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

from tillgate.runtime.embedded_account import (
    make_directory,
    reachable_home,
    run,
    server_account,
)
from tillgate.runtime.embedded_binaries import Binaries, Source, discover, readable_copy, version_of
from tillgate.runtime.embedded_conf import INCLUDED_AS, Place, Tuning, render
from tillgate.runtime.embedded_errors import (
    DiskFull,
    EmbeddedProblem,
    NotOurs,
    PortReserved,
    PortTaken,
    StartFailed,
)
from tillgate.runtime.embedded_watch import (
    POLL_SECONDS,
    Progress,
    first_pid,
    is_alive,
    last_lines,
    read_pid_file,
    wait_until_gone,
    works_in,
)
from tillgate.runtime.file_lock import locked
from tillgate.runtime.ports import free_port, is_forbidden, is_free, owner_of
from tillgate.runtime.private_files import write_private

SUPERUSER = "postgres"
APPLICATION_ROLE = "tillgate_app"
ROOM_FOR_A_CLUSTER = 512 * 2**20
ROOM_TO_START = 64 * 2**20
STOP_TIMEOUT_SECONDS = 30.0
SAY_AGAIN_SECONDS = 5.0
LONGEST_SOCKET_PATH = 80

Say = Callable[[str], None]

# A server outlives the runner that launched it, but somebody has to reap it when it ends.
_launched: list[subprocess.Popen[bytes]] = []


def _silent(_: str) -> None:
    return


class EmbeddedPostgres:
    """One PostgreSQL server on one folder. `port=0` takes any free port at each start."""

    def __init__(
        self,
        home: Path,
        *,
        port: int = 0,
        source: Source = "any",
        tuning: Tuning | None = None,
        say: Say = _silent,
    ) -> None:
        self.account = server_account()
        self.home = reachable_home(home.absolute(), self.account)
        self.place = Place(self.home, _socket_directory(self.home))
        self._wanted_port = port
        self._source: Source = source
        self._tuning = tuning or Tuning()
        self._say = say
        self._binaries: Binaries | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> bool:
        """Make the cluster if there is none, start it, and return when it takes connections.

        False where it was running already and is taken over as it is.
        """
        make_directory(self.home)
        with locked(self.home / "lock"):
            if self._keeps_running():
                self._wait_until_ready()
                return False
            self._check()
            binaries = self._found_binaries()
            if version_of(self.place.data) is None:
                self._make_cluster(binaries)
            # The port is kept over a restart, so that a DSN once given stays true.
            self._wanted_port = self._wanted_port or free_port()
            self._launch(binaries, self._wanted_port)
            self._wait_until_ready()
            return True

    def stop(self, *, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> None:
        """End it fast and cleanly: sessions are cut, everything committed is on disk."""
        pid = self._postmaster() or self._just_launched()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        if not self._wait_for_end(pid, timeout_seconds):
            # Immediate: the next start recovers from the log. Nothing committed is lost.
            os.kill(pid, signal.SIGQUIT)
            self._wait_for_end(pid, timeout_seconds)

    def stop_at_once(self) -> None:
        """End it without a checkpoint; the next start recovers from the log."""
        pid = self._postmaster() or self._just_launched()
        if pid is not None:
            os.kill(pid, signal.SIGQUIT)
            self._wait_for_end(pid, STOP_TIMEOUT_SECONDS)

    def is_running(self) -> bool:
        """Say whether a server works on this folder."""
        return self._postmaster() is not None

    @property
    def pid(self) -> int | None:
        """The process id of its postmaster."""
        return self._postmaster()

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1 that it listens on."""
        known = read_pid_file(self.place.data)
        assert known is not None, "PostgreSQL is not running"
        return known.port

    def dsn(
        self,
        database: str = "tillgate",
        *,
        role: Literal["superuser", "application"] = "superuser",
        tcp: bool = False,
    ) -> str:
        """Return how to connect: through the socket, or over TCP for programs that need it."""
        user = SUPERUSER if role == "superuser" else APPLICATION_ROLE
        login = f"{user}:{quote(self._secret(role), safe='')}"
        if tcp:
            return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"
        where = urlencode({"host": str(self.place.sockets), "port": self.port})
        return f"postgresql://{login}@/{database}?{where}"

    def ensure_database(self, name: str = "tillgate") -> None:
        """Create the database unless it is there."""
        exists = self._psql("SELECT count(*) FROM pg_database WHERE datname = :'name';", name=name)
        if exists == "0":
            self._psql("CREATE DATABASE :\"name\" TEMPLATE template0 ENCODING 'UTF8';", name=name)

    def clone_database(self, template: str, name: str) -> None:
        """Create a database as a copy of another that nobody is connected to."""
        self._psql('CREATE DATABASE :"name" TEMPLATE :"template";', name=name, template=template)

    def drop_database(self, name: str) -> None:
        """Drop the database whoever is connected to it."""
        self._psql('DROP DATABASE IF EXISTS :"name" WITH (FORCE);', name=name)

    def admit_application(self, database: str = "tillgate") -> str:
        """Let the role that the migrations made log in, and return its DSN."""
        self._psql(
            "ALTER ROLE :\"role\" LOGIN PASSWORD :'password';",
            role=APPLICATION_ROLE,
            password=self._secret("application"),
        )
        return self.dsn(database, role="application")

    def _check(self) -> None:
        """Refuse, with a reason, what could not end well."""
        data = self.place.data
        if data.exists() and data.stat().st_uid != self.account.uid:
            owner = _user_name(data.stat().st_uid)
            raise NotOurs(data, owner, self.account.name, by_root=os.geteuid() == 0)
        new = version_of(data) is None
        needed = ROOM_FOR_A_CLUSTER if new else ROOM_TO_START
        free = shutil.disk_usage(self.home).free
        if free < needed:
            raise DiskFull(self.home, free, needed)
        if self._wanted_port and is_forbidden(
            self._wanted_port, to_another=self.account.is_another
        ):
            raise PortReserved(self._wanted_port)
        if self._wanted_port and not is_free(self._wanted_port):
            raise PortTaken(self._wanted_port, owner_of(self._wanted_port))

    def _make_cluster(self, binaries: Binaries) -> None:
        """Make it beside its place and move it there, so that a cut-off initdb leaves nothing."""
        self._say(f"Making a new database cluster with {binaries}")
        unfinished = self.home / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_directory(unfinished, mode=0o700, account=self.account)
        password = self.home / "password.once"
        self._write(password, self._secret("superuser"))
        try:
            made = self._initdb(binaries, unfinished, password, "C.UTF-8")
            if made.returncode != 0 and "locale" in made.stderr:
                made = self._initdb(binaries, unfinished, password, "C")
        finally:
            password.unlink()
        if made.returncode != 0:
            raise StartFailed("initdb could not make the cluster", made.stderr.strip())
        with (unfinished / "postgresql.conf").open("a") as settings:
            settings.write(f"\ninclude '{INCLUDED_AS}'\n")
        unfinished.rename(self.place.data)

    def _initdb(
        self, binaries: Binaries, data: Path, password: Path, locale: str
    ) -> subprocess.CompletedProcess[str]:
        return run(
            self.account,
            [
                *(binaries.program("initdb"), "-D", data, "-U", SUPERUSER),
                *("--encoding=UTF8", f"--locale={locale}", "--lc-collate=C", "--data-checksums"),
                *("--auth=scram-sha-256", f"--pwfile={password}"),
            ],
        )

    def _launch(self, binaries: Binaries, port: int) -> None:
        self._clear_what_a_crash_left()
        make_directory(self.place.logs, account=self.account)
        make_directory(self.place.sockets, account=self.account)
        text = render(binaries, self.account, self.place, port, self._tuning)
        self._write(self.place.data / INCLUDED_AS, text)
        self._say(f"Starting {binaries}")
        with (self.home / "start.log").open("wb") as output:
            # A session of its own: Ctrl-C at a terminal must not reach the database.
            self._process = subprocess.Popen(
                [binaries.program("postgres"), "-D", self.place.data],
                user=self.account.change_uid,
                group=self.account.change_gid,
                extra_groups=self.account.change_groups,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _launched[:] = [process for process in _launched if process.poll() is None]
        _launched.append(self._process)

    def _clear_what_a_crash_left(self) -> None:
        """Wait for orphaned backends, then drop a pid file whose number is somebody else's now."""
        left = wait_until_gone(self.place.data, timeout_seconds=STOP_TIMEOUT_SECONDS)
        if left:
            raise StartFailed(
                f"Processes {left} of a server that crashed still hold {self.place.data}; "
                "end them first",
                "",
            )
        (self.place.data / "postmaster.pid").unlink(missing_ok=True)

    def _wait_until_ready(self) -> None:
        progress: Progress | None = None
        said_at = time.monotonic()
        while True:
            known = read_pid_file(self.place.data)
            if known is not None and known.status == "ready":
                return
            if self._has_ended():
                raise StartFailed("PostgreSQL ended while it was starting", self._last_words())
            if known is not None:
                progress = progress or Progress(known.pid, self.place.logs)
                if progress.is_stalled():
                    raise StartFailed("PostgreSQL stood still while starting", self._last_words())
            if time.monotonic() - said_at > SAY_AGAIN_SECONDS:
                said_at = time.monotonic()
                self._say(f"Still starting: {last_lines(self.place.logs, 1) or 'no word yet'}")
            time.sleep(POLL_SECONDS)

    def _has_ended(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        return not self.is_running()

    def _last_words(self) -> str:
        started = (self.home / "start.log").read_text(errors="replace").strip()
        return "\n".join(part for part in (started, last_lines(self.place.logs)) if part)

    def _wait_for_end(self, pid: int, timeout_seconds: float) -> bool:
        deadline = time.monotonic() + timeout_seconds
        while is_alive(pid) and time.monotonic() < deadline:
            if self._process is not None:
                self._process.poll()
            time.sleep(POLL_SECONDS)
        return not is_alive(pid)

    def _keeps_running(self) -> bool:
        # A server that was killed a moment ago is still listed; look twice.
        if not self.is_running():
            return False
        time.sleep(2 * POLL_SECONDS)
        return self.is_running()

    def _postmaster(self) -> int | None:
        pid = first_pid(self.place.data)
        return pid if pid is not None and pid in works_in(self.place.data) else None

    def _just_launched(self) -> int | None:
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    def _psql(self, sql: str, **variables: str) -> str:
        # Over stdin, since a command line is there for everybody to read.
        binaries = self._found_binaries()
        done = subprocess.run(
            [binaries.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"],
            input="".join(map(_set_variable, variables.items())) + sql,
            env={
                "PATH": "/usr/bin:/bin",
                "PGHOST": str(self.place.sockets),
                "PGPORT": str(self.port),
                "PGDATABASE": "postgres",
                "PGUSER": SUPERUSER,
                "PGPASSWORD": self._secret("superuser"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise EmbeddedProblem(f"PostgreSQL refused: {done.stderr.strip()}")
        return done.stdout.strip()

    def _found_binaries(self) -> Binaries:
        if self._binaries is None:
            found = discover(self._source, data=self.place.data)
            self._binaries = readable_copy(found, self.account)
        return self._binaries

    def _secret(self, role: str) -> str:
        path = self.home / f"{role}.secret"
        try:
            if not path.exists():
                write_private(path, secrets.token_urlsafe(32))
            return path.read_text()
        except PermissionError:
            raise NotOurs(path, _user_name(path.stat().st_uid), _user_name(os.geteuid())) from None

    def _write(self, path: Path, text: str) -> None:
        """Write a file that the server's user alone reads."""
        is_another = self.account.is_another
        owner = (self.account.uid, self.account.gid) if is_another else None
        write_private(path, text, owner=owner)

    def has_application(self) -> bool:
        """Say whether the application was ever admitted."""
        return (self.home / "application.secret").exists()


def _set_variable(variable: tuple[str, str]) -> str:
    name, value = variable
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    return f"\\set {name} '{quoted}'\n"


def _socket_directory(home: Path) -> Path:
    # The kernel allows a socket's path 107 bytes.
    inside = home / "run"
    if len(str(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    return Path("/tmp") / f"tillgate-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
