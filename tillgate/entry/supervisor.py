"""`tillgate up`: the database, the migrations, the simulators, the API and the worker, as one.

Promises: nothing is started before the preflight is content; a child that crashes comes back, one
that crashes in a loop ends everything with its last words; Ctrl-C ends all of it in seconds and a
second Ctrl-C at once; the next `up` goes on with the same data.
"""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from tillgate.entry import local_database, ports, preflight, report
from tillgate.entry.children import Child, Command, Restarts, spawn, stop_all
from tillgate.entry.demo import MERCHANT, keys_file
from tillgate.entry.exits import Exit
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_errors import EmbeddedProblem
from tillgate.runtime.file_lock import Locked, locked
from tillgate.runtime.settings import Settings, environment

READY_TIMEOUT_SECONDS = 60.0
STEP_TIMEOUT_SECONDS = 600.0
POLL_SECONDS = 0.1
WATCH_SECONDS = 1.0
SETTLED_SECONDS = 2.0
SAYS_READY = '{"ready"'

Ready = Callable[[Child], Awaitable[bool]]


@dataclass(frozen=True)
class Options:
    """What a person asked of `up`."""

    as_json: bool = False
    is_verbose: bool = False
    with_stats: bool = False


class UpFailed(Exception):
    """Something that was started did not do its part; the message says what and its last words."""


def up(settings: Settings, options: Options) -> Exit:
    """Run everything until told to stop."""
    # The children work in the checkout, wherever we were called.
    settings = msgspec.structs.replace(settings, data_dir=str(settings.data_path))
    screen = report.Screen(as_json=options.as_json, is_verbose=options.is_verbose)
    try:
        with locked(local_database.lock_file(settings), wait=False):
            found = preflight.problems(settings)
            if found:
                screen.problems(found)
                return Exit.ENVIRONMENT
            return _with_database(settings, options, screen)
    except Locked as error:
        screen.problems([f"Tillgate already runs on {settings.data_path} (pid {error.holder})."])
    except EmbeddedProblem as error:
        screen.problems([str(error)])
    except PermissionError as error:
        screen.problems([f"{error.filename} belongs to another user; choose another with --data."])
    return Exit.ENVIRONMENT


def _with_database(settings: Settings, options: Options, screen: report.Screen) -> Exit:
    server = None if settings.database.url else local_database.embedded(settings, screen.detail)
    try:
        if server is not None:
            if not server.start():
                screen.note(
                    f"PostgreSQL (pid {server.pid}) was still running on this data, left by an `up`"
                    " that was killed; going on with it."
                )
            server.ensure_database()
        ports.keep(settings)
        screen.done("database")
        return asyncio.run(Supervisor(settings, server, options, screen).run())
    except KeyboardInterrupt:
        return Exit.OK
    except UpFailed as error:
        screen.problems([str(error)])
        return Exit.REFUSED
    finally:
        _stop_database(server)
        screen.detail("Everything has ended.")


def _stop_database(server: EmbeddedPostgres | None) -> None:
    if server is None:
        return
    try:
        server.stop()
    except KeyboardInterrupt:
        server.stop_at_once()


class Supervisor:
    """Starts the children in order, watches them, and ends them."""

    def __init__(
        self,
        settings: Settings,
        server: EmbeddedPostgres | None,
        options: Options,
        screen: report.Screen,
    ) -> None:
        self._owner = local_database.as_owner(settings, server)
        self._settings = settings
        self._server = server
        self._options = options
        self._screen = screen
        self._logs = settings.data_path / "logs"
        self._children: list[Child] = []
        self._tasks: list[asyncio.Task[bool]] = []
        self._stopping = asyncio.Event()

    async def run(self) -> Exit:
        """Start, report, watch until told to stop or until something is past help."""
        self._listen_to_signals()
        begun = asyncio.create_task(self._begin())
        told = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({begun, told}, return_when=asyncio.FIRST_COMPLETED)
            if begun.done():
                await begun
                await self._watch(told)
            return Exit.OK
        finally:
            told.cancel()
            await _cancelled(begun)
            self._screen.detail("Stopping (Ctrl-C again to end at once)")
            await stop_all(self._children, self._tasks)

    async def _begin(self) -> None:
        started = time.monotonic()
        await self._step("migrate", self._owner, "migrate", "--json")
        self._screen.done("migrations")
        application = self._application()
        simulators = await self._start_simulators()
        seeded = await self._step("seed", application, "seed", "--json")
        self._screen.done("demo merchant")
        api = self._start(self._tillgate("api", application, "serve"))
        worker = self._start(self._tillgate("worker", application, "worker"))
        await self._until_ready(api, self._answers)
        await self._until_ready(worker, _has_settled)
        self._screen.done("API and worker")
        self._screen.ready(
            report.Up(
                base_url=self._settings.http.base_url,
                metrics=metrics_addresses(self._settings),
                simulators=simulators,
                seeded=_object(seeded),
                keys_file=str(keys_file(self._settings.data_path)),
                logs=str(self._logs),
                seconds=round(time.monotonic() - started, 1),
                pids=self._pids(),
                memory_mb=report.memory_mb(self._pids()),
            ),
            with_stats=self._options.with_stats,
        )

    def _application(self) -> Settings:
        if self._server is not None:
            self._server.admit_application()
        return local_database.as_application(self._settings, self._server)

    async def _start_simulators(self) -> Mapping[str, Any]:
        if not self._settings.simulators.enabled:
            return {}
        child = self._start(self._simulators())
        await self._until_ready(child, _says_ready)
        self._screen.done("simulators")
        said = next(line for line in child.last_words if line.startswith(SAYS_READY))
        return _object(said)["ready"]

    async def _watch(self, told: asyncio.Task[bool]) -> None:
        """Return when told to stop; raise when a child cannot be kept alive."""
        restarts = Restarts()
        while True:
            await asyncio.wait(
                {told, *self._tasks},
                timeout=WATCH_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if told.done():
                return
            self._raise_if_lost()
            if self._server is not None and not self._server.is_running():
                await self._restart_database(self._server, restarts)

    async def _restart_database(self, server: EmbeddedPostgres, restarts: Restarts) -> None:
        delay = restarts.delay_after_exit(time.monotonic())
        if delay is None:
            raise UpFailed("PostgreSQL ends again and again; see its logs beside its data.")
        self._screen.note("PostgreSQL ended; starting it again on the same data")
        await asyncio.sleep(delay)
        await asyncio.to_thread(server.start)

    def _raise_if_lost(self) -> None:
        for child, task in zip(self._children, self._tasks, strict=True):
            if task.done():
                raise UpFailed(_last_words(child, "ends again and again"))

    async def _step(self, name: str, settings: Settings, *words: str) -> str:
        """Run one of our own commands to its end and return the last line it wrote."""
        process = await spawn(self._tillgate(name, settings, *words))
        try:
            async with asyncio.timeout(STEP_TIMEOUT_SECONDS):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        lines = output.decode(errors="replace").strip().splitlines()
        if process.returncode != 0:
            raise UpFailed("\n".join([f"`tillgate {name}` failed:", *lines[-20:]]))
        return lines[-1] if lines else "{}"

    async def _until_ready(self, child: Child, is_ready: Ready) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not await is_ready(child):
            self._raise_if_lost()
            if child.restarted:
                raise UpFailed(_last_words(child, "ended instead of getting ready"))
            if time.monotonic() > deadline:
                raise UpFailed(_last_words(child, "did not get ready"))
            await asyncio.sleep(POLL_SECONDS)

    async def _answers(self, child: Child) -> bool:
        http = self._settings.http
        return child.pid is not None and await _is_ok(http.host, http.port, "/readyz")

    def _start(self, command: Command) -> Child:
        child = Child(command, self._logs, self._screen.echo)
        self._children.append(child)
        self._tasks.append(asyncio.create_task(child.keep_running()))
        return child

    def _tillgate(self, name: str, settings: Settings, *words: str) -> Command:
        run = (sys.executable, "-m", "tillgate.entry.cli", *words)
        return Command(name, run, environment(settings))

    def _simulators(self) -> Command:
        return Command("simulators", simulators_words(self._settings), environment(self._settings))

    def _pids(self) -> dict[str, int]:
        return {child.command.name: child.pid for child in self._children if child.pid is not None}

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._told_to_stop)

    def _told_to_stop(self) -> None:
        if self._stopping.is_set():
            for child in self._children:
                child.kill()
        self._stopping.set()


def metrics_addresses(settings: Settings) -> list[str]:
    """Return what a Prometheus is to scrape: the API's metrics and the worker's."""
    listeners = [(settings.http.host, settings.http.port)]
    if settings.metrics.worker_port:
        listeners.append((settings.metrics.worker_host, settings.metrics.worker_port))
    return [f"http://{host}:{port}/metrics" for host, port in listeners]


def simulators_words(settings: Settings) -> Sequence[str]:
    """Return the command that runs the pretend providers of this installation."""
    simulators = settings.simulators
    data = settings.data_path / "simulators"
    options: dict[str, object] = {
        "host": simulators.host,
        "alipay-port": simulators.alipay_port,
        "wechat-port": simulators.wechat_port,
        "card-port": simulators.card_port,
        "shop-port": simulators.shop_port,
        "data": data,
        "keys": data / "keys.json",
        "merchant": MERCHANT,
        "seed": simulators.seed,
        "speed": simulators.speed,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return (sys.executable, "-m", "simulators", *words)


async def _says_ready(child: Child) -> bool:
    return any(line.startswith(SAYS_READY) for line in child.last_words)


async def _has_settled(child: Child) -> bool:
    """The worker listens on no port: it says that it is ready, or has not died of its start."""
    if await _says_ready(child):
        return True
    return child.pid is not None and time.monotonic() - child.started_at > SETTLED_SECONDS


async def _is_ok(host: str, port: int, path: str) -> bool:
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            status = await reader.readline()
            writer.close()
            return status.split()[1:2] == [b"200"]
    except (OSError, TimeoutError):
        return False


async def _cancelled(task: asyncio.Task[None]) -> None:
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _last_words(child: Child, what: str) -> str:
    return "\n".join([f"{child.command.name} {what}. Its last words:", *child.last_words])


def _object(line: str) -> dict[str, Any]:
    try:
        read: Any = json.loads(line)
    except ValueError:
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}
