"""What is Alipay's own: browser and app orders, cancel, unscanned orders, bills, SDK peers."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest

from simulators.keys import open_keys
from tests.contract.worlds import CLOCK, World
from tests.peers import install_peer
from tillgate.connectors.alipay.connector import Alipay
from tillgate.connectors.alipay.wire import BEIJING
from tillgate.connectors.port import (
    AttemptNotice,
    BadNotice,
    Bill,
    Billing,
    BillUnavailable,
    Closed,
    NotFound,
    OpenApp,
    Paid,
    Presentation,
    Redirect,
    Waiting,
)
from tillgate.connectors.registry import build

PEERS = Path(__file__).parent / "peers"


@pytest.fixture
def provider() -> str:
    return "alipay"


@pytest.mark.parametrize("presentation", ["page", "wap"])
async def test_a_browser_order_is_signed_here_and_paid_there(
    world: World, presentation: Presentation
) -> None:
    charge = world.charge_of(presentation=presentation)

    outcome = await world.charge(charge)

    assert isinstance(outcome, Waiting)
    assert isinstance(outcome.step, Redirect)
    assert await world.look_up(charge) == NotFound(), "the browser has not been there yet"
    async with (
        aiohttp.ClientSession() as browser,
        browser.get(outcome.step.url, allow_redirects=False) as page,
    ):
        assert page.status == 302
    world.pay(charge)
    assert isinstance(await world.look_up(charge), Paid)


async def test_an_app_order_is_signed_here_and_paid_there(world: World) -> None:
    charge = world.charge_of(presentation="app")

    outcome = await world.charge(charge)

    assert isinstance(outcome, Waiting)
    assert isinstance(outcome.step, OpenApp)
    assert outcome.step.order_string is not None
    assert world.simulator.scan(outcome.step.order_string) is not None
    tampered = outcome.step.order_string.replace("12.30", "0.01")
    assert world.simulator.scan(tampered) is None
    world.pay(charge)
    assert isinstance(await world.look_up(charge), Paid)


async def test_an_unscanned_order_cannot_be_closed_and_can_still_be_paid(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)

    assert await world.close(charge) == NotFound()
    world.pay(charge)
    assert isinstance(await world.look_up(charge), Paid)


async def test_an_order_expires_at_alipay_by_the_time_we_named(world: World) -> None:
    charge = world.charge_of(expires_at=CLOCK.now() + timedelta(minutes=5))
    await world.charge(charge)
    world.open_on_phone(charge)
    world.simulator.clock.offset_seconds = 301

    assert await world.look_up(charge) == Closed()


async def test_cancel_gives_back_what_was_paid(world: World) -> None:
    charge, _ = await world.paid()
    unpaid = world.charge_of()
    await world.charge(unpaid)
    world.open_on_phone(unpaid)
    alipay = cast(Alipay, world.connector)

    assert await alipay.cancel(charge.attempt_id, now=CLOCK.now()) == Closed()
    assert await alipay.cancel(unpaid.attempt_id, now=CLOCK.now()) == Closed()
    assert await alipay.cancel("att_none", now=CLOCK.now()) == NotFound()
    assert isinstance(await world.look_up(charge), Paid), "it was paid, and then refunded"


async def test_another_merchants_key_is_refused_unprocessed(world: World) -> None:
    account = {**world.account, "app_id": "2021000000000000"}
    connector = build("alipay", account, world.transport)
    outcome = await connector.charge(world.charge_of(), now=CLOCK.now())

    assert not isinstance(outcome, Paid | Waiting)


@pytest.mark.parametrize("kind", ["trade", "signcustomer"])
async def test_a_bill_is_downloaded_as_it_is(world: World, kind: str) -> None:
    charge, _ = await world.paid()
    today = CLOCK.now().astimezone(BEIJING).date()
    connector = world.connector
    assert isinstance(connector, Billing)

    early = await connector.bill(today, kind, now=CLOCK.now())
    world.simulator.clock.offset_seconds = 36 * 3600
    later = CLOCK.now() + timedelta(hours=36)
    found = await connector.bill(today, kind, now=later)
    none = await connector.bill(today - timedelta(days=9), kind, now=later)

    assert isinstance(early, BillUnavailable)
    assert early.retry
    assert isinstance(none, BillUnavailable)
    assert not none.retry
    assert isinstance(found, list)
    bill = cast(list[Bill], found)[0]
    assert bill.name == f"alipay_{kind}_{today.isoformat()}.zip"
    rows = b"".join(_unzipped(bill.content)).decode("gbk")
    assert charge.attempt_id in rows


def _unzipped(content: bytes) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def _run(peer: str, request: dict[str, Any]) -> Any:
    folder = install_peer(peer)
    script = PEERS / f"{peer.replace('-', '_')}.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("peer", ["alipay-official", "alipay-community"])
async def test_its_sdks_verify_what_we_sign_and_we_what_they_sign(
    world: World, keys_file: Path, peer: str
) -> None:
    charge = world.charge_of(presentation="page", description="茶 & cake")
    outcome = await world.charge(charge)
    assert isinstance(outcome, Waiting)
    assert isinstance(outcome.step, Redirect)
    params = dict(parse_qsl(urlsplit(outcome.step.url).query))
    account = open_keys(keys_file).merchants[0].alipay
    notice = {
        "notify_type": "trade_status_sync",
        "app_id": account.app_id,
        "seller_id": account.seller_id,
        "out_trade_no": charge.attempt_id,
        "trade_no": "2026112222001",
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "12.30",
        "subject": "茶",
    }

    said = _run(
        peer,
        {
            "params": params,
            "public_key": account.app.public,
            "notice": notice,
            "private_key": account.alipay.private,
        },
    )

    assert said["verified"] == [True, False], "ours, and ours with one character changed"
    connector = cast(Alipay, world.connector)
    form = {**notice, "sign_type": "RSA2", "sign": said["signature"]}
    read = connector.read_notice({}, urlencode(form).encode(), now=CLOCK.now())
    assert isinstance(read, AttemptNotice)
    assert isinstance(read.outcome, Paid)
    with pytest.raises(BadNotice):
        connector.read_notice(
            {}, urlencode({**form, "total_amount": "12.31"}).encode(), now=CLOCK.now()
        )
