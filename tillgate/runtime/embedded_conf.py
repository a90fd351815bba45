"""The settings an embedded PostgreSQL runs with.

Durability is never traded away: fsync, synchronous commit and full page writes stay on, and
checksums are made by initdb.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tillgate.runtime.embedded_account import Account, run
from tillgate.runtime.embedded_binaries import Binaries

INCLUDED_AS = "tillgate.conf"
MEGABYTE = 2**20


@dataclass(frozen=True)
class Place:
    """Where one server keeps its things."""

    home: Path
    sockets: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "cluster"

    @property
    def logs(self) -> Path:
        """The server's own logs, a week of them."""
        return self.home / "log"


@dataclass(frozen=True)
class Tuning:
    """What may differ between one server and another."""

    shared_buffers: str | None = None
    max_connections: int = 200
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


def render(binaries: Binaries, account: Account, place: Place, port: int, tuning: Tuning) -> str:
    """Return the text of the included settings file."""
    configured = run(account, [binaries.program("pg_config"), "--configure"]).stdout
    shared = Path(run(account, [binaries.program("pg_config"), "--sharedir"]).stdout.strip())
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(place.sockets),
        "max_connections": str(tuning.max_connections),
        "password_encryption": "scram-sha-256",
        "shared_buffers": tuning.shared_buffers or f"{_a_quarter_of_memory_mb()}MB",
        "max_wal_size": "2GB",
        # Segments kept for the next time: to fill a new one with zeros holds up a commit by 20 ms.
        "min_wal_size": "512MB",
        "wal_compression": "lz4" if "--with-lz4" in configured else "off",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "jit": "off",
        "timezone": "UTC",
        **_log_settings(place),
        **_statistics(shared),
        **tuning.extra,
    }
    lines = [f"{name} = '{_quoted(value)}'" for name, value in settings.items()]
    return "\n".join(["# Written at every start; do not edit.", *lines, ""])


def _log_settings(place: Place) -> dict[str, str]:
    return {
        "logging_collector": "on",
        "log_directory": str(place.logs),
        "log_filename": "postgres-%a.log",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_min_duration_statement": "1s",
        # Parameters of a slow statement may hold what must not stand in a log.
        "log_parameter_max_length": "0",
        "log_checkpoints": "off",
        "log_startup_progress_interval": "2s",
    }


def _statistics(shared: Path) -> dict[str, str]:
    if not (shared / "extension" / "pg_stat_statements.control").exists():
        return {}
    return {"shared_preload_libraries": "pg_stat_statements", "track_io_timing": "on"}


def _a_quarter_of_memory_mb() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128, min(512, memory // 4 // MEGABYTE))


def _quoted(value: str) -> str:
    return value.replace("'", "''")
