"""Writes the measured figures into docs/explanation/performance.md, between its two marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.processes import CHECKOUT

PAGE = CHECKOUT / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"


def write(results: dict[str, Any], page: Path = PAGE) -> None:
    """Replace what stands between the marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, f"{page} has lost its marks"
    page.write_text(before + BEGIN + figures(results) + END + after, encoding="utf-8")


def figures(results: dict[str, Any]) -> str:
    """All tables of a run."""
    machine = results["machine"]
    on = (
        f"Taken on {machine['processors']} processors and {machine['memory_mb'] // 1024} GB,"
        f" Python {machine['python']}, load average before the run"
        f" {machine['load_average_before']:.1f}.\n"
    )
    parts = [on]
    for name, title, draw in (
        ("ledger", "Ledger postings", _ledger),
        ("ledger_peers", "Ledgers of others", _ledger),
        ("gateway", "Over HTTP", _gateway),
        ("growth", "Growth", _growth),
    ):
        if name in results:
            at = results.get("taken", {}).get(name, machine["at"])
            parts.append(f"### {title}\n\n{draw(results[name])}\nAt {at}.\n")
    return "\n".join(parts)


def _ledger(found: dict[str, Any]) -> str:
    return _table(
        ["work", "x TPC-B", "a second", "PostgreSQL us", "client us"],
        [
            [
                row["work"],
                f"{row['ratio']:.2f}",
                f"{row['per_second']:,.0f}",
                f"{row['postgres_us']:.0f}",
                f"{row['client_us']:.0f}",
            ]
            for row in found["rows"]
        ],
    )


def _gateway(found: dict[str, Any]) -> str:
    rows = [
        [
            row["work"],
            f"{row['ratio']:.2f}",
            f"{row['cpu_ratio']:.2f}",
            f"{row['per_second']:,.0f}",
            f"{row['p50_ms']:.0f} / {row['p99_ms']:.0f}" if row["p99_ms"] else "",
            ", ".join(f"{part} {used:.0f}" for part, used in row["cpu_us"].items() if used >= 1),
        ]
        for row in found["rows"]
    ]
    text = _table(
        ["work", "x TPC-B", "x by CPU", "a second", "p50 / p99 ms", "CPU us an operation"], rows
    )
    hanging, memory = found["hanging"], found["memory"]
    total = sum(one["proportional_mb"] for one in memory.values())
    text += f"\nMemory of all processes but PostgreSQL after the rounds: {total:.0f} MB.\n"
    if hanging is not None:
        text += (
            f"While {hanging['attempts_under_way']} calls hung at a provider, at most"
            f" {hanging['most_connections_in_use']:.0f} database connections were in use.\n"
        )
    return text


def _growth(found: dict[str, Any]) -> str:
    small, large = (f"{size['payments']:,} payments" for size in found["sizes"])
    return _table(
        ["work", small, large, "ratio"],
        [
            [
                row["work"],
                f"{row['small_ms']:.3f} ms",
                f"{row['large_ms']:.3f} ms",
                f"{row['ratio']:.2f}",
            ]
            for row in found["rows"]
        ],
    )


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
