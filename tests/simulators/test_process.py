"""The simulators as one process: ready line, keys on disk, restart on the same books, the phone."""

import asyncio
import json
import re
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulators.running import Running
from tests.simulators.caller import Caller
from tests.simulators.conftest import Merchant


async def start(*arguments: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    """Start `python -m simulators` and read its ready line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    return process, json.loads(line)["ready"]


async def stop(process: asyncio.subprocess.Process) -> int:
    process.send_signal(signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), 10)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_books_and_unacked_notices_survive_a_restart(tmp_path: Path, keys_file: Path) -> None:
    arguments = ["--keys", str(keys_file), "--data", str(tmp_path / "data"), "--speed", "100"]
    unreachable = "http://127.0.0.1:1/notify"
    process, ready = await start(*arguments)
    merchants_file = keys_file.with_name("merchants.json")
    merchants = json.loads(merchants_file.read_text())
    port = ready["wechat"]["url"].rpartition(":")[2]
    caller = Caller(merchants["merchants"][0]["wechat"], unreachable)
    await caller.create("order_1")
    await caller.control("orders/order_1/pay", {})
    await caller.control("settle", {})
    first = await stop(process)

    process, ready = await start(*arguments, "--wechat-port", port)
    state = await caller.query("order_1")
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{ready['wechat']['url']}/_control/books") as answer,
    ):
        books = await answer.json()
    second = await stop(process)

    assert (first, second) == (0, 0)
    assert state["trade_state"] == "SUCCESS"
    assert books["orders"][0]["amount"] == 10000
    assert books["notices"]["unfinished"] == 1
    assert ready["merchants_file"] == str(merchants_file)
    assert mode_of(keys_file) == mode_of(merchants_file) == 0o600
    assert "platform_private_key" not in merchants["merchants"][0]["wechat"]
    assert "alipay_private_key" not in merchants["merchants"][0]["alipay"]


async def test_taken_port_is_said_and_nothing_stays_open(keys_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "simulators", "--keys", str(keys_file)),
            *("--wechat-port", str(taken.getsockname()[1])),
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        _, err = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 1
    assert b"address already in use" in err
    assert b"Traceback" not in err


@pytest.mark.parametrize(("language", "word"), [("zh-CN,zh;q=0.9", "确认付款"), ("en", "Pay")])
async def test_person_scans_and_pays_on_the_phone(
    language: str, word: str, world: Running, shop: Merchant, accounts: dict[str, Any]
) -> None:
    caller = Caller(accounts["wechat"], shop.server.url + "/notify")
    _, body = await caller.create("order_1")
    phone = world.simulators["alipay"].server.url + "/phone/"
    headers = {"Accept-Language": language}

    async with aiohttp.ClientSession(headers=headers) as client:
        async with client.get(phone) as page:
            listed = await page.text()
        code = {"content": json.loads(body)["code_url"]}
        async with client.post(phone + "scan", data=code) as page:
            shown, address = await page.text(), str(page.url)
        async with client.post(f"{address}/pay", headers={"Origin": "http://evil.example"}) as page:
            assert page.status == 403
        async with client.post(f"{address}/pay") as page:
            paid = await page.text()
        async with client.post(phone + "scan", data={"content": "weixin://nothing"}) as page:
            unknown = await page.text()
    await shop.wait_for(1)

    assert "¥100.00" in listed
    assert word in shown
    assert 'class="bill paid"' in paid
    assert 'role="alert"' in unknown
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for html in (listed, shown, paid):
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)


async def test_control_is_for_loopback_programs_and_says_what_is_wrong(world: Running) -> None:
    base = world.simulators["alipay"].server.url + "/_control/"
    cases = [
        ("POST", "rules", {"operation": "x", "fault": {"kind": "nonsense"}}, {}, 400),
        ("POST", "orders/none/pay", {}, {}, 404),
        ("POST", "nothing", {}, {}, 404),
        ("GET", "books", None, {"Origin": "http://127.0.0.1"}, 403),
    ]

    async with aiohttp.ClientSession() as client:
        for method, path, body, headers, status in cases:
            async with client.request(method, base + path, json=body, headers=headers) as answer:
                told = await answer.json()
            assert (answer.status, list(told)) == (status, ["error"])
        async with client.get(base) as answer:
            about = await answer.json()

    assert (about["provider"], about["is_listening"], about["rules"]) == ("alipay", True, [])
