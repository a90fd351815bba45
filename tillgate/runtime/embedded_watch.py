"""Watch a PostgreSQL server from outside: is it alive, is it ready, does it get on."""

import time
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.05
STALL_SECONDS = 120


@dataclass(frozen=True)
class PidFile:
    """What `postmaster.pid` says."""

    pid: int
    port: int
    socket_directory: str
    status: str


def read_pid_file(data: Path) -> PidFile | None:
    """Read `postmaster.pid`; None when it is missing or not yet whole."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 6:
        return None
    status = lines[7].strip() if len(lines) > 7 else "starting"
    return PidFile(abs(int(lines[0])), int(lines[3]), lines[4], status)


def first_pid(data: Path) -> int | None:
    """Return the process id in `postmaster.pid`, however much of the file is written."""
    try:
        return abs(int((data / "postmaster.pid").read_text().split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None


def is_alive(pid: int) -> bool:
    """Say whether the process runs; one that waits only to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in {"Z", "X"}


def works_in(data: Path) -> list[int]:
    """Return the processes whose working directory is this data directory: its server's."""
    wanted = data.resolve()
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if _working_directory(process) == wanted and is_alive(int(process.name))
    ]


def wait_until_gone(data: Path, *, timeout_seconds: float) -> list[int]:
    """Wait for the last process of a server to end; return those that are still there."""
    deadline = time.monotonic() + timeout_seconds
    left = works_in(data)
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = works_in(data)
    return left


class Progress:
    """Tell a server that works from one that stands still, by its log and its CPU time."""

    def __init__(self, pid: int, logs: Path) -> None:
        self._pid = pid
        self._logs = logs
        self._seen = (0, 0)
        self._moved_at = time.monotonic()

    def is_stalled(self) -> bool:
        """Say whether nothing at all has moved for `STALL_SECONDS`."""
        now = (_bytes_in(self._logs), _cpu_ticks(self._pid))
        if now != self._seen:
            self._seen = now
            self._moved_at = time.monotonic()
        return time.monotonic() - self._moved_at > STALL_SECONDS


def newest_log(logs: Path) -> Path | None:
    """Return the log file that was written to last."""
    try:
        files = [path for path in logs.iterdir() if path.suffix == ".log"]
    except FileNotFoundError:
        return None
    return max(files, key=lambda path: path.stat().st_mtime, default=None)


def last_lines(logs: Path, count: int = 12) -> str:
    """Return the end of the newest log."""
    log = newest_log(logs)
    if log is None:
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def _working_directory(process: Path) -> Path | None:
    try:
        return (process / "cwd").readlink()
    except OSError:
        return None


def _bytes_in(logs: Path) -> int:
    return sum(path.stat().st_size for path in logs.iterdir())


def _cpu_ticks(pid: int) -> int:
    # The start-up process, which replays the log, is a child of the postmaster.
    return sum(_ticks_of(process) for process in (pid, *_children(pid)))


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _ticks_of(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])
