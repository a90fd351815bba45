"""Rounds of work, one kind after the other, and the medians of what they showed."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

BASELINE = "tpc-b"
_NOT_OURS = ("load", "simulators")


@dataclass(frozen=True)
class Sample:
    """One round of one kind of work: rate, latency, and CPU microseconds an operation by process."""

    per_second: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_us: Mapping[str, float] = field(default_factory=dict[str, float])
    #: Of the machine when the round began: others' work disturbs the clock, less so CPU time.
    load_average: float = field(default_factory=lambda: os.getloadavg()[0])


@dataclass(frozen=True)
class Row:
    """Medians over the rounds. `ratio` is the median of each round's own ratio to TPC-B.

    `cpu_ratio` is the same of CPU time (an operation of TPC-B's over one of this work's, load and
    simulators left out): what the ratio would be were nothing but our own work in the way.
    """

    work: str
    ratio: float
    cpu_ratio: float
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]


def interleave(
    works: Mapping[str, Callable[[], Sample]], rounds: int, say: Callable[[str], None]
) -> dict[str, list[Sample]]:
    """Do every work once a round, and each round in another order: what comes once a minute, such as
    autovacuum, must not always come to the same work."""
    ran: dict[str, list[Sample]] = {name: [] for name in works}
    names = list(works)
    for number in range(rounds):
        first = number * 2 % len(names)
        for name in names[first:] + names[:first]:
            sample = works[name]()
            ran[name].append(sample)
            say(f"round {number + 1}: {line(name, sample)}")
    return ran


def rows(ran: Mapping[str, Sequence[Sample]]) -> list[Row]:
    """One row for each work, with its ratio to the baseline."""
    return [_row(name, samples, ran[BASELINE]) for name, samples in ran.items()]


def _row(name: str, samples: Sequence[Sample], baseline: Sequence[Sample]) -> Row:
    median = statistics.median
    parts = samples[0].cpu_us
    pairs = list(zip(samples, baseline, strict=True))
    return Row(
        name,
        median(one.per_second / base.per_second for one, base in pairs),
        median(_own_cpu(base) / _own_cpu(one) for one, base in pairs),
        median(one.per_second for one in samples),
        median(one.p50_ms for one in samples),
        median(one.p99_ms for one in samples),
        {part: median(one.cpu_us[part] for one in samples) for part in parts},
    )  # fmt: skip


def _own_cpu(sample: Sample) -> float:
    return sum(used for part, used in sample.cpu_us.items() if part not in _NOT_OURS)


def line(name: str, sample: Sample | Row) -> str:
    """A line of a table."""
    cpu = " ".join(f"{part} {spent:.0f}" for part, spent in sample.cpu_us.items())
    ratio = ""
    if isinstance(sample, Row):
        ratio = f"{sample.ratio:>7.2f}x {sample.cpu_ratio:>6.2f}x CPU"
    latency = f"p50 {sample.p50_ms:6.1f} ms  p99 {sample.p99_ms:6.1f} ms"
    if not sample.p99_ms:
        latency = " " * len(latency)
    return f"{name:<22}{ratio}{sample.per_second:>9.0f}/s  {latency}  CPU us: {cpu}"
