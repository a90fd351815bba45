"""Who runs PostgreSQL, and what that user can reach.

PostgreSQL refuses to run as root, so root lends it a system user. That user sees neither a
virtual environment nor a checkout under a home directory of mode 0700; `reachable` asks the
kernel rather than guessing from mode bits.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tillgate.runtime.embedded_errors import NoAccount

SYSTEM_USER = "tillgate-pg"
SYSTEM_HOME = Path("/var/lib/tillgate")
COMMAND_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Account:
    """The operating system's user that PostgreSQL runs as."""

    name: str
    uid: int
    gid: int

    @property
    def is_another(self) -> bool:
        """Whether it is another user than the one we run as."""
        return self.uid != os.geteuid()

    @property
    def change_uid(self) -> int | None:
        """The `user` that `subprocess` must change to; None to stay who we are."""
        return self.uid if self.is_another else None

    @property
    def change_gid(self) -> int | None:
        """The `group` that `subprocess` must change to."""
        return self.gid if self.is_another else None

    @property
    def change_groups(self) -> list[int] | None:
        """The `extra_groups` that `subprocess` must change to: none of root's."""
        return [] if self.is_another else None


def server_account() -> Account:
    """Return the user to run as: ourselves, or a system user when we are root."""
    if os.geteuid() != 0:
        return _account(pwd.getpwuid(os.geteuid()))
    return _existing() or _create()


def run(
    account: Account, command: Sequence[str | Path], *, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as `account` in the root directory and return what it said."""
    return subprocess.run(
        [str(part) for part in command],
        user=account.change_uid,
        group=account.change_gid,
        extra_groups=account.change_groups,
        cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
        check=False,
    )


def reachable(account: Account, path: Path, access: str = "-x") -> bool:
    """Say whether `account` may enter (-x) or read (-r) this path."""
    if not account.is_another:
        return True
    return run(account, ["test", access, path]).returncode == 0


def reachable_home(preferred: Path, account: Account) -> Path:
    """Return `preferred`, or a place under /var/lib when the account could not get there."""
    if reachable(account, _nearest_existing(preferred)):
        return preferred
    digest = hashlib.sha256(str(preferred).encode()).hexdigest()[:8]
    return SYSTEM_HOME / f"{preferred.parent.name or 'home'}-{digest}"


def make_directory(path: Path, *, mode: int = 0o755, account: Account | None = None) -> None:
    """Make a directory and its parents passable whatever the umask, and hand it over."""
    for parent in reversed(path.parents):
        _make_one(parent, 0o755)
    _make_one(path, mode)
    if account is not None and account.is_another:
        os.chown(path, account.uid, account.gid)


def _make_one(path: Path, mode: int) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        # Another process may have been faster; what was there keeps its mode.
        return
    path.chmod(mode)


def _nearest_existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _existing() -> Account | None:
    for name in ("postgres", SYSTEM_USER):
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    return None


def _create() -> Account:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise NoAccount(
            "PostgreSQL does not run as root, there is no user `postgres`, and `useradd` is not "
            "installed to make one. Run as an ordinary user, or install the package `passwd`."
        )
    command = [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent"]
    made = subprocess.run(
        [*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
        capture_output=True,
        text=True,
        check=False,
    )
    account = _existing()
    if account is None:
        raise NoAccount(f"The user {SYSTEM_USER} could not be made: {made.stderr.strip()}")
    return account


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
