"""Case 36: work that meets a lock waits or comes again; it is never dropped."""

import asyncio
from typing import Any

import pytest

from tests.hard_cases.deeds import simulator
from tests.serving import Answered, Client
from tests.worlds import World
from tillgate.payments import jobs
from tillgate.payments.commands import Route
from tillgate.payments.flows import Payments
from tillgate.runtime.db import Database


async def test_notice_waits_for_the_lock_and_is_applied(world: World) -> None:
    payment = await world.pay("wechat_pay")
    async with world.db.transaction() as tx:
        await tx.one("SELECT 1 FROM payments.payments WHERE id = $1 FOR UPDATE", payment.id)
        await world.phone_pays("wechat_pay", payment)
        await simulator(world, "wechat_pay").sender.settle()
        await asyncio.sleep(0.2)

    await world.until_paid(payment)
    assert await world.balance(world.wallet) == 10_000


async def test_lock_not_had_in_time_is_asked_for_again(world: World, app_db_url: str) -> None:
    payment = await world.pay("wechat_pay")
    hasty = await Database.open(app_db_url, settings={"lock_timeout": "100ms"})
    other = Payments(
        hasty,
        world.clock,
        world.payments.providers,
        world.payments.look_ups,
        world.payments.lifetime,
    )
    world.payments, usual = other, world.payments
    async with world.db.transaction() as tx:
        await tx.one("SELECT 1 FROM payments.payments WHERE id = $1 FOR UPDATE", payment.id)
        await world.phone_pays("wechat_pay", payment)
        await asyncio.sleep(0.15)

    await world.until_paid(payment, sweep=True)
    assert await world.balance(world.wallet) == 10_000
    await other.finish()
    world.payments = usual
    await hasty.close()


async def test_sweeps_and_notices_of_many_payments_never_lock_each_other_up(world: World) -> None:
    payments = [await world.pay("wechat_pay", 1_000 + n) for n in range(40)]
    async with world.db.transaction() as tx:
        await tx.run("UPDATE payments.attempts SET look_up_at = '2001-01-01'")
    for payment in payments:
        await world.phone_pays("wechat_pay", payment)
    await asyncio.gather(
        *(jobs.look_up_due(world.payments) for _ in range(6)),
        *(jobs.apply_stored_notices(world.payments) for _ in range(6)),
    )
    for payment in payments:
        await world.until_paid(payment, sweep=True)

    async with world.db.transaction(readonly=True) as tx:
        dead = await tx.value(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
    assert dead == 0
    assert await world.balance(world.wallet) == sum(1_000 + n for n in range(40))
    await world.assert_books_hold()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"currency": "usd"}, 400),
        ({"capture_method": "manual"}, 400),
        ({"payment_method_types[]": "alipay"}, 400),
        ({"payment_method": "pm_card_visa"}, 200),
        ({"payment_method_options[wechat_pay][client]": "android"}, 200),
    ],
)
async def test_confirmation_of_what_was_changed_meanwhile_is_refused_for_now(
    client: Client,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    told: int,
) -> None:
    """Its route was chosen by what the payment was; asked again, it is chosen by what it is."""
    path = await _to_be_confirmed(client)
    refused = await _confirmed_while_changed(client, world, monkeypatch, path, change)
    assert (refused.status, refused.error["code"]) == (409, "lock_timeout"), refused.body
    assert (await world.books("wechat_pay"))["orders"] == []

    again = await client.post(f"{path}/confirm", WECHAT, key="k")

    assert again.status == told, again.body
    orders = (await world.books("wechat_pay"))["orders"]
    assert [order["amount"] for order in orders] == ([1200] if told == 200 else [])


async def test_confirmation_of_what_became_another_customers_is_refused_for_now(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose method it may be paid with was decided for the customer it had."""
    path = await _to_be_confirmed(client)
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]

    refused = await _confirmed_while_changed(
        client, world, monkeypatch, path, {"customer": customer}
    )

    assert (refused.status, refused.error["code"]) == (409, "lock_timeout"), refused.body
    assert (await client.post(f"{path}/confirm", WECHAT, key="k")).status == 200


@pytest.mark.parametrize("change", [{"amount": 1300}, {"metadata[order]": "17"}])
async def test_confirmation_beside_a_change_of_nothing_that_matters_to_it_is_made(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    path = await _to_be_confirmed(client)
    confirmed = await _confirmed_while_changed(client, world, monkeypatch, path, change)

    assert (confirmed.status, confirmed.json["status"]) == (200, "requires_action"), confirmed.body
    [order] = (await world.books("wechat_pay"))["orders"]
    assert order["amount"] == confirmed.json["amount"] == change.get("amount", 1200)


WECHAT = {"payment_method_data[type]": "wechat_pay"}


async def _to_be_confirmed(client: Client) -> str:
    made = await client.post(
        "/v1/payment_intents",
        {"amount": 1200, "currency": "cny", "payment_method_types[]": "wechat_pay"},
    )
    return f"/v1/payment_intents/{made.json['id']}"


async def _confirmed_while_changed(
    client: Client,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    change: dict[str, Any],
) -> Answered:
    """Confirm, while somebody changes the payment between the choice of its route and its lock."""
    route = world.payments.route

    async def slowly(*given: Any) -> Route:
        chosen = await route(*given)
        changed = await client.post(path, change)
        assert changed.status == 200, changed.body
        return chosen

    with monkeypatch.context() as patched:
        patched.setattr(world.payments, "route", slowly)
        return await client.post(f"{path}/confirm", WECHAT, key="k")
