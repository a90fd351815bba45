"""What `tillgate up` looks at before it starts anything."""

import os
import socket
from pathlib import Path

import msgspec
import pytest

from tillgate.entry import preflight
from tillgate.entry.options import with_port
from tillgate.runtime.ports import free_port
from tillgate.runtime.settings import (
    HttpSettings,
    MetricsSettings,
    Settings,
    SimulatorSettings,
    load,
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
