"""A server or a worker that dies at a step of the walk: for tests only, nothing of it is shipped.

    python -m tests.crash.entry serve|worker CHANCE SEED

At each commit and each call to a provider, before and after, it kills itself with the given chance.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
from typing import Any

from tillgate.connectors.transport import HttpTransport
from tillgate.entry import build
from tillgate.payments import surplus
from tillgate.payments.commands import LookUps
from tillgate.runtime.db import Database
from tillgate.runtime.settings import load


class Fate:
    """Draws at each step whether it is the last one."""

    def __init__(self, chance: float, seed: int) -> None:
        self._chance = chance
        self._random = random.Random(seed)

    def meet(self, point: str) -> None:
        if self._random.random() < self._chance:
            os.write(2, f"died {point}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def arm(fate: Fate) -> None:
    """Put a step's two ends in fate's hands."""
    commit, send = Database._commit, HttpTransport.send

    async def fateful_commit(self: Database, connection: Any) -> None:
        fate.meet("before a commit")
        await commit(self, connection)
        fate.meet("after a commit")

    async def fateful_send(self: HttpTransport, request: Any) -> Any:
        fate.meet("before a call")
        answer = await send(self, request)
        fate.meet("after a call")
        return answer

    Database._commit = fateful_commit  # type: ignore[method-assign]
    HttpTransport.send = fateful_send  # type: ignore[method-assign]


def hurry(**_: float) -> LookUps:
    """Look-ups in seconds, so that a test need not wait for minutes."""
    return LookUps(first_seconds=0.3, most_seconds=2.0, calling_seconds=4.0)


if __name__ == "__main__":
    arm(Fate(float(sys.argv[2]), int(sys.argv[3])))
    build.LookUps = hurry  # type: ignore[misc, assignment]
    surplus.WAITS = (1,) * len(surplus.WAITS)  # type: ignore[misc]
    importlib.import_module(f"tillgate.entry.{sys.argv[1]}").run(load(dict(os.environ)))
