"""The demo shop: believes only what both signatures vouch for, and shows a person what came."""

import hashlib
import hmac
import json
import re
import stat
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from simulators.shop.backend import Shop
from simulators.shop.deliveries import KEPT
from simulators.shop.signatures import standard, stripe

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop("127.0.0.1", 0, tmp_path)
    await shop.start()
    yield shop
    await shop.stop()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def event(number: int = 1, sequence: int = 1, **told: Any) -> bytes:
    drawn = {"id": "pi_1", "object": "payment_intent", "amount": 10_000, "currency": "cny", **told}
    return json.dumps(
        {
            "id": f"evt_{number}",
            "type": "payment_intent.succeeded",
            "livemode": False,
            "data": {"object": drawn, "sequence": sequence},
        }
    ).encode()


def signed(body: bytes, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    """Headers made by the official library for Standard Webhooks, and Stripe's by hand."""
    moment = int(time.time()) if at is None else at  # noqa: TID251
    identity = json.loads(body)["id"]
    hashed = hmac.new(secret.encode(), b"%d.%b" % (moment, body), hashlib.sha256)
    when = datetime.fromtimestamp(moment, UTC)
    return {
        "Stripe-Signature": f"t={moment},v1={hashed.hexdigest()}",
        "webhook-id": identity,
        "webhook-timestamp": str(moment),
        "webhook-signature": Webhook(secret).sign(identity, when, body.decode()),
    }


async def tell(client: aiohttp.ClientSession, shop: Shop, secret: str = SECRET) -> None:
    known = {"secret": secret, "endpoint": "we_1"}
    async with client.post(f"{shop.server.url}/_control/secret", json=known) as answer:
        assert (await answer.json())["has_secret"]


async def post(
    client: aiohttp.ClientSession, shop: Shop, body: bytes, headers: dict[str, str]
) -> int:
    async with client.post(f"{shop.server.url}/webhooks", data=body, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("spoil", "status", "verdicts"),
    [
        (lambda body, _: (body, signed(body)), 200, ("good", "good")),
        (lambda body, _: (body + b" ", signed(body)), 400, ("wrong", "wrong")),
        (lambda body, _: (body, signed(body, OTHER)), 400, ("wrong", "wrong")),
        (lambda body, now: (body, signed(body, at=now - 301)), 400, ("stale", "stale")),
        (lambda body, now: (body, signed(body, at=now + 310)), 400, ("stale", "stale")),
        (lambda body, _: (body, {}), 400, ("missing", "missing")),
        (
            lambda body, _: (body, {**signed(body), "webhook-id": "evt_other"}),
            400,
            ("good", "wrong"),
        ),
        (lambda body, _: (body, {**signed(body), "Stripe-Signature": "v1="}), 400, ("missing", "good")),
    ],
)  # fmt: skip
async def test_only_both_good_signatures_are_believed(
    shop: Shop, client: aiohttp.ClientSession, spoil: Any, status: int, verdicts: tuple[str, str]
) -> None:
    await tell(client, shop)
    body, headers = spoil(event(), int(time.time()))  # noqa: TID251

    assert await post(client, shop, body, headers) == status

    (delivery,) = shop.deliveries.newer_than(0)
    assert (delivery.stripe, delivery.standard) == verdicts
    assert shop.deliveries.refused == (status != 200)


def test_while_a_secret_is_rotated_either_signature_fits() -> None:
    body, now = event(), 1_800_000_000
    old, new = signed(body, OTHER, now), signed(body, SECRET, now)
    both = {
        "stripe-signature": old["Stripe-Signature"] + "," + new["Stripe-Signature"].split(",")[1],
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": f"{old['webhook-signature']} {new['webhook-signature']}",
    }

    for secret in (SECRET, OTHER):
        assert stripe(both, body, secret, now) == "good"
        assert standard(both, body, secret, now) == "good"


async def test_without_a_secret_the_sender_is_asked_to_come_again(
    shop: Shop, client: aiohttp.ClientSession
) -> None:
    assert await post(client, shop, event(), signed(event())) == 503
    assert shop.deliveries.count == 0


async def test_a_repeat_and_a_straggler_are_marked(
    shop: Shop, client: aiohttp.ClientSession
) -> None:
    await tell(client, shop)
    for number, sequence in [(1, 1), (3, 3), (2, 2), (3, 3), (4, 4)]:
        body = event(number, sequence)
        assert await post(client, shop, body, signed(body)) == 200
    forged = event(5, 1)
    await post(client, shop, forged, signed(forged, OTHER))

    told = [(row.id, row.again, row.late) for row in reversed(shop.deliveries.newer_than(0))]

    assert told == [
        ("evt_1", False, False),
        ("evt_3", False, False),
        ("evt_2", False, True),
        ("evt_3", True, False),
        ("evt_4", False, False),
        ("evt_5", False, False),
    ]


async def test_the_page_shows_what_came_and_asks_for_what_is_new(
    shop: Shop, client: aiohttp.ClientSession
) -> None:
    await tell(client, shop)
    for body in (event(1), event(2, 2, note="<script>alert(1)</script>")):
        await post(client, shop, body, signed(body))
    base = shop.server.url
    async with client.get(base, headers={"Accept-Language": "en"}) as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    (since,) = re.findall(r'data-since="([^"]+)"', page)
    async with client.get(f"{base}/rows", params={"since": since}) as answer:
        assert answer.status == 204
    body = event(3, 3)
    await post(client, shop, body, signed(body))
    async with client.get(f"{base}/rows", params={"since": since}) as answer:
        fresh = await answer.text()
    async with client.get(f"{base}/rows", params={"since": "0-1"}) as answer:
        assert answer.status == 409
    async with client.get(f"{base}/", headers={"Accept-Language": "zh-CN"}) as answer:
        chinese = await answer.text()

    assert page.count("<li class") == 2
    assert fresh.count("<li class") == 1
    assert "¥100.00" in page
    assert "&lt;script&gt;alert" in page
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    assert "default-src 'none'" in policy
    assert "演示商户" in chinese


async def test_a_wallets_event_shows_what_moved(shop: Shop, client: aiohttp.ClientSession) -> None:
    await tell(client, shop)
    body = event(1, transaction={"amount": -1_500, "currency": "cny"})
    await post(client, shop, body, signed(body))

    assert shop.deliveries.newer_than(0)[0].amount == "−¥15.00"


async def test_the_last_two_hundred_are_kept(shop: Shop, client: aiohttp.ClientSession) -> None:
    await tell(client, shop)
    for number in range(1, KEPT + 6):
        body = event(number, number)
        await post(client, shop, body, signed(body))

    kept = shop.deliveries.newer_than(0)

    assert (len(kept), kept[0].number, shop.deliveries.count) == (KEPT, KEPT + 5, KEPT + 5)


async def test_the_secret_outlives_a_restart_and_is_nobody_elses(
    shop: Shop, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await tell(client, shop)
    url = f"{shop.server.url}/_control/secret"
    async with client.post(url, json={}, headers={"Origin": "http://evil.example"}) as answer:
        assert answer.status == 404
    async with client.post(url, data=b"{") as answer:
        assert answer.status == 400
    again = Shop("127.0.0.1", 0, tmp_path)
    await again.start()
    status = await post(client, again, event(), signed(event()))
    async with client.get(f"{again.server.url}/_control/") as answer:
        about = await answer.json()
    await again.stop()

    assert status == 200
    assert about == {"has_secret": True, "endpoint": "we_1", "received": 1, "refused": 0}
    assert stat.S_IMODE((tmp_path / "shop.json").stat().st_mode) == 0o600
