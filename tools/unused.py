"""Refuse functions, methods and classes that nobody names: neither the product nor its tests.

vulture finds them. Fields are left alone, since what is shown on a wire is named by nobody here,
and so is what others call by a name of theirs.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tillgate.entry.cli import ROOMS

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("tillgate", "simulators", "tools", "tests", "bench")
#: Tests and benches may keep a spare; what is shipped may not.
JUDGED = re.compile(
    r"(?:tillgate|simulators|tools)/.* unused (?:function|method|class|property|import) "
)
TEMPLATES = "tillgate/**/templates/*.html"
#: Called by asyncio, httptools, zipfile and uvicorn.
CALLED_BY_OTHERS = (
    "_encodeFilenameFlags",
    "capture_signals",
    "connection_lost",
    "connection_made",
    "data_received",
    "on_*",
)


def unused() -> list[str]:
    """Return what nobody names, as `path:line: what`."""
    pages = "".join(page.read_text() for page in ROOT.glob(TEMPLATES))
    by_page = set(re.findall(r"\.(\w+)", pages))
    by_table = (door.rpartition(":")[2] for door in ROOMS.values())
    words = [
        *("--min-confidence", "60"),
        *("--ignore-names", ",".join([*CALLED_BY_OTHERS, *by_table, *by_page])),
        *("--ignore-decorators", "@*.command"),
    ]
    found = subprocess.run(
        [sys.executable, "-m", "vulture", *PLACES, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    # 3 is its way to say that it found something.
    assert found.returncode in {0, 3}, found.stderr
    return [line for line in found.stdout.splitlines() if JUDGED.match(line)]


def main() -> int:
    """Print what is unused and return 1, or 0."""
    found = unused()
    for line in found:
        sys.stdout.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
