"""Memory is bounded: what is settled, told and old is forgotten; all else is kept and works."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from simulators.card.simulator import CardSimulator
from simulators.common.faults import Fault, FaultKind, Rule
from simulators.common.http import Request, Response
from simulators.common.orders import OrderSimulator
from simulators.common.simulator import NoSuchOrder, Setup
from simulators.keys import CardAccount
from simulators.running import Plan, Running, run
from tests.simulators.caller import Caller
from tests.simulators.conftest import Merchant

ACCOUNT = CardAccount("acct_demo", "sk_test_demo", "pk_test_demo", "whsec_demo")


async def _small(keys_file: Path) -> Running:
    ports = (("alipay", 0), ("wechat", 0))
    return await run(Plan(keys=keys_file, ports=ports, speed=100.0, keep_orders=10))


async def _order(world: Running, shop: Merchant, number: str) -> OrderSimulator:
    """A paid WeChat order, its notice answered."""
    simulator = cast("OrderSimulator", world.simulators["wechat"])
    status, _ = await _caller(world, shop).create(number)
    assert status == 200
    simulator.pay(number)
    await simulator.sender.settle()
    return simulator


def _caller(world: Running, shop: Merchant) -> Caller:
    account = json.loads(world.merchants_file.read_text())["merchants"][0]["wechat"]
    return Caller(account, f"{shop.server.url}/notify")


async def test_old_and_settled_orders_are_forgotten(keys_file: Path, shop: Merchant) -> None:
    shop.answer = lambda _: Response(204)
    world = await _small(keys_file)
    for at in range(15):
        simulator = await _order(world, shop, f"early-{at:02}")
    assert len(simulator.books.orders) == 15, "not before they have rested"

    simulator.clock.offset_seconds += 120.0
    for at in range(10):
        await _order(world, shop, f"late-{at:02}")

    kept = [order.out_trade_no for order in simulator.books.orders.values()]
    assert len(kept) <= 12
    assert kept[-10:] == [f"late-{at:02}" for at in range(10)]
    with pytest.raises(NoSuchOrder):
        simulator.find("early-00")
    assert (await _caller(world, shop).query("late-00"))["trade_state"] == "SUCCESS"
    refund = await _caller(world, shop).refund("late-01", "r-1", 100, 10000)
    assert refund["status"] in ("PROCESSING", "SUCCESS")
    await world.stop()


async def test_what_is_not_settled_or_told_is_kept(keys_file: Path, shop: Merchant) -> None:
    shop.answer = lambda _: Response(204)
    world = await _small(keys_file)
    caller = _caller(world, shop)
    await caller.create("never-told")
    await caller.create("still-open")
    simulator = cast("OrderSimulator", world.simulators["wechat"])
    simulator.plan.add(Rule("notice.payment", Fault(FaultKind.LATE_NOTICE, seconds=1e6), next=1))
    simulator.pay("never-told")
    await _order(world, shop, "refunding")
    simulator.plan.add(Rule("refund", Fault(FaultKind.REFUND_STUCK), next=1))
    await caller.refund("refunding", "r-1", 100, 10000)
    for at in range(3):
        await _order(world, shop, f"early-{at:02}")

    simulator.clock.offset_seconds += 120.0
    for at in range(20):
        await _order(world, shop, f"late-{at:02}")

    kept = {order.out_trade_no for order in simulator.books.orders.values()}
    assert {"never-told", "still-open", "refunding"} <= kept
    assert "early-00" not in kept
    await world.stop()


async def test_cards_forget_with_an_order_all_that_hung_on_it(tmp_path: Path) -> None:
    setup = Setup(data=tmp_path, keep_orders=10)
    simulator = CardSimulator(setup, [ACCOUNT])
    await simulator.start()
    held = simulator.accounts["acct_demo"].books
    waiting = _post(simulator, b"amount=900&currency=usd&metadata[attempt]=waiting")
    for at in range(15):
        _post(simulator, b"amount=900&currency=usd&confirm=true&payment_method=pm_card_visa"
              b"&off_session=true&metadata[attempt]=early-%d" % at)  # fmt: skip
    before = _get(simulator, "/v1/balance")

    simulator.clock.offset_seconds += 30 * 86_400
    for at in range(10):
        _post(simulator, b"amount=900&currency=usd&confirm=true&payment_method=pm_card_visa"
              b"&off_session=true&metadata[attempt]=late-%d" % at)  # fmt: skip

    assert b'"requires_payment_method"' in waiting.body
    assert before.status == 200
    assert len(held.intents.rows) <= 13
    assert held.tagged("attempt", "early-0") == []
    for drawer in (held.intents, held.charges, held.entries, held.methods):
        places = [drawer.place(row.id, "id") for row in drawer.rows]
        assert places == list(range(len(drawer.rows)))
        assert [drawer.find(row.id) for row in drawer.rows] == drawer.rows
    assert len(held.tagged("attempt", "late-0")) == 1
    assert len(held.charges.rows) == len(held.entries.rows) == len(held.methods.rows)
    assert len(held.charges.rows) <= 12
    # What was taken is still ours: 25 times 9.00 less the fees.
    fee = held.entries.rows[0].fee
    body = _get(simulator, "/v1/balance").body
    balance = json.loads(body)
    total = balance["available"][0]["amount"] + balance["pending"][0]["amount"]
    assert total == 25 * (900 - fee)
    await simulator.stop()

    after = CardSimulator(setup, [ACCOUNT])
    await after.start()
    again = after.accounts["acct_demo"].books
    assert {row.id for row in again.intents} == {row.id for row in held.intents}
    assert _get(after, "/v1/balance").body == body
    await after.stop()


def _post(simulator: CardSimulator, body: bytes) -> Any:
    return simulator.handle_api(Request("POST", "/v1/payment_intents", _headers(), body))


def _get(simulator: CardSimulator, path: str) -> Any:
    return simulator.handle_api(Request("GET", path, _headers(), b""))


def _headers() -> dict[str, str]:
    return {"host": "x", "authorization": "Bearer sk_test_demo"}
