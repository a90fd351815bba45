"""What a caller meets when a fault strikes, by rule and by magic amount."""

import asyncio
from typing import Any

import aiohttp
import pytest

from simulators.common.faults import Drawn, Fault, FaultKind, FaultPlan, Rule, Stage
from simulators.common.http import Response
from simulators.common.simulator import WrongState
from simulators.running import Running
from tests.simulators.caller import Caller
from tests.simulators.conftest import Merchant

BROKEN = (
    ("timeout_after", asyncio.TimeoutError),
    ("reset_after", aiohttp.ClientConnectionError),
    ("timeout_before", asyncio.TimeoutError),
    ("reset_before", aiohttp.ClientConnectionError),
)


@pytest.fixture
def caller(accounts: dict[str, Any], shop: Merchant) -> Caller:
    return Caller(accounts["wechat"], shop.server.url + "/notify")


def test_same_seed_and_same_calls_give_the_same_faults() -> None:
    def draws(seed: int) -> list[Drawn]:
        plan = FaultPlan(seed)
        plan.add(Rule("create", Fault(FaultKind.LATENCY, p50=0.1, p99=1.0), probability=0.5))
        plan.add(Rule("*", Fault(FaultKind.TIMEOUT_AFTER), probability=0.3))
        return [plan.draw(Stage.CREATE, "order", 1000, f"n{i}") for i in range(200)]

    first = draws(7)

    assert first == draws(7)
    assert first != draws(8)
    assert 30 < sum(drawn.kind is FaultKind.TIMEOUT_AFTER for drawn in first) < 90
    assert 60 < sum(drawn.delay > 0 for drawn in first) < 140


def test_next_calls_are_counted_and_ordinary_amounts_are_left_alone() -> None:
    plan = FaultPlan(1)
    plan.add(Rule("refund", Fault(FaultKind.HTTP_429_AFTER), next=2))

    kinds = [plan.draw(Stage.REFUND, "refund", 5000, "n").kind for _ in range(4)]
    others = [plan.draw(Stage.CREATE, "order", amount, "n").kind for amount in (1000, 5000, 10000)]

    assert kinds == [FaultKind.HTTP_429_AFTER, FaultKind.HTTP_429_AFTER, None, None]
    assert others == [None, None, None]
    assert plan.rules == []


@pytest.mark.parametrize(("kind", "error"), BROKEN)
async def test_broken_exchange_acts_or_not_as_its_name_says(
    kind: str, error: type[Exception], caller: Caller
) -> None:
    await caller.control("rules", {"operation": "order", "fault": {"kind": kind}, "next": 1})

    with pytest.raises(error):
        await caller.create("order_1", timeout_seconds=0.3)

    state = await caller.query("order_1")
    assert state["code" if "before" in kind else "trade_state"] == (
        "ORDER_NOT_EXIST" if "before" in kind else "NOTPAY"
    )


@pytest.mark.parametrize(
    ("amount", "status", "key"),
    [
        (4005, 500, "trade_state"),
        (4006, 500, "code"),
        (4007, 429, "code"),
        (4008, 429, "trade_state"),
    ],
)
async def test_magic_amount_strikes_once_per_order(
    amount: int,
    status: int,
    key: str,
    caller: Caller,
) -> None:
    first, body = await caller.create("order_1", amount)
    state = await caller.query("order_1")
    second, _ = await caller.create("order_1", amount)

    assert first == status
    assert key in state
    assert second == 200
    assert (b"<html>" in body) is (status == 500)


async def test_outage_refuses_connections_and_ends(caller: Caller, world: Running) -> None:
    wechat = world.simulators["wechat"]
    await caller.create("order_1")
    await caller.control("outage", {"seconds": 0})
    for _ in range(100):
        if not wechat.server.is_listening:
            break
        await asyncio.sleep(0.01)

    with pytest.raises(aiohttp.ClientConnectorError):
        await caller.query("order_1")

    assert world.control is not None
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{world.control.url}/wechat/_control/outage", json={"on": False}) as answer,
    ):
        assert answer.status == 200
    assert (await caller.query("order_1"))["trade_state"] == "NOTPAY"


async def test_notice_is_sent_again_until_acked(
    caller: Caller, world: Running, shop: Merchant
) -> None:
    wechat = world.simulators["wechat"]
    shop.answer = lambda _: Response(500 if len(shop.notices) < 3 else 204)
    await caller.create("order_1")

    wechat.pay("order_1")
    await shop.wait_for(3)
    await wechat.sender.settle()

    assert wechat.sender.unfinished == {}
    assert (wechat.sender.sent, wechat.sender.acked) == (3, 1)


@pytest.mark.parametrize(("amount", "count"), [(4012, 2), (4014, 0), (4022, 2), (10000, 1)])
async def test_notice_comes_as_often_as_its_amount_says(
    amount: int, count: int, caller: Caller, world: Running, shop: Merchant
) -> None:
    def answer(request: Any) -> Response:
        spoiled = request.headers["wechatpay-signature"].startswith("WECHATPAY/SIGNTEST/")
        return Response(401 if spoiled else 200)

    shop.answer = answer
    await caller.create("order_1", amount)

    world.simulators["wechat"].pay("order_1")
    await shop.wait_for(count)
    await world.simulators["wechat"].sender.settle()

    assert len(shop.notices) == count


async def test_notice_before_the_answer_and_paid_at_once(caller: Caller, shop: Merchant) -> None:
    status, _ = await caller.create("order_1", 4016)

    assert (status, len(shop.notices)) == (200, 1)
    assert (await caller.query("order_1"))["trade_state"] == "SUCCESS"


async def test_declined_order_can_be_paid_late_and_a_closed_one_only_late(
    caller: Caller, world: Running, shop: Merchant
) -> None:
    wechat = world.simulators["wechat"]
    await caller.create("order_1", 4001)
    await caller.create("order_2")

    declined = wechat.pay("order_1")
    wechat.close("order_2")
    with pytest.raises(WrongState):
        wechat.pay("order_2")
    late = wechat.pay("order_2", late=True)
    await shop.wait_for(1)

    assert (declined.status, declined.declined) == ("waiting", 1)
    assert late.status == "paid"


async def test_wrong_amount_is_told_in_notice_and_query(
    caller: Caller, world: Running, shop: Merchant
) -> None:
    await caller.create("order_1", 4011)

    world.simulators["wechat"].pay("order_1")
    await shop.wait_for(1)

    assert (await caller.query("order_1"))["amount"]["total"] == 4012


async def test_refund_that_fails_later_frees_its_money(
    caller: Caller, world: Running, shop: Merchant
) -> None:
    wechat = world.simulators["wechat"]
    await caller.create("order_1", 4017)
    wechat.pay("order_1")

    accepted = await caller.refund("order_1", "back_1", 4017, 4017)
    await shop.wait_for(2)
    again = await caller.refund("order_1", "back_2", 4017, 4017)

    assert accepted["status"] == "PROCESSING"
    assert again["status"] == "PROCESSING"
    assert (await caller.refund("order_1", "back_1", 4017, 4017))["status"] == "ABNORMAL"
