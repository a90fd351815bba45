"""The steps at which a run of the crash test dies, its plan, and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

#: The walk, by process: what a commit writes, and what a provider is asked. Dying before and after.
WALK = {
    "serve": (
        "claim a key",
        "insert payments.attempts",
        "call charge",
        "update payments.attempts",
        "update runtime.idempotency",
        "update ledger.books",
        "insert wallets.transactions",
        "insert runtime.notices",
        "insert payments.refunds",
        "call refund",
        "update payments.refunds",
        "call capture",
        "call close",
    ),
    "worker": (
        "delete runtime.unrelayed",
        "insert wallets.transactions",
        "update payments.attempts",
        "call query",
        "call close",
        "insert webhooks.deliveries",
        "call endpoint",
        "update webhooks.deliveries",
    ),
}
#: Times PostgreSQL is killed before a run counts as complete.
POSTGRES = 2
#: Times all sessions of the application are ended, while everybody lives on.
SESSIONS = 8
#: What the ending of all sessions is among the deaths.
ENDED = ("sessions", "at any time", "-")


@dataclass(frozen=True)
class Plan:
    """What a run is to do."""

    seconds: float
    seed: int = 1
    #: Of dying at any step, beside the one that a process was given.
    chance: float = 0.0
    #: Who asks, at a time.
    clients: int = 16
    #: Stop as soon as each step has been died at; else go round again until the time is up.
    until_walked: bool = False
    #: But not before this many top-ups were answered.
    top_ups: int = 20
    #: Die at these steps alone: process, moment, step.
    only: tuple[tuple[str, str, str], ...] = ()
    #: Deaths at each step before the walk is complete.
    times: int = 1
    mutant: str | None = None
    #: How long nothing of what is under way may come to rest.
    settle_seconds: float = 60.0


@dataclass
class Outcome:
    """What came of it."""

    found: list[str]
    #: By process, moment and step.
    deaths: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def missed(self) -> list[tuple[str, str, str]]:
        """Where nobody has died."""
        at_random = {("postgres", "at any time", "-"): POSTGRES, ENDED: SESSIONS}
        missing = [each for each, times in at_random.items() if self.deaths[each] < times]
        return missing + [each for each in every_step() if not self.deaths[each]]

    def table(self) -> str:
        """Deaths by step."""
        moments = ("before", "after", "at any time")
        lines = ["".join([f"{'process':<10}{'step':<30}", *(f"{when:>13}" for when in moments)])]
        for process, step in sorted(
            {(who, step) for who, _, step in [*self.deaths, *every_step()]}
        ):
            counts = [f"{self.deaths[process, when, step] or '':>13}" for when in moments]
            lines.append("".join([f"{process:<10}{step:<30}", *counts]))
        return "\n".join(lines)

    def __str__(self) -> str:
        return (
            f"{dict(self.done)} in {self.seconds:.0f} s, {self.deaths.total()} deaths,"
            f" {len(self.found)} complaints\n{self.table()}"
        )


def every_step() -> list[tuple[str, str, str]]:
    """Each process, moment and step of the walk, in the order in which they are died at."""
    return [
        (process, when, step)
        for process, steps in WALK.items()
        for step in steps
        for when in ("before", "after")
    ]
