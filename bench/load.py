"""The load: many kept-alive connections, each sending its next POST when the last is answered.

`wrk` where it is installed (about 10 us of CPU a request), a small generator of our own otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Load:
    """What to send where: lines of path, tab, body, one of which is drawn each time."""

    url: str
    key: str
    lines: Path
    connections: int = 64


@dataclass(frozen=True)
class Sent:
    """What came of it. `refused` were answered with anything but 200."""

    requests: int
    seconds: float
    refused: int
    p50_ms: float
    p99_ms: float
    cpu_us: float
    generator: str


def ensure_wrk() -> bool:
    """Say whether wrk is there, after trying to install it where that is ours to do."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        words = ["apt-get", "install", "-qq", "-y", "wrk"]
        subprocess.run(words, check=False, capture_output=True)
    return shutil.which("wrk") is not None


def send_for(load: Load, seconds: float) -> Sent:
    """Send for a while and return what was answered."""
    return _wrk(load, seconds) if shutil.which("wrk") else asyncio.run(_own(load, seconds))


def _wrk(load: Load, seconds: float) -> Sent:
    before = _children_cpu()
    prefix = os.urandom(6).hex()
    ran = subprocess.run(
        [
            *("wrk", "-t1", f"-c{load.connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "30s"),
            *("-s", str(SCRIPT), load.url, "--", str(load.lines), load.key, prefix),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if ran.stderr:
        print(ran.stderr[:600])
    said = json.loads(ran.stdout.strip().splitlines()[-1])
    assert said["broken"] == 0, f"connections broke: {ran.stdout}"
    cpu = (_children_cpu() - before) / max(said["requests"], 1) * 1e6
    return Sent(
        said["requests"], said["seconds"], said["refused"], said["p50_ms"], said["p99_ms"], cpu, "wrk"
    )  # fmt: skip


def _children_cpu() -> float:
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


async def _own(load: Load, seconds: float) -> Sent:
    pairs = [line.split("\t") for line in load.lines.read_text().splitlines()]
    started, cpu = time.monotonic(), time.process_time()
    until = started + seconds
    prefix = os.urandom(6).hex()
    posts = [
        _Connection(load, pairs, f"{prefix}{number}x", until) for number in range(load.connections)
    ]
    place = urlsplit(load.url)
    loop = asyncio.get_running_loop()
    await asyncio.gather(
        *(loop.create_connection(lambda p=post: p, place.hostname, place.port) for post in posts)
    )
    await asyncio.gather(*(post.ended for post in posts))
    took = sorted(one for post in posts for one in post.took)
    hundredths = statistics.quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    return Sent(
        len(took), time.monotonic() - started, sum(post.refused for post in posts),
        hundredths[49] * 1e3, hundredths[98] * 1e3,
        (time.process_time() - cpu) / max(len(took), 1) * 1e6, "python",
    )  # fmt: skip


class _Connection(asyncio.Protocol):
    """One connection: send, read the answer, send the next."""

    def __init__(
        self, load: Load, pairs: Sequence[Sequence[str]], prefix: str, until: float
    ) -> None:
        self._load, self._pairs, self._prefix, self._until = load, pairs, prefix, until
        self._read = b""
        self._sent = 0.0
        self.took: list[float] = []
        self.refused = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._read = b""
        self.took.append(time.monotonic() - self._sent)
        self.refused += not head.startswith(b"HTTP/1.1 200")
        if time.monotonic() < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def _send(self) -> None:
        path, body = random.choice(self._pairs)
        self._sent = time.monotonic()
        self._transport.write(
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._load.key}\r\n"
            f"Content-Type: {_JSON if body.startswith('{') else _FORM}\r\n"
            f"Idempotency-Key: {self._prefix}{len(self.took)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
