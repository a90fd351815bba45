"""Case 6: the same order is paid through two channels: one is credited, the other goes back."""

import asyncio
import contextlib
from typing import Any

import pytest

from tests.hard_cases.deeds import (
    attempts,
    breaks,
    given_up,
    journals,
    open_wallet,
    paid_by,
    paid_twice,
    refunds,
    truth,
    two_orders,
)
from tests.serving import Client
from tests.worlds import CONFIRMATIONS, MERCHANT, World
from tillgate.connectors import port
from tillgate.kernel.errors import Refusal
from tillgate.payments.flows import NO_TRACE


async def test_second_payment_is_given_back_by_itself(world: World) -> None:
    payment, first, second = await paid_twice(world)

    assert (await truth(world, "alipay"))[first.id].refunds == (10_000,)
    assert (await truth(world, "wechat_pay"))[second.id].refunds == ()
    assert await world.balance(world.wallet) == 10_000
    assert await world.balance_of("suspense:second_payment") == 0
    assert await breaks(world) == ["second_payment"]
    assert (await world.payment(payment.id)).amount_refunded == 0
    assert (await world.facts(payment.id)).count("payment.succeeded") == 1
    await world.assert_books_hold()


async def test_second_payment_of_a_top_up_leaves_the_wallet_credited_once(
    world: World, client: Client
) -> None:
    wallet = await open_wallet(client)
    order = {"wallet": wallet, "amount": 10_000, "currency": "cny", **paid_by("alipay")}
    types = {"payment_method_types[0]": "alipay", "payment_method_types[1]": "wechat_pay"}
    made = (await client.post("/v1/top_ups", {**order, **types})).json
    path = f"/v1/payment_intents/{made['payment_intent']}"
    elsewhere = paid_by("wechat_pay")
    assert (await client.post(f"{path}/confirm", elsewhere)).status == 400, (
        "one open order at a time"
    )
    assert await truth(world, "wechat_pay") == {}
    await given_up(world, await world.payment(made["payment_intent"]))
    assert (await client.post(f"{path}/confirm", elsewhere)).status == 200
    payment = await world.payment(made["payment_intent"])
    first, second = await attempts(world, payment)

    await world.control("wechat_pay", f"orders/{second.id}/pay")
    await world.until_paid(payment)
    await world.control("alipay", f"orders/{first.id}/pay", {"late": True})

    async def given_back() -> bool:
        return (await truth(world, "alipay"))[first.id].refunds == (10_000,)

    await world.until(given_back, sweep=True)
    assert (await client.get(f"/v1/wallets/{wallet}")).json["balance"] == 10_000
    shown = (await client.get(f"/v1/top_ups/{made['id']}")).json
    assert (shown["status"], shown["amount_refunded"]) == ("succeeded", 0)
    assert (await client.post(f"{path}/confirm", elsewhere)).status == 400
    assert len(await truth(world, "wechat_pay")) == 1
    await world.assert_books_hold()


async def test_late_money_closes_the_order_that_could_still_be_paid(world: World) -> None:
    payment = await two_orders(world)
    first, second = await attempts(world, payment)

    await world.control("alipay", f"orders/{first.id}/pay", {"late": True})

    async def closed() -> bool:
        return not (await truth(world, "wechat_pay"))[second.id].is_open

    await world.until_paid(payment)
    await world.until(closed, sweep=True)
    assert await world.balance(world.wallet) == 10_000
    assert await journals(world, f"payment:{first.id}") == 1
    assert await journals(world, f"payment:{second.id}") == 0
    await world.assert_books_hold()


async def test_both_paid_at_the_same_moment(world: World) -> None:
    payment = await two_orders(world)
    first, second = await attempts(world, payment)
    await asyncio.gather(
        world.control("alipay", f"orders/{first.id}/pay", {"late": True}),
        world.control("wechat_pay", f"orders/{second.id}/pay"),
    )

    async def given_back() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(given_back, sweep=True)
    told = {**await truth(world, "alipay"), **await truth(world, "wechat_pay")}
    assert sum(each.paid - sum(each.refunds) for each in told.values()) == 10_000
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()


async def test_refused_capture_of_a_rival_is_no_error_of_what_has_been_paid(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old order is paid late, while a newer reservation is captured."""
    payment = await world.pay("wechat_pay", 1_200, pay_into=None)
    await given_up(world, payment)
    reserving = {"capture_method": "manual"}
    payment = await world.payment(payment.id)
    await world.payments.confirm(payment, CONFIRMATIONS["card"], NO_TRACE, reserving)
    first, _ = await attempts(world, payment)

    async def refuse(*_: Any, **__: Any) -> port.CaptureRefused:
        await world.control("wechat_pay", f"orders/{first.id}/pay", {"late": True})
        await world.until_paid(payment)
        return port.CaptureRefused("amount_too_small", "No.")

    card = await world.payments.providers.connector(MERCHANT, "pa_stripe")
    with monkeypatch.context() as patched, contextlib.suppress(Refusal):
        patched.setattr(card, "capture", refuse)
        await world.payments.capture(MERCHANT, payment.id, 700, NO_TRACE)

    async def released() -> bool:
        return [one.status for one in await attempts(world, payment)] == ["paid", "closed"]

    await world.until(released, sweep=True)
    done = await world.payment(payment.id)
    assert (done.status, done.amount_received, done.last_error) == ("succeeded", 1_200, None)
    await world.assert_books_hold()
