"""All simulators in one process and one event loop, started and stopped together.

A provider is plugged in by a module `simulators.<name>.simulator` with

    def build(setup: Setup, keys: Keys) -> Simulator

A module that does not exist is left out. The control port, when asked for, serves every control
API under the provider's name, and stays up through an outage. The shop, when asked for, is no
provider: it is the merchant's own backend, which hears what Tillgate tells by webhook.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from simulators.common import control
from simulators.common.forgetting import KEEP_ORDERS
from simulators.common.http import Request, Response, Server
from simulators.common.phone import PREFIX as PHONE_PREFIX
from simulators.common.phone import Phone
from simulators.common.simulator import Setup, Simulator
from simulators.keys import Addresses, Keys, open_keys, write_merchants
from simulators.shop.backend import Shop

PROVIDERS: Final = ("alipay", "wechat", "card")
Build = Callable[[Setup, Keys], Simulator]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and where. A port of 0 picks a free one; None means no such listener."""

    keys: Path
    data: Path | None = None
    host: str = "127.0.0.1"
    ports: tuple[tuple[str, int], ...] = tuple((name, 0) for name in PROVIDERS)
    control_port: int | None = None
    shop_port: int | None = None
    seed: int = 1
    speed: float = 1.0
    keep_orders: int = KEEP_ORDERS
    merchants: tuple[str, ...] = ("demo",)


class Running:
    """The simulators of one process, by name."""

    def __init__(self, plan: Plan, keys: Keys) -> None:
        self._plan = plan
        self.keys = keys
        self.simulators: dict[str, Simulator] = {}
        self.control: Server | None = None
        self.shop: Shop | None = None
        if plan.shop_port is not None:
            self.shop = Shop(plan.host, plan.shop_port, plan.data)
        setup = Setup(
            host=plan.host,
            data=plan.data,
            seed=plan.seed,
            speed=plan.speed,
            keep_orders=plan.keep_orders,
        )
        for name, port in plan.ports:
            build = find_builder(name)
            if build is not None:
                self.simulators[name] = build(replace(setup, port=port), keys)
        phone = Phone(self.simulators)
        for simulator in self.simulators.values():
            simulator.mounts.append((control.PREFIX, control.mount))
            simulator.mounts.append((PHONE_PREFIX, phone.mount))

    @property
    def merchants_file(self) -> Path:
        """Where the merchants' halves of the keys are written."""
        return self._plan.keys.with_name("merchants.json")

    @property
    def addresses(self) -> Addresses:
        """The base address of each simulator."""
        return Addresses(**{name: each.server.url for name, each in self.simulators.items()})

    async def start(self) -> None:
        """Listen everywhere, or nowhere."""
        try:
            for simulator in self.simulators.values():
                await simulator.start()
            if self._plan.control_port is not None:
                self.control = Server(self._control, self._plan.host, self._plan.control_port)
                await self.control.start()
            if self.shop is not None:
                await self.shop.start()
        except BaseException:
            await self.stop()
            raise
        write_merchants(self.merchants_file, self.keys, self.addresses)

    async def stop(self) -> None:
        """Stop listening; put all books on their shelves."""
        await asyncio.gather(*(each.stop() for each in self.simulators.values()))
        if self.control is not None:
            await self.control.stop()
        if self.shop is not None:
            await self.shop.stop()

    def _control(self, request: Request) -> Response | Awaitable[Response]:
        name, _, rest = request.path.lstrip("/").partition("/")
        if name not in self.simulators:
            return Response(404)
        return control.control(self.simulators[name], request, "/" + rest)


async def run(plan: Plan) -> Running:
    """Open the keys and start every simulator there is."""
    running = Running(plan, open_keys(plan.keys, plan.merchants))
    await running.start()
    return running


def find_builder(name: str) -> Build | None:
    """The provider's `build`, or None when this installation has no such simulator."""
    if not (Path(__file__).parent / name / "simulator.py").exists():
        return None
    module = importlib.import_module(f"simulators.{name}.simulator")
    return cast("Build", module.build)
