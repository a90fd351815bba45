"""Case 18: nothing moves for zero, for less than zero, for a fraction, or for more than there can be."""

from typing import Any

import msgspec
import pytest

from simulators.common.notices import Notice
from tests.hard_cases.deeds import (
    attempts,
    journals,
    nothing_moves,
    notices_become,
    open_wallet,
    paid,
    simulator,
    topped_up,
    truth,
)
from tests.serving import Client
from tests.worlds import World
from tillgate.kernel.money import MAX_MINOR

INTENTS = "/v1/payment_intents"
#: As a form has them: a variable that was empty (where an amount that is left out means all), nothing
#: or less, fractions, and what is no plain number.
NO_AMOUNTS = (
    "",
    *("0", "-1", "-10000", "-0"),
    *("0.5", "10.5", "10.00", "1e3", "-1.5"),
    *(" ", "ten", "0x10", "1,000", "1_000", "٣", "NaN", "Infinity"),
)
TOO_MUCH = (MAX_MINOR + 1, 2**31 * 1000, 2**63, 2**64 + 5000, int("9" * 40))
#: The same as JSON has them, where a number is no text and a truth is no number.
NO_JSON_AMOUNTS = (None, "", 0, -1, 10.5, 10.0, 1e3, 1e300, True, [5000], {"of": 5000}, "10.00")


async def _assert_refused(client: Client, path: str, body: dict[str, Any], field: str) -> None:
    """Each amount that is none is refused by its field, as a form and as JSON."""
    for amount in NO_AMOUNTS:
        refused = await client.post(path, {**body, field: amount})
        assert (refused.status, refused.error["param"]) == (400, field), (amount, refused.body)
        assert refused.error["type"] == "invalid_request_error"
    for number in NO_JSON_AMOUNTS:
        refused = await client.post(path, json={**body, field: number})
        assert (refused.status, refused.error["param"]) == (400, field), (number, refused.body)
    for number in TOO_MUCH:
        for given in ({"data": {**body, field: str(number)}}, {"json": {**body, field: number}}):
            refused = await client.post(path, **given)
            assert (refused.status, refused.error["param"]) == (400, field), (number, refused.body)


async def _orders(world: World) -> list[Any]:
    return [await truth(world, method) for method in ("alipay", "wechat_pay", "card")]


@pytest.mark.parametrize("currency", ["cny", "usd", "jpy", "kwd"])
async def test_payment_of_what_is_no_amount_is_refused(
    world: World, client: Client, currency: str
) -> None:
    body = {"currency": currency, "payment_method": "pm_card_visa", "confirm": "true"}
    made = (await client.post(INTENTS, {"currency": currency, "amount": 5000})).json

    async with nothing_moves(world):
        await _assert_refused(client, INTENTS, body, "amount")
        await _assert_refused(client, f"{INTENTS}/{made['id']}", {}, "amount")

    assert await _orders(world) == [{}, {}, {}]
    assert (await client.get(f"{INTENTS}/{made['id']}")).json == made


@pytest.mark.parametrize(("currency", "amount"), [("jpy", "500.5"), ("kwd", "1.2345")])
async def test_more_decimals_than_the_currency_has_are_refused(
    world: World, client: Client, currency: str, amount: str
) -> None:
    """Its smallest unit is what is counted, so that nothing is left behind a point."""
    wallet = await open_wallet(client, currency)
    card = {"currency": currency, "payment_method": "pm_card_visa"}
    whole = (await client.post(INTENTS, {**card, "amount": 1234, "confirm": "true"})).json
    doors = (
        (INTENTS, {**card, "confirm": "true"}),
        ("/v1/top_ups", {**card, "wallet": wallet}),
        ("/v1/refunds", {"payment_intent": whole["id"]}),
    )

    async with nothing_moves(world):
        for path, body in doors:
            refused = await client.post(path, {**body, "amount": amount})
            assert refused.status == 400, refused.body
            assert refused.error["code"] == "parameter_invalid_integer"
            assert refused.error["param"] == "amount"

    assert [(told.paid, told.refunds) for told in (await truth(world, "card")).values()] == [
        (1234, ())
    ]


async def test_top_up_refund_and_spend_of_what_is_no_amount_are_refused(
    world: World, client: Client
) -> None:
    held = await topped_up(world, client)
    order = {"wallet": held.wallet, "currency": "cny", "payment_method": "alipay"}
    some = {"amount": 1_000, "currency": "cny"}
    spent = (await client.post(f"{held.url}/spend", some)).json["id"]
    aside = (await client.post(f"{held.url}/holds", some)).json["id"]
    before = await _orders(world)

    async with nothing_moves(world):
        await _assert_refused(client, "/v1/top_ups", order, "amount")
        await _assert_refused(client, "/v1/refunds", {"payment_intent": held.payment}, "amount")
        await _assert_refused(client, f"{held.url}/spend", {"currency": "cny"}, "amount")
        await _assert_refused(client, f"{held.url}/holds", {"currency": "cny"}, "amount")
        await _assert_refused(client, f"{held.url}/transactions/{spent}/refund", {}, "amount")
        await _assert_refused(client, f"{held.url}/holds/{aside}/capture", {}, "amount")

    assert await _orders(world) == before
    assert (await client.get(held.url)).json["balance"] == 9_000


async def test_capture_of_what_is_no_amount_is_refused(world: World, client: Client) -> None:
    body = {"amount": 10_000, "currency": "usd", "payment_method": "pm_card_visa"}
    reserved = {**body, "capture_method": "manual", "confirm": "true"}
    made = (await client.post(INTENTS, reserved)).json
    assert made["status"] == "requires_capture"

    async with nothing_moves(world):
        path = f"{INTENTS}/{made['id']}/capture"
        await _assert_refused(client, path, {}, "amount_to_capture")

    assert [told.paid for told in (await truth(world, "card")).values()] == [0]


@pytest.mark.parametrize("told", ["0.00", "-100.00", "100.001", "1e2", "100.00 ", "NaN", ""])
async def test_genuine_notice_of_what_is_no_amount_credits_nothing(world: World, told: str) -> None:
    payment = await world.pay("alipay")
    alipay = simulator(world, "alipay")

    def spoiled(notice: Notice) -> list[Notice]:
        return [msgspec.structs.replace(notice, payload={**notice.payload, "total_amount": told})]

    with notices_become(world, "alipay", spoiled):
        await world.phone_pays("alipay", payment)
        await alipay.sender.settle()
        await world.payments.finish()

    [attempt] = await attempts(world, payment)
    assert attempt.status != "paid"
    assert await journals(world, f"payment:{attempt.id}") == 0
    assert await world.balance(world.wallet) == 0
    alipay.sender.clear()

    # Asked, the provider says what was paid.
    await world.until_paid(payment, sweep=True)
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()


@pytest.mark.parametrize("column", ["amount", "amount_refunded", "amount_received"])
async def test_database_itself_refuses_less_than_nothing(world: World, column: str) -> None:
    payment = await paid(world, "alipay")

    async def take() -> None:
        async with world.db.transaction() as tx:
            await tx.run(f"UPDATE payments.payments SET {column} = -1 WHERE id = $1", payment.id)  # type: ignore[arg-type]

    with pytest.raises(Exception, match="check constraint"):
        await take()
