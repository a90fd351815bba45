"""Whoever opens the base address is shown where to go on."""

import re
from pathlib import Path

from tests.browser.stage import Stage
from tillgate.entry.demo import keys_file
from tillgate.entry.seed import Demo, _write, demo_page
from tillgate.kernel.clock import SystemClock
from tillgate.runtime.secrets import Vault
from tillgate.runtime.settings import HttpSettings, Settings, SimulatorSettings
from tillgate.topup_app.links import read_token

ALWAYS = ["/docs", "/openapi.json", "/readyz"]


async def test_base_address_leads_on(stage: Stage) -> None:
    for demo in (None, "/pay/token"):
        stage.demo = demo
        async with stage.world.session.get(f"{stage.base_url}/") as answer:
            page = await answer.text()

        assert answer.status == 200
        assert re.findall(r'class="line" href="([^"]+)"', page) == ([demo] if demo else []) + ALWAYS
        assert "<script" not in page
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    async with stage.world.session.get(f"{stage.base_url}/?lang=zh") as answer:
        assert "Tillgate 正在运行" in await answer.text()


def test_demo_is_offered_only_while_there_is_one(tmp_path: Path) -> None:
    vault, clock = Vault.from_file(tmp_path / "key"), SystemClock()
    settings = Settings(data_dir=str(tmp_path))
    without = Settings(data_dir=str(tmp_path), simulators=SimulatorSettings(enabled=False))
    outside = Settings(data_dir=str(tmp_path), http=HttpSettings(public_url="https://t.example"))

    assert demo_page(settings, vault, clock) is None
    demo = Demo(
        account="a", merchant_id=1, live_merchant_id=2, secret_key="s", publishable_key="p",
        customer="cus_1", wallet="wal_1", wallet_usd="wal_2", providers={},
    )  # fmt: skip
    _write(keys_file(tmp_path), demo)

    path = demo_page(settings, vault, clock) or ""
    link = read_token(vault, path.removeprefix("/pay/"), at=clock.now())
    assert (link.merchant_id, link.wallet_id) == (1, "wal_1")
    assert demo_page(without, vault, clock) is None
    assert demo_page(outside, vault, clock) is None
