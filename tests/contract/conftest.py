"""Simulators on real ports, one world for each provider."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.card.simulator import CardSimulator
from simulators.keys import open_keys
from simulators.running import Plan, Running
from tests.contract.worlds import Ear, World, make_world

SIMULATORS = {"alipay": "alipay", "wechat_pay": "wechat", "stripe": "card"}


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of every provider, made once: nine RSA keys take a second."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    open_keys(path)
    return path


@pytest.fixture(params=["alipay", "wechat_pay", "stripe"])
def provider(request: pytest.FixtureRequest) -> str:
    """The provider under test."""
    return request.param


@pytest.fixture
async def world(provider: str, keys_file: Path) -> AsyncIterator[World]:
    """One provider, its notices coming to an ear of ours."""
    name = SIMULATORS[provider]
    plan = Plan(keys=keys_file, ports=((name, 0),), speed=20.0)
    running = Running(plan, open_keys(keys_file))
    ear = Ear()
    await running.start()
    await ear.start()
    try:
        merchant = json.loads(running.merchants_file.read_text())["merchants"][0]
        simulator = running.simulators[name]
        if isinstance(simulator, CardSimulator):
            account = next(iter(simulator.accounts.values()))
            account.add_endpoint({"url": ear.url, "enabled_events": {"0": "*"}})
        made = make_world(provider, simulator, merchant, ear)
        yield made
        await made.transport.close()
    finally:
        await running.stop()
        await ear.stop()
