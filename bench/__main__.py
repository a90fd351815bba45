"""`make bench`: everything that is measured, in tables and in bench/results.json.

    python -m bench              ledger, gateway and growth; under ten minutes
    python -m bench --quick      under a minute, to see that the measures run; the figures mean nothing
    python -m bench --full       growth up to ten million payments; takes long

Each figure is a ratio to pgbench's TPC-B with 16 clients, on the same server and disk, in the same
interleaved rounds; CPU microseconds beside it, since they suffer less from what else a machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import page
from bench.load import ensure_wrk
from bench.processes import CHECKOUT

RESULTS = Path(__file__).with_name("results.json")
#: The words each part is started with, by how thorough the run is.
PARTS = {
    "ledger": {
        "quick": "--rounds 1 --seconds 1 --warm_up 1 --scale 5",
        "usual": "--rounds 3 --seconds 5",
        "full": "--rounds 5 --seconds 10",
    },
    "gateway": {
        "quick": "--rounds 1 --seconds 1 --wallets 200 --scale 5",
        "usual": "--rounds 3 --seconds 8",
        "full": "--rounds 5 --seconds 10",
    },
    "ledger_peers": {
        "quick": "--rounds 1 --seconds 1 --scale 5 --processes 2",
        "usual": "--rounds 3 --seconds 5 --scale 20",
        "full": "--rounds 5 --seconds 10",
    },
    "growth": {
        "quick": "--quick",
        "usual": "--large 1000000 --rounds 3",
        "full": "",
    },
}


def main() -> int:
    """Run the parts one after the other; return 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_const", const="quick", dest="how", default="usual")
    parser.add_argument("--full", action="store_const", const="full", dest="how")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--json", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    ensure_wrk()
    results: dict[str, Any] = json.loads(chosen.json.read_text()) if chosen.json.exists() else {}
    results |= {"machine": machine(), "how": chosen.how}
    failed = False
    for name, words in PARTS.items():
        if chosen.only in (None, name):
            results.setdefault("taken", {})[name] = machine()["at"]
            results[name], succeeded = _run(name, words[chosen.how].split())
            failed = failed or not succeeded
            # A quick run only shows that the measures run; its figures must not stand for real ones.
            if chosen.how != "quick" or chosen.json != RESULTS:
                chosen.json.write_text(json.dumps(results, indent=2) + "\n")
                print(f"\nwritten to {chosen.json}")
    if chosen.how != "quick" and chosen.json == RESULTS:
        page.write(results)
    return int(failed and chosen.how != "quick")


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "processors": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "python": platform.python_version(),
        "load_average_before": os.getloadavg()[0],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _run(name: str, words: list[str]) -> tuple[Any, bool]:
    print(f"\n== {name} (load average {os.getloadavg()[0]:.1f})", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tillgate-bench-results-") as folder:
        target = Path(folder) / "found.json"
        command = [sys.executable, "-m", f"bench.{name}", *words, "--json", str(target)]
        ran = subprocess.run(command, cwd=CHECKOUT, check=False)
        print(f"{name} took {time.monotonic() - started:.0f} s", flush=True)
        found = json.loads(target.read_text()) if target.exists() else None
    assert found is not None, f"bench.{name} did not finish"
    return found, ran.returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
