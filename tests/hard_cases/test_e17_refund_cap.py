"""Case 17: refunds never exceed what was captured, however many come at once.

Nor unseen: one that somebody makes at the provider itself is told by its notice, and a person sees to it.
"""

import asyncio

import msgspec
import pytest

from tests.hard_cases.deeds import (
    METHODS,
    attempts,
    behave,
    breaks,
    nothing_moves,
    paid,
    raw_notice,
    refunds,
    rule,
    simulator,
    truth,
)
from tests.serving import Client
from tests.worlds import CONFIRMATIONS, MERCHANT, World, accounts_of
from tillgate.connectors import port
from tillgate.entry import doctor
from tillgate.kernel.money import CNY, USD, Money
from tillgate.payments import breaks as found_breaks
from tillgate.payments.flows import NO_TRACE
from tillgate.payments.model import Attempt, Break, Payment
from tillgate.runtime import notices


async def _refunded(world: World, payment: Payment) -> None:
    async def settled() -> bool:
        return {r.status for r in await refunds(world, payment)} == {"succeeded"}

    await world.until(settled, sweep=True)


@pytest.mark.parametrize("method", METHODS)
async def test_fifty_refunds_at_once_stay_within_the_cap(
    world: World, client: Client, method: str
) -> None:
    payment = await paid(world, method)
    body = {"payment_intent": payment.id, "amount": 1_000}

    answers = await asyncio.gather(*(client.post("/v1/refunds", body) for _ in range(50)))

    refused = [answer.error["code"] for answer in answers if answer.status == 400]
    assert sorted(answer.status for answer in answers) == [200] * 10 + [400] * 40
    assert set(refused) <= {"amount_too_large", "charge_already_refunded"}
    await _refunded(world, payment)
    told = (await truth(world, method))[payment.latest_attempt or ""]
    assert told.refunds == (1_000,) * 10
    assert await world.balance(world.wallet) == 0
    await world.assert_books_hold()


async def test_refunds_that_may_still_be_made_count_and_notices_of_them_count_once(
    world: World, client: Client
) -> None:
    """Their outcome is unknown, and then told many times over."""
    payment = await paid(world, "wechat_pay")
    sender = simulator(world, "wechat_pay").sender
    rule(world, "wechat_pay", "refund", "reset_after", next=2)
    rule(world, "wechat_pay", "notice", "late_notice", seconds=60.0, next=2)
    body = {"payment_intent": payment.id, "amount": 4_000}
    first, second = [await client.post("/v1/refunds", body) for _ in range(2)]
    assert (first.json["status"], second.json["status"]) == ("pending", "pending")

    over = await client.post("/v1/refunds", body)
    assert (over.status, over.error["param"]) == (400, "amount")
    assert (await client.post("/v1/refunds", {**body, "amount": 2_001})).status == 400
    rule(world, "wechat_pay", "notice", "duplicate_notice", next=1)
    rest = await client.post("/v1/refunds", {**body, "amount": 2_000})
    assert rest.status == 200, rest.body

    await _refunded(world, payment)
    simulator(world, "wechat_pay").renotify(payment.latest_attempt or "", 10)
    await sender.settle()
    await world.payments.finish()
    told = (await truth(world, "wechat_pay"))[payment.latest_attempt or ""]
    assert sorted(told.refunds) == [2_000, 4_000, 4_000]
    assert (await world.payment(payment.id)).amount_refunded == 10_000
    assert (await client.post("/v1/refunds", body)).error["code"] == "charge_already_refunded"
    await world.assert_books_hold()


async def test_database_itself_refuses_more_than_was_received(world: World) -> None:
    payment = await paid(world, "alipay")

    async def overdraw() -> None:
        async with world.db.transaction() as tx:
            await tx.run(
                "UPDATE payments.payments SET amount_refunded = 10001 WHERE id = $1", payment.id
            )

    with pytest.raises(Exception, match="check constraint"):
        await overdraw()


# Refunds that we did not order --------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
async def test_refund_made_at_the_provider_is_told_once_and_books_nothing(
    world: World, method: str
) -> None:
    payment = await paid(world, method, 2_000)
    [attempt] = await attempts(world, payment)

    async with nothing_moves(world):
        await _give_back_there(world, attempt, 1_500, "BYHAND1")
        await _until_told(world, 1)
        [found] = await _all_breaks(world)
        assert (found.kind, found.attempt_id) == ("foreign_refund", attempt.id)
        told = "total" if method == "alipay" else "amount"
        currency = payment.currency
        assert found.theirs == {"refund": found.refund_id, told: 1_500, "currency": currency}
        assert found.ours == {"refunded": 0, "currency": currency}

        await _tell_all_again(world)
        await _give_back_there(world, attempt, 300, "BYHAND2")
        await _until_told(world, 2)
        async with world.db.transaction() as tx:
            at = world.clock.now()
            await found_breaks.resolve(tx, found.id, "Anna, by hand.", returned=False, at=at)
        await _tell_all_again(world)
    assert len(await _all_breaks(world)) == 2
    assert await breaks(world) == ["foreign_refund"]
    findings = await doctor.examine(world.db, doctor.everything(world.clock.now()))
    assert {one.check for one in findings if not one.is_healthy} == {"breaks_are_resolved"}


@pytest.mark.parametrize("method", METHODS)
async def test_own_refund_is_no_foreign_one_though_told_before_its_answer(
    world: World, method: str
) -> None:
    payment = await paid(world, method)
    await simulator(world, method).sender.settle()
    before = await _applied(world)
    rule(world, method, "refund", "timeout_after", next=1)

    refunding = asyncio.create_task(world.refund(payment, 2_500))

    async def told() -> bool:
        return await _applied(world) > before

    await world.until(told)
    assert not refunding.done()
    await refunding

    async def made() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(made, sweep=True)
    await world.refund(payment, 1_000)
    await simulator(world, method).sender.settle()
    await world.payments.finish()
    await _tell_all_again(world)
    assert await _all_breaks(world) == []
    behave(world, method)


async def test_own_refund_that_lost_its_mark_at_stripe_is_no_foreign_one(world: World) -> None:
    payment = await paid(world, "card")
    view = await world.refund(payment, 2_500)
    await simulator(world, "card").sender.settle()
    await world.payments.finish()
    before = await _applied(world)

    await _ask_stripe(world, f"refunds/{view.refund.reference}", {"metadata[refund]": ""})
    await simulator(world, "card").sender.settle()
    await world.payments.finish()

    assert await _applied(world) > before
    assert await _all_breaks(world) == []


@pytest.mark.parametrize("method", ["card", "wechat_pay"])
async def test_refund_told_before_we_know_of_the_payment_waits_for_it(
    world: World, method: str
) -> None:
    if method == "card":
        rule(world, "card", "create", "reset_after", next=1)
    rule(world, method, "notice", "lost_notice", probability=1.0)
    payment = await world.pay(method)
    if method != "card":
        await world.phone_pays(method, payment)
    await simulator(world, method).sender.settle()
    behave(world, method)
    [attempt] = await attempts(world, payment)
    reference = await _reference_there(world, attempt)

    await _give_back_there(
        world, msgspec.structs.replace(attempt, reference=reference), 2_500, "BYHAND1"
    )
    await simulator(world, method).sender.settle()
    await world.payments.finish()
    assert await _all_breaks(world) == []

    await world.until_paid(payment, sweep=True)
    await _until_told(world, 1, sweep=True)


async def test_refund_of_an_order_that_is_not_ours_is_none_of_our_business(world: World) -> None:
    """A merchant may sell by other means in the same Stripe account.

    What was opened after the notice, and has no number of Stripe's yet, is not what it tells of.
    """
    rule(world, "card", "create", "reset_before", next=1)
    await world.pay("card")
    async with world.db.transaction() as tx:
        await tx.run(
            "UPDATE payments.attempts SET created_at = created_at + interval '1 hour'"
            " WHERE status = 'unknown' AND reference IS NULL"
        )
    form = {"amount": "900", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa",
            "payment_method_types[0]": "card"}  # fmt: skip
    other = await _ask_stripe(world, "payment_intents", form)
    await _ask_stripe(world, "refunds", {"payment_intent": other["id"], "amount": "400"})
    await simulator(world, "card").sender.settle()
    await world.payments.finish()

    assert await _all_breaks(world) == []
    async with world.db.transaction(readonly=True) as tx:
        assert await tx.all("SELECT note FROM runtime.notices WHERE status <> 'applied'") == []


async def test_wrong_payment_given_back_by_the_runbook_opens_no_second_break(world: World) -> None:
    payment = await world.pay("wechat_pay", 4011)
    await world.phone_pays("wechat_pay", payment)

    async def mismatched() -> bool:
        return await breaks(world) == ["amount"]

    await world.until(mismatched)
    [attempt] = await attempts(world, payment)
    before = await _applied(world)
    await _give_back_there(world, attempt, 4011, "BYHAND1")

    async def told() -> bool:
        return await _applied(world) > before

    await world.until(told)
    assert await breaks(world) == ["amount"]


async def test_foreign_refund_that_comes_back_is_told_as_well(world: World) -> None:
    """Whoever took the value out of the wallet for it has to put it back."""
    card = msgspec.structs.replace(CONFIRMATIONS["card"], payment_method="pm_card_refundFail")
    payment = await paid(world, "card", confirmation=card)
    [attempt] = await attempts(world, payment)

    async with nothing_moves(world):
        await _give_back_there(world, attempt, 1_500, "")
        await _until_told(world, 2)
        await _tell_all_again(world)
    kinds = [one.kind for one in await _all_breaks(world)]
    assert kinds == ["foreign_refund", "foreign_refund_failed"]


async def test_release_of_what_was_not_captured_is_no_refund(world: World) -> None:
    """Stripe's events told it as one until the API version of March 2025."""
    payment = await world.pay("card", capture_method="manual")
    await world.payments.capture(MERCHANT, payment.id, 6_000, NO_TRACE)
    [attempt] = await attempts(world, payment)

    async def hear(told: port.RefundOutcome) -> list[Break]:
        notice = port.ForeignRefund("re_there", told, order_reference=attempt.reference)
        await world.payments.notices._hear(raw_notice(world, "pa_stripe"), notice, None)
        return await _all_breaks(world)

    assert await hear(port.Refunded("re_there", Money(4_000, USD))) == []
    assert await hear(port.RefundPending("re_there")) == []
    [found] = await hear(port.Unknown("unrecognised refund status 'odd'"))
    assert found.theirs == {"refund": "re_there", "said": "unrecognised refund status 'odd'"}
    assert await hear(port.Refunded("re_there", Money(1_000, USD))) == [found]


async def _give_back_there(world: World, attempt: Attempt, amount: int, number: str) -> None:
    """Somebody gives money back at the provider, under a number of their own."""
    if attempt.provider == "stripe":
        form = {"payment_intent": attempt.reference or "", "amount": str(amount)}
        await _ask_stripe(world, "refunds", form)
        return
    account = attempt.provider_account_id
    connector = await world.payments.providers.connector(MERCHANT, account)
    assert port.can(connector, port.Refunding)
    order = port.RefundOrder(
        refund_id=number,
        attempt_id=attempt.id,
        reference=attempt.reference or "",
        amount=Money(amount, CNY),
        total=Money(attempt.amount, CNY),
        reason=None,
        notify_url=f"{world.notices.url}/notices/{MERCHANT}/{account}",
    )
    made = await connector.refund(order, now=world.clock.now())
    assert isinstance(made, port.Refunded | port.RefundPending), made


async def _reference_there(world: World, attempt: Attempt) -> str:
    if attempt.provider != "stripe":
        return (await _look_up(world, attempt)).reference
    found = await _ask_stripe(world, "payment_intents", None)
    return found["data"][0]["id"]


async def _look_up(world: World, attempt: Attempt) -> port.Paid:
    told = await world.payments.providers.look_up(attempt)
    assert isinstance(told, port.Paid)
    return told


async def _ask_stripe(world: World, path: str, form: dict[str, str] | None) -> dict:
    """Use the account as its dashboard does."""
    opened = accounts_of(world.running.merchants_file)
    config = next(each.config for each in opened if each.account.provider == "stripe")
    stripe = msgspec.json.decode(config)
    headers = {"Authorization": f"Bearer {stripe['secret_key']}"}
    method, url = "GET" if form is None else "POST", f"{stripe['base_url']}/v1/{path}"
    async with world.session.request(method, url, data=form, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def _all_breaks(world: World) -> list[Break]:
    async with world.db.transaction(readonly=True) as tx:
        return (await found_breaks.listed(tx, with_resolved=True))[::-1]


async def _until_told(world: World, number: int, *, sweep: bool = False) -> None:
    async def told() -> bool:
        return len(await _all_breaks(world)) == number

    await world.until(told, sweep=sweep)


async def _applied(world: World) -> int:
    async with world.db.transaction(readonly=True) as tx:
        return await tx.value("SELECT count(*) FROM runtime.notices WHERE status = 'applied'")


async def _tell_all_again(world: World) -> None:
    """Every notice is heard once more, as if it came anew."""
    await world.payments.finish()
    async with world.db.transaction() as tx:
        for row in await tx.all("SELECT id FROM runtime.notices"):
            await notices.put_back(tx, row["id"], at=world.clock.now())
    await world.sweep()
