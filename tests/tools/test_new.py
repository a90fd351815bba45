"""A new room and a new connector are born clean: every lint passes over the skeleton."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("tillgate", "simulators", "tools", "migrations"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).parent / command[0]
    program = [str(path)] if path.exists() and path.name != "python" else [sys.executable]
    return subprocess.run(
        [*program, *command[1:]], cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    )  # fmt: skip


def tidy(folder: Path) -> list[str]:
    return run(folder, "python", "tools/tidy.py").stdout.splitlines()


def assert_clean(folder: Path, *paths: str) -> None:
    assert not [line for path in paths for line in tidy(folder) if line.startswith(path)]
    checks: list[tuple[str, ...]] = [
        ("python", "tools/migration_lint.py"),
        ("lint-imports", "--no-cache"),
        ("ruff", "check", "--no-cache", *paths),
        ("ruff", "format", "--no-cache", "--check", *paths),
    ]
    for check in checks:
        done = run(folder, *check)
        assert done.returncode == 0, f"{check}: {done.stdout}{done.stderr}"


def test_a_new_room_passes_every_lint(copy: Path) -> None:
    done = run(copy, "python", "tools/new_room.py", "loyalty", "topups", "Points and tiers")

    assert done.returncode == 0, done.stderr
    assert_clean(copy, "tillgate/loyalty", "tests/loyalty")
    settings = (copy / "pyproject.toml").read_text()
    assert settings.index('  "webhooks",\n') < settings.index('  "loyalty",\n  "topups",\n')
    assert '  "tillgate.loyalty",\n' in settings


def test_a_room_in_the_wrong_place_is_refused(copy: Path) -> None:
    (copy / "tillgate/ledger/commands.py").write_text("from tillgate.payments import errors\n")
    (copy / "tillgate/payments/errors.py").write_text("")

    done = run(copy, "lint-imports", "--no-cache")

    assert done.returncode == 1
    assert "tillgate.ledger is not allowed to import tillgate.payments" in done.stdout


def test_a_new_connector_passes_every_lint(copy: Path) -> None:
    done = run(copy, "python", "tools/new_connector.py", "klarna", "Klarna")

    assert done.returncode == 0, done.stderr
    assert_clean(copy, "tillgate/connectors/klarna", "tests/connectors")
