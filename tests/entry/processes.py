"""Runs `tillgate` as an operator would, and asks what it serves."""

import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def tillgate(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tillgate.entry.cli", *words],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(name: str, environment: dict[str, str]) -> Generator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tillgate.entry.cli", name],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()


def ask(port: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Ask until it listens."""
    deadline = time.monotonic() + 30
    while True:
        connection = HTTPConnection("127.0.0.1", int(port), timeout=10)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        finally:
            connection.close()
