"""TCP ports on this machine: which are free, and who holds one that is not."""

import errno
import random
import socket
from collections.abc import Iterator
from pathlib import Path

HIGHEST_PORT = 65_535
LISTENING = "0A"
_LOWEST = 15_000
_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FOR_ALL = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a server could listen on this port now."""
    return _refused(port, host) is None


def is_forbidden(port: int, host: str = "127.0.0.1", *, to_another: bool = False) -> bool:
    """Say whether we, or `to_another`, an ordinary user we lend a server, may not listen here."""
    return (to_another and is_reserved(port)) or _refused(port, host) == errno.EACCES


def is_reserved(port: int) -> bool:
    """Say whether only root may listen on this port."""
    return 0 < port < lowest_for_all()


def lowest_for_all() -> int:
    """Return the lowest port that every user may listen on."""
    return _first_number(_FOR_ALL, 1_024)


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
    return max(_first_number(_GIVEN, 32_768), _LOWEST + 1_000)


def _first_number(file: Path, usual: int) -> int:
    try:
        return int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return usual


def _refused(port: int, host: str) -> int | None:
    """Return why nobody of ours could listen there now: the system's number, or None."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((host, port))
        except OSError as error:
            return error.errno
    return None


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
