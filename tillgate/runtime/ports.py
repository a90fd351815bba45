"""TCP ports on this machine: which are free, and who holds one that is not."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

LISTENING = "0A"
_LOWEST = 15_000
_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a server could listen on this port now."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port nobody listens on at this moment.

    One that connections of others are not given where there is: between being found free and being
    listened on it would be anybody's.
    """
    for port in random.sample(range(_LOWEST, _lowest_given()), 100):
        if is_free(port, host):
            return port
    with socket.socket() as attempt:
        attempt.bind((host, 0))
        return int(attempt.getsockname()[1])


def _lowest_given() -> int:
    """The first port that the system gives to connections which ask for none."""
    try:
        lowest = int(_GIVEN.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        lowest = 32_768
    return max(lowest, _LOWEST + 1_000)


def owner_of(port: int) -> str | None:
    """Name the process that listens on this port, as far as we may look into it."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if inodes & set(_socket_inodes(process)):
            return f"{_command(process)} (pid {process.name})"
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTENING and int(fields[1].rsplit(":", 1)[1], 16) == port:
                yield f"socket:[{fields[9]}]"


def _socket_inodes(process: Path) -> Iterator[str]:
    try:
        for descriptor in (process / "fd").iterdir():
            yield str(descriptor.readlink())
    except OSError:
        # Another user's process, or one that has just ended.
        return


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "a process"
    return " ".join(words).strip()[:80] or "a process"
