"""The command line as a script sees it: help, JSON, exit codes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES = ["up", "serve", "worker", "simulate"]
COMMANDS = [
    *ROLES,
    "migrate",
    "doctor",
    "seed",
    "keys",
    "merchants",
    "providers",
    "books",
    "replay",
]
GROUPS = (
    "keys list",
    "keys create",
    "keys revoke",
    "merchants list",
    "merchants create",
    "providers list",
    "providers put",
    "books verify",
    "books balance",
    "replay webhook",
    "replay endpoint",
    "replay notice",
)


def tillgate(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tillgate.entry.cli", *words],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_command_and_the_exit_codes() -> None:
    help_text = tillgate("--help").stdout

    assert all(f"\n  {command} " in help_text for command in COMMANDS)
    assert "Exit codes:" in help_text


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS])
def test_every_command_has_help(command: str) -> None:
    done = tillgate(*command.split(), "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: tillgate {command}" in done.stdout
    assert "--data DIR" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--data", "{}", "doctor"),
        ("doctor", "--data", "{}"),
        ("--data", "elsewhere", "keys", "--data", "{}", "list"),
        ("keys", "--data", "elsewhere", "list", "--data={}"),
        ("simulate", "--data", "{}"),
    ],
)
def test_the_folder_may_stand_before_and_after(words: tuple[str, ...], tmp_path: Path) -> None:
    """The nearest to the command wins; here it is a file, so nothing is ever made."""
    file = tmp_path / "file"
    file.touch()
    place = str(file / "data")

    done = tillgate(*(word.replace("{}", place) for word in words))

    assert place in done.stderr
    assert "No such option" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "doctor",
        "seed",
        "serve",
        "worker",
        "migrate --check",
        "keys list",
        "providers put stripe /dev/null",
        "books verify",
        "breaks list",
        "replay notice not_1",
    ],
)
def test_a_folder_without_installation_is_named_and_nothing_is_made(
    command: str, open_dir: Path
) -> None:
    """A mistyped folder is neither made, nor filled where it is there."""
    for folder in (open_dir / "typo", open_dir):
        done = tillgate(*command.split(), "--data", str(folder))

        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr == (
            f"tillgate: There is no installation in {folder}. Name its folder with --data, or make"
            " one there with `tillgate up`.\n"
        )
        assert list(open_dir.iterdir()) == []


@pytest.mark.parametrize("command", ["up", "doctor", "migrate", "keys list"])
def test_a_file_in_the_place_of_the_folder_is_told_from_a_folder(
    command: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()

    for place in (file, file / "data"):
        done = tillgate(*command.split(), "--data", str(place))

        assert done.returncode == 3
        assert f"{place} cannot hold an installation: {file} is no folder" in done.stderr
        assert "--data" in done.stderr


@pytest.mark.parametrize("command", ["keys list", "keys create", "providers put", "books balance"])
def test_help_names_a_merchant_as_it_is_shown_and_taken(command: str) -> None:
    said = tillgate(*command.split(), "--help").stdout

    assert "--merchant acct_..." in said
    assert "mer_" not in said


def test_unknown_command_is_a_usage_error() -> None:
    assert tillgate("fly").returncode == 2


def test_unknown_setting_is_a_usage_error_that_names_it() -> None:
    done = tillgate("migrate", TILLGATE_HTTP__PROT="1")

    assert (done.returncode, done.stderr) == (2, "tillgate: unknown setting http.prot\n")


def test_unreachable_database_has_its_own_exit_code() -> None:
    done = tillgate("migrate", TILLGATE_DATABASE_URL="postgresql://li@127.0.0.1:1/books")

    assert done.returncode == 4
    assert "cannot be reached" in done.stderr


def test_missing_database_has_the_same_exit_code(empty_db_url: str) -> None:
    url = empty_db_url.replace("/empty_", "/nowhere_")

    assert tillgate("migrate", TILLGATE_DATABASE_URL=url).returncode == 4


def test_migrate_answers_in_json_and_check_tells_what_is_missing(empty_db_url: str) -> None:
    missing = tillgate("migrate", "--check", "--json", TILLGATE_DATABASE_URL=empty_db_url)
    applied = tillgate("migrate", "--json", TILLGATE_DATABASE_URL=empty_db_url)
    after = tillgate("migrate", "--check", "--json", TILLGATE_DATABASE_URL=empty_db_url)

    assert (missing.returncode, applied.returncode, after.returncode) == (1, 0, 0)
    assert json.loads(missing.stdout)["pending"] == json.loads(applied.stdout)["applied"]
    assert json.loads(after.stdout) == {"pending": []}


def test_a_broken_file_of_ports_is_named_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")

    for command in ("doctor", "providers list", "migrate --check"):
        done = tillgate(*command.split(), "--data", str(tmp_path))

        assert done.returncode == 2
        assert f"tillgate: {tmp_path}/ports.json does not say" in done.stderr


def test_up_on_a_taken_port_exits_with_three_and_starts_nothing(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        done = tillgate("up", "--json", "--port", str(port), "--data", str(tmp_path / "data"))

    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"]) == (3, False)
    assert f"pid {os.getpid()}" in answer["problems"][0]
    assert not (tmp_path / "data" / "postgres").exists()
