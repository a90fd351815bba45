"""Races are run in the world of the walk, by several processes' worth of `Payments`."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.payments.conftest import keys_file, world
from tests.worlds import World
from tillgate.payments.flows import Payments
from tillgate.runtime.db import Database

__all__ = ["keys_file", "world"]


@pytest_asyncio.fixture
async def processes(world: World, app_db_url: str) -> AsyncIterator[list[Payments]]:
    """Four money paths with connections of their own on one database."""
    databases = [await Database.open(app_db_url, size=4) for _ in range(4)]
    yield [
        Payments(
            db,
            world.clock,
            world.payments.providers,
            world.payments.look_ups,
            world.payments.lifetime,
        )
        for db in databases
    ]
    for db in databases:
        await db.close()
