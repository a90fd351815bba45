"""`tillgate up` as a person lives with it: up, hurt, ended, up again on the same data."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tillgate.runtime.embedded_watch import is_alive, works_in
from tillgate.runtime.ports import free_port, is_free

CHECKOUT = Path(__file__).resolve().parents[2]
MOST_MEMORY_MB = 400
#: From nothing to ready, once it is installed; it takes about three.
MOST_SECONDS = 60
PROVIDERS = ("ALIPAY", "WECHAT", "CARD", "SHOP")


def ports() -> dict[str, str]:
    ours = ("HTTP__PORT", "METRICS__WORKER_PORT", "DATABASE__PORT")
    names = (*ours, *(f"SIMULATORS__{p}_PORT" for p in PROVIDERS))
    return {f"TILLGATE_{name}": str(free_port()) for name in names}


@contextmanager
def up(
    data: Path, environment: dict[str, str], *words: str, stderr: Any = subprocess.DEVNULL
) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tillgate.entry.cli", "up", "--json", "--data", str(data), *words],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def readiness(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    answer = json.loads(process.stdout.readline() or '{"ok": false}')
    assert answer["ok"], answer
    return answer


def is_ready(answer: dict[str, Any]) -> bool:
    try:
        with urllib.request.urlopen(f"{answer['base_url']}/readyz", timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def postmasters(open_dir: Path) -> list[int]:
    return works_in(open_dir / "data" / "postgres" / "cluster")


def test_comes_up_heals_ends_in_seconds_and_comes_up_again(open_dir: Path) -> None:
    environment = ports()
    begun = time.monotonic()
    with up(open_dir / "data", environment) as process:
        answer = readiness(process)
        assert is_ready(answer)
        assert time.monotonic() - begun < MOST_SECONDS
        assert answer["memory_mb"]["total"] < MOST_MEMORY_MB

        second = subprocess.run(
            [sys.executable, "-m", "tillgate.entry.cli", "--data", str(open_dir / "data"), "up"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (second.returncode, f"(pid {process.pid})" in second.stderr) == (3, True)

        os.kill(answer["pids"]["api"], signal.SIGKILL)
        until(lambda: not is_alive(answer["pids"]["api"]))
        until(lambda: is_ready(answer))

        parents = {pid: _parent(pid) for pid in postmasters(open_dir)}
        (postmaster,) = (p for p, parent in parents.items() if parent and parent not in parents)
        os.kill(postmaster, signal.SIGKILL)
        until(lambda: not is_alive(postmaster))
        until(lambda: bool(postmasters(open_dir)) and is_ready(answer))

        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert time.monotonic() - begun < 10
        assert not any(map(is_alive, answer["pids"].values()))
        assert postmasters(open_dir) == []

    with up(open_dir / "data", environment) as process:
        again = readiness(process)
        assert is_ready(again)


def test_killed_supervisor_leaves_a_database_that_the_next_one_tells_of(open_dir: Path) -> None:
    environment = ports()
    with up(open_dir / "data", environment) as process:
        readiness(process)
        process.kill()
        process.wait()
        left = postmasters(open_dir)
        assert left
        # The children see that their parent is gone, and go too.
        own = [int(port) for name, port in environment.items() if "DATABASE" not in name]
        until(lambda: all(is_free(port) for port in own))

        told = open_dir / "told"
        with (
            told.open("w") as stderr,
            up(open_dir / "data", environment, stderr=stderr) as second,
        ):
            assert is_ready(readiness(second))
    said = [line for line in told.read_text().splitlines() if "still running" in line]
    assert len(said) == 1
    assert re.search(rf"pid ({'|'.join(map(str, left))})\b", said[0])
    assert postmasters(open_dir) == []


def test_one_option_lets_two_installations_run_side_by_side(open_dir: Path) -> None:
    first, second = block(), block()
    with (
        up(open_dir / "data", {}, "--port", str(first)) as one,
        up(open_dir / "other", {}, "--port", str(second)) as other,
    ):
        for process, port, data in ((one, first, "data"), (other, second, "other")):
            answer = readiness(process)
            assert is_ready(answer)
            assert answer["base_url"] == f"http://127.0.0.1:{port}"
            assert answer["metrics"][1] == f"http://127.0.0.1:{port + 1}/metrics"
            assert answer["simulators"]["shop"]["url"] == f"http://127.0.0.1:{port + 14}"
            pid_file = open_dir / data / "postgres" / "cluster" / "postmaster.pid"
            assert pid_file.read_text().splitlines()[3] == str(port + 2)
        third = [sys.executable, "-m", "tillgate.entry.cli", "migrate", "--data"]
        done = subprocess.run(
            [*third, str(open_dir / "third")],
            cwd=CHECKOUT,
            env={"PATH": os.environ["PATH"], "TILLGATE_DATABASE__PORT": str(first + 2)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_every_command_finds_the_ports_of_its_installation(open_dir: Path) -> None:
    port, data = block(), open_dir / "data"
    base = f"http://127.0.0.1:{port}"
    with up(data, {}, "--port", str(port)) as process:
        readiness(process)
        heard = notice_addresses(data)
        assert len(heard) == 1
        assert heard[0].startswith(f"{base}/notices/")

        seeded = tillgate(data, "seed")

        assert seeded["topup_url"].startswith(f"{base}/")
        assert notice_addresses(data) == heard
        listed = tillgate(data, "providers", "list")
        assert all(one["notices"].startswith(f"{base}/") for one in listed)
        simulators = command(data, "simulate")
        assert str(port + 11) in simulators.stderr
    with up(data, {}) as process:
        assert readiness(process)["base_url"] == base


def command(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tillgate.entry.cli", *words, "--data", str(data)],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def tillgate(data: Path, *words: str) -> Any:
    done = command(data, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def notice_addresses(data: Path) -> list[str]:
    """Return where the card simulator sends its notices."""
    merchants = json.loads((data / "simulators" / "merchants.json").read_text())["merchants"]
    card = merchants[0]["card"]
    asked = urllib.request.Request(
        f"{card['base_url']}/v1/webhook_endpoints",
        headers={"Authorization": f"Bearer {card['secret_key']}"},
    )
    with urllib.request.urlopen(asked, timeout=5) as answer:
        return [endpoint["url"] for endpoint in json.load(answer)["data"]]


def block() -> int:
    """Return a port after which fifteen are free."""
    while True:
        port = random.randint(20_000, 30_000)
        if all(is_free(port + distance) for distance in range(15)):
            return port


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None  # a backend that ended meanwhile
    return int(stat.rsplit(")", 1)[1].split()[1])
