"""Servers and workers that die at a step of the walk: for tests only, nothing of it is shipped.

    python -m tests.crash.entry

It imports everything once, and then for each line on its standard input (a fate, as JSON) it forks
a process and says its number: dying at thirty steps is quick then, even where starting is not.

A step is a commit, named by what it writes (`insert payments.attempts`; `claim a key` where that is
all), or a call to a provider, named by what is asked (`call refund`); it is met twice, right before
and right after it. The process kills itself when it meets the step it was given as its target, and
with the given chance at any. What it died of it writes down first.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import random
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from tillgate.connectors.transport import HttpTransport
from tillgate.entry import build
from tillgate.kernel.facts import Fact
from tillgate.payments import hearing, surplus
from tillgate.payments.commands import LookUps
from tillgate.runtime import outbox
from tillgate.runtime.settings import load
from tillgate.runtime.writes import Notebook
from tillgate.webhooks import dispatcher, machine
from tillgate.webhooks.client import WebhookClient

_WRITES = re.compile(
    r"\b(insert\s+into|update|delete\s+from)\s+(?:only\s+)?(\w+\.\w+)", re.IGNORECASE
)
_ASKED = (
    ("query", re.compile(r"^GET|\.query")),
    ("refund", re.compile(r"trade\.refund|/refunds")),
    ("capture", re.compile(r"/capture\b")),
    ("close", re.compile(r"trade\.(close|cancel)|/close|/cancel")),
)
Run = Callable[[], Awaitable[Any]]
_publish, _execute = outbox.publish, asyncpg.Connection.execute
_RUNS = ("execute", "fetch", "fetchrow", "fetchval", "executemany")


class Fate(msgspec.Struct):
    """When this process dies."""

    #: `serve` or `worker`.
    process: str
    #: Where it says what it has to say.
    log: str
    seed: int = 1
    chance: float = 0.0
    #: Before or after, and the step.
    target: tuple[str, str] | None = None
    #: Where to write down what it died of.
    diary: str = ""
    #: A bug planted on purpose, see `Witness`.
    mutant: str | None = None

    def meet(self, when: str, steps: set[str]) -> None:
        """Live on, or not."""
        chosen = self.target is not None and self.target[0] == when and self.target[1] in steps
        if chosen or random.random() < self.chance:
            step = (
                self.target[1] if chosen and self.target else min(steps, default="commit nothing")
            )
            with Path(self.diary).open("a") as diary:
                diary.write(json.dumps([self.process, when, step]) + "\n")
            os.kill(os.getpid(), signal.SIGKILL)


class Witness:
    """Sees what each connection's transaction has written so far.

    A bug may be planted, `tells_after_commit`: facts are then written by a transaction of their own,
    after the one that made them true.
    """

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        #: By connection, while a transaction is open.
        self._steps: dict[int, set[str]] = {}
        #: Facts that the planted bug has kept back.
        self._late: list[Fact] = []

    def watch(self, name: str) -> None:
        """See all that goes through this method of a connection."""
        run = getattr(asyncpg.Connection, name)
        commit = self._commit

        async def seen(connection: Any, sql: str, *args: Any, **more: Any) -> Any:
            if sql == "COMMIT":
                return await commit(connection, run)
            if sql == "BEGIN":
                self._steps[id(connection)] = set()
            elif sql == "ROLLBACK":
                self._steps.pop(id(connection), None)
            elif id(connection) not in self._steps:
                work = functools.partial(run, connection, sql, *args, **more)
                return await self._alone(connection, writes(sql), work)
            else:
                self._steps[id(connection)].update(writes(sql))
            return await run(connection, sql, *args, **more)

        setattr(asyncpg.Connection, name, seen)

    async def _alone(self, connection: Any, steps: set[str], run: Run) -> Any:
        """A statement that is a transaction by itself."""
        if not steps:
            return await run()
        steps = {"claim a key"} if steps == {"insert runtime.idempotency"} else steps
        self._fate.meet("before", steps)
        answer = await run()
        self._fate.meet("after", steps)
        await self._tell(connection)
        return answer

    async def _commit(self, connection: Any, run: Any) -> Any:
        steps = self._steps.pop(id(connection), set())
        return await self._alone(connection, steps, lambda: run(connection, "COMMIT"))

    def hold_back(self) -> None:
        """Plant the bug."""
        outbox.publish = lambda _notes, facts: self._late.extend(facts)

    async def _tell(self, connection: Any) -> None:
        facts, self._late = self._late, []
        notebook = Notebook()
        _publish(notebook, facts)
        for write in notebook._writes:
            await _execute(connection, write.sql, *write.args)


def writes(sql: str) -> set[str]:
    """What a statement writes: `insert payments.attempts`, for one."""
    return {f"{verb.split()[0].lower()} {table.lower()}" for verb, table in _WRITES.findall(sql)}


def arm(fate: Fate) -> None:
    """Put both ends of each step in fate's hands."""
    random.seed(fate.seed)
    witness = Witness(fate)
    for name in _RUNS:
        witness.watch(name)
    if fate.mutant == "tells_after_commit":
        witness.hold_back()
    send = HttpTransport.send

    async def fateful_send(self: HttpTransport, request: Any) -> Any:
        step = {f"call {asked(request)}"}
        fate.meet("before", step)
        answer = await send(self, request)
        fate.meet("after", step)
        return answer

    HttpTransport.send = fateful_send  # type: ignore[method-assign]
    post = WebhookClient.post

    async def fateful_post(self: WebhookClient, *args: Any) -> Any:
        fate.meet("before", {"call endpoint"})
        answer = await post(self, *args)
        fate.meet("after", {"call endpoint"})
        return answer

    WebhookClient.post = fateful_post  # type: ignore[method-assign]


def asked(request: Any) -> str:
    """What a provider is asked for."""
    text = f"{request.method} {request.url} {request.body[:400]!r}"
    return next((name for name, pattern in _ASKED if pattern.search(text)), "charge")


def hurry(**_: float) -> LookUps:
    """Look-ups in seconds, so that a test need not wait for minutes."""
    return LookUps(first_seconds=0.3, most_seconds=2.0, calling_seconds=4.0)


def live(fate: Fate) -> None:
    """Be a process until the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(fate.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(file, number)
    arm(fate)
    build.LookUps = hurry  # type: ignore[misc, assignment]
    surplus.WAITS = (1,) * len(surplus.WAITS)  # type: ignore[misc]
    hearing.LONGEST_WAIT_SECONDS = 2.0  # type: ignore[misc]
    machine.WAITS = (0.2,) * len(machine.WAITS)  # type: ignore[misc, assignment]
    machine.LONGEST_REST_SECONDS = 0.2  # type: ignore[misc]
    dispatcher._LEASE_MARGIN_SECONDS = 1.0  # type: ignore[misc]
    # Every other one stores each notice while it is being applied, and may die at either commit.
    hearing.PATIENCE_SECONDS *= random.randrange(2)  # type: ignore[misc]
    sys.modules[f"tillgate.entry.{fate.process}"].run(load(dict(os.environ)))


def main() -> None:
    """Fork for each line."""
    for process in ("serve", "worker"):
        importlib.import_module(f"tillgate.entry.{process}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while line := sys.stdin.buffer.readline():
        number = os.fork()
        if number == 0:
            try:
                live(msgspec.json.decode(line, type=Fate))
            finally:
                os._exit(1)
        os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    main()
