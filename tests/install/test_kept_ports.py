"""The ports that `tillgate up` took stay with the data folder, below what is set otherwise."""

import errno
import json
import stat
from pathlib import Path

import msgspec
import pytest

from tillgate.entry import ports
from tillgate.runtime.settings import Settings, SettingsRefused, load


def settings_in(folder: Path, **environ: str) -> Settings:
    return msgspec.structs.replace(load(environ), data_dir=str(folder))


def test_every_port_that_was_taken_is_found_again(tmp_path: Path) -> None:
    taken = ports.with_port(settings_in(tmp_path, TILLGATE_SIMULATORS__CARD_PORT="7001"), 21080)

    ports.keep(taken)

    assert ports.with_kept(settings_in(tmp_path), {}) == taken
    assert stat.S_IMODE((tmp_path / "ports.json").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["ports.json"]


def test_what_is_no_port_is_not_kept(tmp_path: Path) -> None:
    """Nobody minds a number too high for what does not run; `up` says so of what does."""
    ports.keep(ports.with_port(settings_in(tmp_path), 65_530))

    found = ports.with_kept(settings_in(tmp_path), {})

    assert (found.http.port, found.database.port) == (65_530, 65_532)
    assert found.simulators == Settings().simulators


def test_what_is_set_stands_above_what_was_kept(tmp_path: Path) -> None:
    ports.keep(ports.with_port(settings_in(tmp_path), 21080))
    file = tmp_path / "tillgate.toml"
    file.write_text("[metrics]\nworker_port = 7002\n")
    environ = {"TILLGATE_CONFIG": str(file), "TILLGATE_HTTP__PORT": "7001"}

    found = ports.with_kept(settings_in(tmp_path), environ)

    assert (found.http.port, found.metrics.worker_port) == (7001, 7002)
    assert found.simulators.shop_port == 21094


def test_a_folder_that_keeps_no_ports_changes_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert ports.with_kept(settings_in(folder), {}) == settings_in(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        json.dumps({"http": {"port": "x"}}),
        json.dumps({"http": {"port": 70_000}}),
        json.dumps({"http": {"public_url": 8080}}),
        '{"http": "\xff"}',
    ],
)
def test_a_file_that_says_no_ports_is_named_and_so_is_the_cure(text: str, tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(SettingsRefused, match=rf"{tmp_path}/ports\.json .* remove it"):
        ports.with_kept(settings_in(tmp_path), {})


def test_a_cut_off_write_leaves_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports.keep(ports.with_port(settings_in(tmp_path), 21080))

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", no_room)
        with pytest.raises(OSError, match="No space left"):
            ports.keep(ports.with_port(settings_in(tmp_path), 9000))

    assert ports.with_kept(settings_in(tmp_path), {}).http.port == 21080


def test_what_another_user_keeps_is_no_matter_with_a_database_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    environ = {"TILLGATE_DATABASE_URL": "postgresql://db.example/tillgate"}
    own = settings_in(tmp_path, **environ)

    assert ports.with_kept(own, environ) == own
    with pytest.raises(PermissionError):
        ports.with_kept(settings_in(tmp_path), {})
