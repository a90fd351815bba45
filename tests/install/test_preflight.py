"""What `tillgate up` looks at before it starts anything."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tillgate.entry import preflight
from tillgate.entry.ports import with_port
from tillgate.runtime.ports import free_port, is_reserved
from tillgate.runtime.settings import (
    HttpSettings,
    MetricsSettings,
    Settings,
    SimulatorSettings,
    load,
)

CHECKOUT = Path(__file__).resolve().parents[2]
#: Asks the preflight as a user with no rights, which root becomes once all is imported.
AS_NOBODY = """
import os, sys
from tillgate.entry import preflight
from tillgate.entry.ports import with_port
from tillgate.runtime.settings import Settings
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
print("\\n".join(preflight.problems(with_port(Settings(data_dir="/tmp"), int(sys.argv[1])))))
"""
needs_reserved_ports = pytest.mark.skipif(
    not is_reserved(85), reason="this machine lets everybody take every port"
)


def settings_in(path: Path, **http: int) -> Settings:
    return Settings(
        data_dir=str(path),
        http=HttpSettings(**{"port": free_port(), **http}),
        metrics=MetricsSettings(worker_port=free_port()),
        simulators=SimulatorSettings(
            alipay_port=free_port(),
            wechat_port=free_port(),
            card_port=free_port(),
            shop_port=free_port(),
        ),
    )


def test_a_free_machine_has_no_problems(tmp_path: Path) -> None:
    assert preflight.problems(settings_in(tmp_path / "data")) == []


def test_taken_port_names_the_holder_its_use_and_the_setting(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        (problem,) = preflight.problems(settings_in(tmp_path, port=port))

    assert f"Port {port}" in problem
    assert f"(pid {os.getpid()})" in problem
    assert "the API and the pages" in problem
    assert "TILLGATE_HTTP__PORT" in problem


def test_one_port_for_two_uses_is_named(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    card = msgspec.structs.replace(settings.simulators, card_port=settings.http.port)

    (problem,) = preflight.problems(msgspec.structs.replace(settings, simulators=card))

    assert "wanted twice" in problem


def test_impossible_port_is_named(tmp_path: Path) -> None:
    (problem,) = preflight.problems(settings_in(tmp_path, port=70_000))

    assert "TILLGATE_HTTP__PORT=70000 is no port" in problem


@needs_reserved_ports
def test_a_port_that_only_root_may_take_is_named_with_its_use_and_setting() -> None:
    asked = [sys.executable, "-c", AS_NOBODY, "85"]
    told = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout

    first, *others = told.splitlines()
    assert first.startswith("Port 85, wanted for the API and the pages, is open to root alone")
    assert "TILLGATE_HTTP__PORT, or with --port" in first
    assert len(others) == 5  # what follows the port, but for PostgreSQL, which stays away
    assert "is taken" not in told


@needs_reserved_ports
@pytest.mark.skipif(os.geteuid() != 0, reason="another user may not listen on them either")
def test_root_is_told_that_postgresql_may_not_take_a_port_of_roots(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    reserved = msgspec.structs.replace(settings.database, port=85)

    (problem,) = preflight.problems(msgspec.structs.replace(settings, database=reserved))

    assert problem.startswith("Port 85, wanted for PostgreSQL, is open to root alone")
    assert "TILLGATE_DATABASE__PORT" in problem


@needs_reserved_ports
def test_postgresql_does_not_follow_to_a_port_that_only_root_may_take() -> None:
    moved = with_port(Settings(), 80)

    assert (moved.http.port, moved.metrics.worker_port) == (80, 81)
    assert moved.database.port == Settings().database.port


def test_impossible_port_of_the_database_is_named(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    beyond = msgspec.structs.replace(settings.database, port=65_536)

    (problem,) = preflight.problems(msgspec.structs.replace(settings, database=beyond))

    assert "TILLGATE_DATABASE__PORT=65536 is no port" in problem


def test_a_server_that_is_there_needs_no_port_of_ours(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    elsewhere = msgspec.structs.replace(settings.database, port=85, url="postgresql://there/books")

    assert preflight.problems(msgspec.structs.replace(settings, database=elsewhere)) == []


def test_full_disk_is_named_with_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "NEEDED_BYTES", 2**60)

    (problem,) = preflight.problems(settings_in(tmp_path))

    assert "MB free" in problem


def test_every_problem_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "NEEDED_BYTES", 2**60)

    assert len(preflight.problems(settings_in(tmp_path, port=70_000))) == 2


def test_what_listens_follows_the_port_unless_it_has_a_setting(tmp_path: Path) -> None:
    moved = with_port(load({"TILLGATE_SIMULATORS__CARD_PORT": "7001"}), 9000)

    ports = [listener.port for listener in preflight.listeners(moved)]
    assert ports == [9000, 9001, 9011, 9012, 7001, 9014]
    assert moved.database.port == 9002
