"""Processes under measurement: started, their CPU time and memory read from /proc, ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """A process and all its descendants that live."""
    children: dict[int, list[int]] = {}
    for child, fields in _stats():
        children.setdefault(int(fields[1]), []).append(child)
    found, at = [pid], 0
    while at < len(found):
        found += children.get(found[at], [])
        at += 1
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants, those that have ended included."""
    members = set(family(pid))
    total = 0
    for member, fields in _stats():
        if member in members:
            total += sum(int(ticks) for ticks in fields[11:15])
    return total / _TICKS


def memory_mb(pid: int) -> float:
    """Proportional share of memory of a process and its descendants."""
    return sum(_proportional_kb(member) for member in family(pid)) / 1024


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its descendants, what they share counted twice."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1])
    return total * _PAGE / 2**20


def _proportional_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _stats() -> Iterator[tuple[int, list[str]]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        yield int(stat.parent.name), text.rpartition(")")[2].split()


@contextmanager
def running(
    words: Sequence[str], environment: Mapping[str, str], log: Path
) -> Generator[subprocess.Popen[str]]:
    """A child process for as long as it is needed; its errors go to a file."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            words, cwd=CHECKOUT, env=dict(environment), stdout=subprocess.PIPE, stderr=errors,
            text=True, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a child says of itself when it is ready: one line of JSON."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("{"), f"the child did not get ready: {line!r}"
    return json.loads(line)


class Meter:
    """CPU time of named processes since the start."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.started = time.monotonic()
        self._before = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def stop(self) -> dict[str, float]:
        """Seconds of CPU each of them has used."""
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}

    def stop_each(self, operations: int) -> dict[str, float]:
        """Microseconds of CPU an operation cost each of them."""
        return {name: used / max(operations, 1) * 1e6 for name, used in self.stop().items()}
