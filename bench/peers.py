"""Peers that run here: localstripe, as a separate process, installed apart and never vendored.

localstripe is GPL-3; it is installed from its hashed lock into a folder of its own where a package
index can be reached, asked over HTTP, and left out where it cannot.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Load, send_for
from bench.processes import Meter, running
from bench.rounds import Sample
from tests.peers import install_peer
from tillgate.runtime.ports import free_port

BODY = '{"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": true}'
CONNECTIONS = 16


@dataclass(frozen=True)
class Peer:
    """A running peer and what it is asked."""

    load: Load
    pid: int

    def measure(self, seconds: float) -> Sample:
        """Create and confirm payment intents for a while."""
        meter = Meter({"peer": self.pid})
        sent = send_for(self.load, seconds)
        assert sent.refused == 0, f"the peer refused {sent.refused} of {sent.requests}"
        cpu = {**meter.stop_each(sent.requests), "load": sent.cpu_us}
        return Sample(sent.requests / sent.seconds, sent.p50_ms, sent.p99_ms, cpu)


def is_installed() -> bool:
    """Say whether localstripe can be run, after trying to install it."""
    try:
        install_peer("localstripe")
    except AssertionError as error:
        print(f"localstripe is left out: {error}")
        return False
    return True


@contextmanager
def localstripe(home: Path) -> Generator[Peer]:
    """Run localstripe with an empty store."""
    port = free_port()
    words = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    lines = home / "localstripe.lines"
    lines.write_text(f"/v1/payment_intents\t{BODY}\n")
    environment = {**os.environ, "PYTHONPATH": str(install_peer("localstripe")), "HOME": str(home)}
    with running(words, environment, home / "localstripe.log") as child:
        load = Load(f"http://127.0.0.1:{port}", "sk_test_12345", lines, CONNECTIONS)
        _until_it_answers(load)
        yield Peer(load, child.pid)


def _until_it_answers(load: Load) -> None:
    deadline = time.monotonic() + 30
    request = urllib.request.Request(
        f"{load.url}/v1/customers", headers={"Authorization": f"Bearer {load.key}"}
    )
    while True:
        try:
            urllib.request.urlopen(request, timeout=5).read()
        except urllib.error.HTTPError:
            return
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, "localstripe did not start"
            time.sleep(0.1)
        else:
            return
