"""The cache of provider accounts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.worlds import FAST, unobserved
from tillgate.connectors.transport import HttpTransport
from tillgate.kernel.clock import FixedClock
from tillgate.merchants.model import OpenedAccount
from tillgate.payments.providers import Providers
from tillgate.runtime.db import DatabaseUnavailable


async def test_accounts_that_many_ask_for_at_once_are_read_once() -> None:
    clock = FixedClock(datetime(2026, 11, 22, tzinfo=UTC))
    is_away, readings = False, 0

    async def load(_: int) -> list[OpenedAccount]:
        nonlocal readings
        readings += 1
        await asyncio.sleep(0.01)
        if is_away:
            raise DatabaseUnavailable
        return []

    transport = HttpTransport(FAST)
    providers = Providers(load, clock, transport, unobserved, base_url="http://localhost")

    async def ask() -> list[str]:
        asked = (providers.methods(3, "cny") for _ in range(50))
        return [str(answer) for answer in await asyncio.gather(*asked)]

    await ask()
    assert readings == 1
    clock.advance(seconds=6)
    await ask()
    assert readings == 2
    clock.advance(seconds=6)
    is_away = True
    with pytest.raises(DatabaseUnavailable):
        await ask()
    is_away = False
    await asyncio.sleep(0.02)
    await ask()
    assert readings == 4
    await transport.close()
