"""What `tillgate up` shows: steps as they are done, then links and keys; or one line of JSON."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

PAGE = "/topup"
DOCS = "/docs"
#: Under the value above it, of which there is a name on the left.
_NEXT_LINE = "\n" + " " * 19
_NAMES = {"wechat": "WeChat", "wallet": "Wallet in yuan", "wallet_usd": "Wallet in dollars"}


@dataclass(frozen=True)
class Up:
    """Everything is up: where, and with which keys."""

    base_url: str
    #: Each process shows its own.
    metrics: Sequence[str]
    simulators: Mapping[str, Mapping[str, str] | str]
    seeded: Mapping[str, Any]
    keys_file: str
    logs: str
    seconds: float
    pids: Mapping[str, int]
    memory_mb: Mapping[str, float]


class Screen:
    """The terminal: progress goes to stderr, results to stdout."""

    def __init__(self, *, as_json: bool, is_verbose: bool) -> None:
        self._as_json = as_json
        self._is_verbose = is_verbose
        self._begun = time.monotonic()

    def done(self, step: str) -> None:
        """Say that a step is done, and at which second."""
        self._progress(f"  {time.monotonic() - self._begun:5.1f} s  {step}")

    def detail(self, line: str) -> None:
        """Say what is going on within a step."""
        self._progress(f"           {line}")

    def note(self, line: str) -> None:
        """Say what happened while everything was up."""
        _write(sys.stderr, f"tillgate: {line}")

    def echo(self, line: str) -> None:
        """Show a child's line to those who asked for it."""
        if self._is_verbose:
            _write(sys.stderr, line)

    def problems(self, found: Sequence[str]) -> None:
        """Say what is wrong."""
        if self._as_json:
            _write(sys.stdout, json.dumps({"ok": False, "problems": list(found)}))
        for problem in found:
            _write(sys.stderr, f"tillgate: {problem}")

    def ready(self, up: Up, *, with_stats: bool) -> None:
        """Say where everything is."""
        if self._as_json:
            _write(sys.stdout, json.dumps({"ok": True, **asdict(up), "links": links(up)}))
            return
        kept = {"Keys are kept in": up.keys_file, "Logs": up.logs}
        rows = {**links(up), **keys(up), "Metrics": " ".join(up.metrics), **kept}
        if with_stats:
            rows["Memory, MB"] = ", ".join(f"{name} {mb:.0f}" for name, mb in up.memory_mb.items())
        width = max(map(len, rows)) + 2
        body = "\n".join(f"  {name:<{width}}{value}" for name, value in rows.items())
        _write(
            sys.stdout, f"\nTillgate is up.\n\n{body}\n\n  Ctrl-C ends everything; the data stays."
        )

    def _progress(self, line: str) -> None:
        if not self._as_json:
            _write(sys.stderr, line)


def links(up: Up) -> dict[str, str]:
    """Return what there is to open."""
    phones = {
        f"{_NAMES.get(name, name.capitalize())} phone": simulator["phone"]
        for name, simulator in up.simulators.items()
        if isinstance(simulator, Mapping) and "phone" in simulator
    }
    page = str(up.seeded.get("topup_url") or up.base_url + PAGE)
    cards = up.seeded.get("topup_url_usd")
    pages = {"Top-up page": page, **({"Top-up by card": str(cards)} if cards else {})}
    shop = up.simulators.get("shop")
    shops = {"Demo shop": f"{shop['url']}/"} if isinstance(shop, Mapping) else {}
    return {**pages, "API docs": up.base_url + DOCS, **phones, **shops}


def keys(up: Up) -> dict[str, str]:
    """Return what the demo merchant is known by."""
    return {
        _NAMES.get(name, name.replace("_", " ").capitalize()): str(value)
        for name, value in up.seeded.items()
        if isinstance(value, str) and value and not name.startswith("topup_url")
    }


def memory_mb(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the resident memory of each process, our own and the sum included."""
    each = {name: _resident_mb(str(pid)) for name, pid in pids.items()}
    each["supervisor"] = _resident_mb("self")
    return {**each, "total": round(sum(each.values()), 1)}


def _resident_mb(pid: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def _write(stream: Any, line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()


def in_words(value: Any) -> str:
    """Say a value to a person: what is many stands line by line, and nothing as JSON."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        known = [f"{name} {in_words(one)}" for name, one in fields.items() if one is not None]
        return ", ".join(known) or "none"
    if isinstance(value, list | tuple):
        lines = [in_words(one) for one in cast("list[Any]", value)]
        return _NEXT_LINE.join(lines) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
