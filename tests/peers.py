"""Independent SDKs that clash with each other, each in a folder of its own.

The two Alipay packages on PyPI both install a top-level `alipay`, so neither can live in the test
environment. Each is installed from its hashed lock into `.venv-peers/<name>` on first use, and its
script in `tests/peer_scripts/` runs as a process of its own: JSON in on stdin, JSON out on stdout.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_HOME = ROOT / ".venv-peers"
_TIMEOUT_SECONDS = 60


def install_peer(name: str) -> Path:
    """The folder with the peer's packages; installed when missing or when its lock changed."""
    lock = ROOT / "requirements" / f"peer-{name}.lock"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    folder = _HOME / name
    mark = folder / ".installed"
    _HOME.mkdir(exist_ok=True)
    with (_HOME / f"{name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            _install(lock, folder)
            mark.write_text(wanted)
    return folder


async def run_peer(name: str, request: dict[str, Any]) -> Any:
    """Run the peer's script on one request, without blocking the loop that serves it."""
    folder = await asyncio.to_thread(install_peer, name)
    script = ROOT / "tests" / "peer_scripts" / f"{name.replace('-', '_')}.py"
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "ignore",
        str(script),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    out, err = await asyncio.wait_for(
        process.communicate(json.dumps(request).encode()), _TIMEOUT_SECONDS
    )
    assert process.returncode == 0, err.decode()[-2000:]
    return json.loads(out)


def _install(lock: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += [
        "--no-compile",
        "--require-hashes",
        "--no-deps",
        "--upgrade",
        "--target",
        str(folder),
    ]
    done = subprocess.run([*command, "-r", str(lock)], capture_output=True, text=True)
    assert done.returncode == 0, f"could not install {lock.name}: {done.stderr[-2000:]}"
