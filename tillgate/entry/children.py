"""Child processes: kept alive with back-off, given up in a crash loop, their words kept in files.

A child runs in a session of its own, so that Ctrl-C reaches the supervisor alone and the order of
the end is ours; where `setpriv` is there, the kernel ends the child of a killed supervisor.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from logging import INFO, Formatter, LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
GRACE_SECONDS = 5.0
LOG_BYTES = 10 * 2**20
LOG_FILES = 5
LINE_BYTES = 2**20
LAST_WORDS = 12


@dataclass(frozen=True)
class Command:
    """What to run, and under which name it is known."""

    name: str
    words: Sequence[str]
    environment: Mapping[str, str]


@dataclass
class Restarts:
    """Decide how long to wait before a restart, or that it is a crash loop."""

    limit: int = 5
    window_seconds: float = 60.0
    longest_seconds: float = 15.0
    _exits: deque[float] = field(default_factory=deque[float])

    def delay_after_exit(self, at: float) -> float | None:
        """Return the seconds to wait; None when it has ended too often."""
        self._exits.append(at)
        while self._exits[0] < at - self.window_seconds:
            self._exits.popleft()
        if len(self._exits) > self.limit:
            return None
        return float(min(self.longest_seconds, 0.25 * 2 ** len(self._exits)))


class Child:
    """One process that ought to run until it is told to stop."""

    def __init__(self, command: Command, logs: Path, echo: Callable[[str], None]) -> None:
        self.command = command
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self.restarted = 0
        self.started_at = 0.0
        self._echo = echo
        self._log = log_file(logs / f"{command.name}.log")
        self._process: asyncio.subprocess.Process | None = None
        self._restarts = Restarts()
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def keep_running(self) -> bool:
        """Run it, again and again; return whether it ended because it was told to."""
        try:
            return await self._keep_running()
        finally:
            self._log.close()

    def ask_to_stop(self) -> None:
        """Tell it to end what it does and go."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _keep_running(self) -> bool:
        while not self._stopping.is_set():
            code = await self._run_once()
            if self._stopping.is_set():
                break
            delay = self._restarts.delay_after_exit(time.monotonic())
            if delay is None:
                return False
            self.restarted += 1
            self._write(f"tillgate: {self.command.name} ended with {code}; again in {delay:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
        return True

    async def _run_once(self) -> int:
        self.started_at = time.monotonic()
        self._process = await spawn(self.command)
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._write(line.decode(errors="replace").rstrip("\n"))
        return await self._process.wait()

    def _write(self, line: str) -> None:
        self.last_words.append(line)
        self._log.emit(LogRecord(self.command.name, INFO, "", 0, line, None, None))
        self._echo(f"{self.command.name:<10} | {line}")

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            # The whole session: a child may have children of its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


async def spawn(command: Command) -> asyncio.subprocess.Process:
    """Start the process with its output and its errors in one stream."""
    return await asyncio.create_subprocess_exec(
        *_ending_with_us(),
        *command.words,
        cwd=CHECKOUT,
        env=dict(command.environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LINE_BYTES,
        start_new_session=True,
    )


async def stop_all(children: Sequence[Child], tasks: Sequence[asyncio.Task[bool]]) -> None:
    """Ask all to stop at the same time; after the grace, do not ask."""
    for child in children:
        child.ask_to_stop()
    if not tasks:
        return
    await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for child in children:
        child.kill()
    _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


def log_file(path: Path) -> RotatingFileHandler:
    """Return a log that starts a new file after ten megabytes and keeps five."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, delay=True)
    handler.setFormatter(Formatter("%(message)s"))
    return handler


def _ending_with_us() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM") if setpriv else ()
