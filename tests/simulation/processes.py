"""Processes that die: each has its own connections, lanes and worker, all on one database."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from tests.simulation.banks import Bank, Weather
from tests.simulation.clockwork import VirtualClock
from tests.simulation.gate import Gate, Pool, Session, Shelf
from tillgate.entry.relay import relay
from tillgate.entry.subscriptions import TABLE
from tillgate.payments import jobs
from tillgate.payments.commands import LookUps, Route
from tillgate.payments.flows import Payments
from tillgate.payments.providers import Providers
from tillgate.runtime.db import Database
from tillgate.wallets import flows as wallets

Result = TypeVar("Result")
LIFETIME = timedelta(seconds=600)
LOOK_UPS = LookUps(first_seconds=2, most_seconds=300, calling_seconds=30)

#: All the jobs of the money path there are, also those that come later.
_JOBS: dict[str, Callable[[Payments], Awaitable[int]]] = {
    name: job
    for name, job in vars(jobs).items()
    if inspect.iscoroutinefunction(job)
    and job.__module__ == jobs.__name__
    and not name.startswith("_")
}

_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class Died(Exception):
    """The process one was talking to died; nobody knows how far it had come."""


class SimProviders(Providers):
    """Routes to the banks; what they are asked is as ever."""

    def __init__(self, banks: dict[str, Bank], clock: VirtualClock) -> None:
        self._banks = banks
        self._clock = clock

    async def route(
        self,
        merchant_id: int,
        method: str,
        presentation: str,
        currency: str,
        *,
        lifetime: timedelta,
        capture: bool = True,
    ) -> Route:
        return Route(method, method, self._clock.now() + lifetime)

    async def connector(self, merchant_id: int, account_id: str) -> Any:
        return self._banks[account_id]

    def notify_url(self, merchant_id: int, account_id: str) -> str:
        return f"notices/{account_id}"


class Process:
    """One process of the installation: API and worker in one."""

    def __init__(self, town: Town, name: str) -> None:
        self.name = name
        self.town = town
        #: In the order they began; a set has no order one could repeat.
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.is_alive = True
        self.pool = Pool(town.shelf, name)
        self.db = Database(self.pool)  # type: ignore[arg-type]
        self.payments = Payments(
            self.db,
            town.clock,
            SimProviders(town.banks, town.clock),
            LOOK_UPS,
            LIFETIME,
        )
        # Statements take no time here, so patience would never end: some have none, and store each
        # notice while it is being applied.
        if town.chance.random() < 0.4:
            self.payments.notices.patience_seconds = 0.0
        # Some ask the bank before they believe a notice of much.
        if town.chance.random() < 0.5:
            self.payments.notices.ask_from = 5_000
        self.wallets = wallets.open_lane(self.db)

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start a task that dies with this process, and so do the tasks it starts."""
        context = contextvars.copy_context()
        context.run(_process.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def work(self) -> None:
        """The worker: look at whatever is due, then sleep until something else is."""
        rng = self.town.chance
        while True:
            due = [await self._safely(name, job) for name, job in self._chores()]
            if not any(due):
                await asyncio.sleep(await self._until_next() + rng.uniform(0.1, 2))

    def _chores(self) -> list[tuple[str, Callable[[], Awaitable[int]]]]:
        """Whatever the money path has for a worker to do, the relay of facts, and holds."""
        return [
            *((name, functools.partial(job, self.payments)) for name, job in _JOBS.items()),
            ("relay", lambda: relay(self.db, self.town.clock, TABLE)),
            ("expire_holds", lambda: wallets.expire_holds(self.db, self.town.clock)),
        ]

    async def _safely(self, name: str, job: Callable[[], Awaitable[int]]) -> int:
        try:
            return await job()
        except Exception as error:  # noqa: BLE001  the worker's own loop logs and goes on
            self.town.say(f"{self.name} {name} {type(error).__name__}")
            return 0

    async def _until_next(self) -> float:
        async with self.db.transaction(readonly=True) as tx:
            moment = await tx.value(
                "SELECT least((SELECT min(look_up_at) FROM payments.attempts),"
                " (SELECT min(look_up_at) FROM payments.refunds),"
                " (SELECT min(at) FROM runtime.unrelayed),"
                " (SELECT min(next_at) FROM runtime.notices))"
            )
        if moment is None:
            return max(30.0, self.town.naps[0])
        wait = (moment - self.town.clock.now()).total_seconds()
        shortest, longest = self.town.naps
        return min(max(wait, shortest), longest)


@dataclass
class Town:
    """Everything of one seed: banks, processes, weather, and what was said to whom."""

    shelf: Shelf
    gate: Gate
    clock: VirtualClock
    banks: dict[str, Bank]
    weather: Weather
    chance: random.Random
    crash_chance: random.Random
    processes: list[Process] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    #: What a client was told for sure: it must be so for ever after.
    acknowledged: list[tuple[str, str, str]] = field(default_factory=list)
    crashes: int = 0
    births: int = 0
    #: How long a worker sleeps at least and at most; at the end of time, long.
    naps: tuple[float, float] = (0.0, 120.0)
    is_over: bool = False

    def say(self, text: str) -> None:
        """Write it into the trace."""
        self.trace.append(f"{self.clock.elapsed:.6f} {text}")

    def is_busy(self) -> bool:
        """Whether anything real is under way."""
        return self.gate.is_busy or any(process.db.busy for process in self.processes)

    def open(self) -> None:
        """Hear of tasks, statements and notices."""
        asyncio.get_running_loop().set_task_factory(_make_task)
        self.gate.seen = lambda session, sql: self.say(
            f"{session.process} {' '.join(sql.split())[:60]}"
        )
        self.shelf.committing = self._before_commit
        self.shelf.committed = self._after_commit
        for bank in self.banks.values():
            bank.log = self.say
            bank.deliver = self._deliver
            bank.around_call = self._around_call

    def start(self) -> Process:
        """Start a process."""
        self.births += 1
        process = Process(self, f"p{self.births}")
        self.processes.append(process)
        process.spawn(process.work())
        self.say(f"{process.name} starts")
        return process

    async def ask(self, do: Callable[[Payments], Awaitable[Result]]) -> Result:
        """Ask the money path of some process that lives."""
        return await self.ask_process(lambda process: do(process.payments))

    async def ask_process(self, do: Callable[[Process], Awaitable[Result]]) -> Result:
        """Ask some process that lives; it may die over it."""
        while not (alive := [process for process in self.processes if process.is_alive]):
            await asyncio.sleep(0.5)
        process = self.chance.choice(alive)

        async def work() -> Result:
            return await do(process)

        task = process.spawn(work())
        await asyncio.wait([task])
        if task.cancelled() or not process.is_alive:
            raise Died
        return task.result()

    async def fault(self, process: Process, point: str) -> None:
        """A point where a process may die."""
        if process.is_alive and self.crash_chance.random() < self.weather.crash:
            self.say(f"{process.name} dies {point}")
            self.kill(process)
        if not process.is_alive:
            await asyncio.get_running_loop().create_future()  # it is over; the cancellation comes

    def kill(self, process: Process) -> None:
        """kill -9."""
        self.crashes += 1
        process.is_alive = False
        self.processes.remove(process)
        for task in list(process.tasks):
            task.cancel()
        clean = contextvars.Context()
        task = asyncio.get_running_loop().create_task(self._bury(process), context=clean)
        _KEPT.add(task)
        task.add_done_callback(_KEPT.discard)

    async def _bury(self, process: Process) -> None:
        await self.gate.hold(self.gate.bury(process.pool.sessions))
        if process.tasks:
            await asyncio.wait(list(process.tasks))
        await self.gate.hold(self.shelf.fill())
        await asyncio.sleep(self.chance.uniform(0.5, 20))
        if not self.is_over:
            self.start()

    async def end(self) -> None:
        """Stop everything in good order."""
        self.is_over = True
        for bank in self.banks.values():
            bank.is_over = True
        while self.is_busy():  # a statement cut short would leave its connection unfit for use
            await asyncio.sleep(0.001)
        for process in list(self.processes):
            process.is_alive = False
            for task in list(process.tasks):
                task.cancel()
            if process.tasks:
                await asyncio.wait(list(process.tasks))
            process.pool.put_back()
        self.processes.clear()

    async def _before_commit(self, session: Session) -> None:
        await self._around_commit(session, "before commit")

    async def _after_commit(self, session: Session) -> None:
        await self._around_commit(session, "after commit")

    async def _around_commit(self, session: Session, point: str) -> None:
        """The process dies, or only its connection does: nobody there knows what came of it."""
        for process in self.processes:
            if process.name == session.process:
                await self.fault(process, point)
        if self.crash_chance.random() < self.weather.cut:
            self.say(f"{session.process} loses its connection {point}")
            await self.gate.hold(self._cut(session))
            raise ConnectionResetError

    async def _cut(self, session: Session) -> None:
        await self.gate.bury([session])
        await self.shelf.fill()

    async def _around_call(self, point: str) -> None:
        process = _process.get()
        if process is not None:
            await self.fault(process, point)

    def _deliver(self, bank: str, raw: bytes, again: Callable[[], None]) -> None:
        async def tell() -> None:
            try:
                ack = await self.ask(lambda p: p.notices.receive(3, bank, {}, raw))
            except Exception as error:  # noqa: BLE001  whatever it is, the bank only sees no answer
                self.say(f"notice not taken: {type(error).__name__}")
                again()
            else:
                if ack.status != 200:
                    again()
                else:
                    self.banks[bank].untold.discard(raw)
                    self.acknowledged.append(("notice", raw.decode(), ""))

        task = asyncio.get_running_loop().create_task(tell(), context=contextvars.Context())
        _KEPT.add(task)
        task.add_done_callback(_KEPT.discard)


_KEPT: set[asyncio.Task[Any]] = set()


def _make_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any
) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, **more)
    context = more.get("context")
    process = _process.get() if context is None else context.get(_process)
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(lambda done: process.tasks.pop(done, None))
        if not process.is_alive:
            task.cancel()
    return task
