"""`bin/install` makes `.venv` of the interpreter that was asked for, or of the fastest one known."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEM = Path("/usr/bin/python3")
IS_USABLE = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of nothing but the script and a lock without packages."""
    for name in ("bin", "requirements", "path"):
        (tmp_path / name).mkdir()
    shutil.copy(CHECKOUT / "bin" / "install", tmp_path / "bin")
    (tmp_path / "requirements" / "runtime.lock").write_text("# nothing\n")
    return tmp_path


def python_on_path(checkout: Path, answer: str) -> Path:
    """Put a python3 of our own first on the path; it tells when it is called."""
    python = checkout / "path" / "python3"
    python.write_text(f'#!/bin/sh\necho "$@" >> "{checkout}/called"\n{answer}\n')
    python.chmod(0o755)
    return python


def install(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "bin" / "install", "runtime"],
        env={"PATH": f"{checkout}/path:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def home_of(checkout: Path) -> str:
    config = (checkout / ".venv" / "pyvenv.cfg").read_text()
    return next(line.split(" = ")[1] for line in config.splitlines() if line.startswith("home"))


def is_usable(python: Path) -> bool:
    return (
        python.exists() and subprocess.run([python, "-c", IS_USABLE], check=False).returncode == 0
    )


@pytest.mark.skipif(not is_usable(SYSTEM), reason="no system Python to prefer")
def test_the_systems_python_goes_before_the_paths_and_what_was_made_stays(checkout: Path) -> None:
    python_on_path(checkout, f'exec "{sys.executable}" "$@"')

    made = install(checkout)
    again = install(checkout, PYTHON=sys.executable)

    assert (made.returncode, again.returncode, again.stdout) == (0, 0, ""), made.stderr
    assert "(/usr/bin/python3)" in made.stdout
    assert home_of(checkout) == "/usr/bin"
    assert not (checkout / "called").exists(), "nothing asks for the path's python3"
    said = subprocess.run(
        [checkout / ".venv" / "bin" / "python", "-c", "import sys; print(sys.path)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(checkout) in said.stdout


def test_python_that_was_asked_for_is_taken(checkout: Path) -> None:
    """It is one that can do everything but make the folder."""
    asked = python_on_path(checkout, '[ "$1" != -m ]')

    made = install(checkout, PYTHON=str(asked))

    assert (made.returncode, f"{asked} could not make .venv here" in made.stderr) == (3, True)
    assert (checkout / "called").read_text().endswith("-m venv .venv\n")


def test_python_that_was_asked_for_and_cannot_be_used_is_named(checkout: Path) -> None:
    made = install(checkout, PYTHON="/bin/false")

    assert (made.returncode, made.stdout) == (3, "")
    assert "PYTHON=/bin/false is not Python 3.11 or later with its venv module" in made.stderr
    assert not (checkout / ".venv").exists()
