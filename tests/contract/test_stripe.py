"""What is Stripe's own: cards, two-step charges, 3-D Secure, saved cards, finding without search."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from simulators.common.faults import Fault, FaultKind, Rule
from tests.contract.worlds import CLOCK, World
from tillgate.connectors.port import (
    AttemptNotice,
    CaptureRefused,
    Capturing,
    Charge,
    Closed,
    Connector,
    Declined,
    NotFound,
    NotSent,
    Outcome,
    Paid,
    Refunded,
    RefundFailed,
    RefundNotice,
    RefundPending,
    Unknown,
    Vaulting,
    Waiting,
)
from tillgate.connectors.registry import build
from tillgate.kernel.money import JPY, USD, Money


@pytest.fixture
def provider() -> str:
    return "stripe"


def _card(world: World, alias: str, minor: int = 2000, **fields: Any) -> Charge:
    return world.charge_of(minor, payment_method=f"pm_card_{alias}", **fields)


async def _capture(world: World, charge: Charge, reference: str, minor: int) -> Outcome:
    assert isinstance(world.connector, Capturing)
    amount = Money(minor, charge.amount.currency)
    return await world.connector.capture(charge.attempt_id, reference, amount, now=CLOCK.now())


async def test_a_good_card_pays_at_once_and_may_be_shown(world: World) -> None:
    outcome = await world.charge(_card(world, "visa"))

    assert isinstance(outcome, Paid)
    assert outcome.amount == Money(2000, USD)
    assert (outcome.instrument["brand"], outcome.instrument["last4"]) == ("visa", "4242")


async def test_yen_have_no_decimals(world: World) -> None:
    outcome = await world.charge(_card(world, "mastercard", amount=Money(500, JPY)))

    assert isinstance(outcome, Paid)
    assert outcome.amount == Money(500, JPY)


@pytest.mark.parametrize(
    ("alias", "code", "decline_code"),
    [
        ("chargeDeclined", "card_declined", "generic_decline"),
        ("visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
async def test_a_decline_says_why(world: World, alias: str, code: str, decline_code: str) -> None:
    charge = _card(world, alias)

    outcome = await world.charge(charge)
    found = await world.look_up(charge)

    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.decline_code) == (code, decline_code)
    assert outcome.reference is not None
    assert isinstance(found, Declined)
    assert (found.code, found.decline_code) == (code, decline_code)


async def test_a_card_nobody_knows_is_declined_and_no_card_is_not_sent(world: World) -> None:
    unknown = await world.charge(_card(world, "nobody"))
    none = await world.charge(world.charge_of(payment_method=None))

    assert isinstance(unknown, Declined)
    assert unknown.code == "resource_missing"
    assert isinstance(none, NotSent)


async def test_a_wrong_key_is_refused_unprocessed(world: World) -> None:
    account = {**world.account, "secret_key": "sk_test_somebody_else"}
    connector = build("stripe", account, world.transport)

    outcome = await connector.charge(_card(world, "visa"), now=CLOCK.now())

    assert isinstance(outcome, NotSent)


async def test_an_absent_customer_who_must_prove_himself_is_declined(world: World) -> None:
    charge = _card(world, "authenticationRequired", off_session=True)

    outcome = await world.charge(charge)

    assert isinstance(outcome, Declined)
    assert outcome.code == "authentication_required"


async def test_reserved_money_is_taken_in_part_and_the_rest_released(world: World) -> None:
    charge = _card(world, "visa", capture=False)

    reserved = await world.charge(charge)
    assert isinstance(reserved, Waiting)
    assert reserved.reference is not None
    too_much = await _capture(world, charge, reserved.reference, 2001)
    taken = await _capture(world, charge, reserved.reference, 1500)
    again = await _capture(world, charge, reserved.reference, 1500)

    assert (reserved.on, reserved.amount) == ("capture", Money(2000, USD))
    assert isinstance(too_much, CaptureRefused), "the money stays reserved"
    assert too_much.code == "amount_too_large"
    assert isinstance(taken, Paid)
    assert taken.amount == Money(1500, USD)
    assert again == taken


async def test_a_lost_answer_to_a_capture_is_unknown_until_looked_up(world: World) -> None:
    charge = _card(world, "visa", capture=False)
    reserved = await world.charge(charge)
    assert isinstance(reserved, Waiting)
    assert reserved.reference is not None
    world.strike(FaultKind.TIMEOUT_AFTER, "*capture*")

    outcome = await _capture(world, charge, reserved.reference, 2000)

    assert isinstance(outcome, Unknown)
    assert isinstance(await world.look_up(charge, reserved.reference), Paid)


async def test_reserved_money_is_released_by_closing(world: World) -> None:
    charge = _card(world, "visa", capture=False)
    reserved = await world.charge(charge)
    assert isinstance(reserved, Waiting)
    assert reserved.reference is not None

    assert await world.close(charge) == Closed()
    late = await _capture(world, charge, reserved.reference, 2000)

    assert isinstance(late, Declined)
    assert late.code == "order_closed"


async def test_an_order_is_found_though_the_search_lags_and_is_many_pages_back(
    world: World,
) -> None:
    charge = _card(world, "visa")
    world.strike(FaultKind.RESET_AFTER, "create")
    assert isinstance(await world.charge(charge), Unknown)
    for _ in range(120):
        await world.charge(_card(world, "visa"))
    search_fails = Rule("payment_intents.search", Fault(FaultKind.HTTP_500_BEFORE), next=9)
    world.simulator.plan.add(search_fails)
    asked: list[str] = []

    def observe(provider: str, operation: str, outcome_class: str, seconds: float) -> None:
        assert provider == "stripe"
        assert seconds >= 0
        asked.append(f"{operation} {outcome_class}")

    connector = build("stripe", world.account, world.transport, observe)
    since = world.opened[charge.attempt_id]
    found = await connector.look_up(
        charge.attempt_id, None, charge.amount, since=since, now=CLOCK.now()
    )

    assert isinstance(found, Paid)
    assert asked == ["intent_search http_5xx", "intent_list ok", "intent_list ok", "account ok"]


async def test_not_found_is_said_only_by_the_whole_list(world: World) -> None:
    for _ in range(3):
        await world.charge(_card(world, "visa"))
    charge = _card(world, "visa")
    world.opened[charge.attempt_id] = CLOCK.now()

    assert await world.look_up(charge) == NotFound()
    world.strike(FaultKind.HTTP_500_BEFORE, "*list*", times=9)
    world.strike(FaultKind.HTTP_500_BEFORE, "query", times=9)
    assert isinstance(await world.look_up(charge), Unknown)


async def test_a_reference_stripe_does_not_know_is_unknown(world: World) -> None:
    charge = _card(world, "visa")
    world.opened[charge.attempt_id] = CLOCK.now()

    assert isinstance(await world.look_up(charge, "pi_none"), Unknown)


async def test_looking_up_moves_no_money(world: World) -> None:
    charge = _card(world, "visa")
    world.opened[charge.attempt_id] = CLOCK.now() - timedelta(minutes=1)

    for _ in range(3):
        assert await world.look_up(charge) == NotFound()

    assert world.simulator.phone_orders() == []


@pytest.mark.parametrize(
    ("alias", "first", "last"),
    [("pendingRefund", RefundPending, Refunded), ("refundFail", Refunded, RefundFailed)],
)
async def test_a_card_decides_how_its_refund_goes(
    world: World, alias: str, first: type, last: type
) -> None:
    charge = _card(world, alias)
    paid = await world.charge(charge)
    assert isinstance(paid, Paid)
    order = world.refund_of(charge, paid, 700)

    outcome = await world.refund(order)
    world.simulator.finish_refund(order.refund_id, "success" if last is Refunded else "abnormal")
    found = await world.look_up_refund(order, getattr(outcome, "reference", None))
    await world.simulator.sender.settle()
    told = [each for each in await world.notices(1) if isinstance(each, RefundNotice)]

    assert isinstance(outcome, first)
    assert isinstance(found, last)
    assert {each.refund_id for each in told} == {order.refund_id}
    assert any(isinstance(each.outcome, last) for each in told)


async def test_a_saved_card_is_described(world: World) -> None:
    assert isinstance(world.connector, Vaulting)
    shown = await world.connector.describe_method("pm_card_visa", now=CLOCK.now())
    none = await world.connector.describe_method("pm_none", now=CLOCK.now())
    outside = await world.connector.describe_method("../charges", now=CLOCK.now())

    assert isinstance(shown, dict)
    assert (shown["brand"], shown["last4"]) == ("visa", "4242")
    assert none == NotFound()
    assert not isinstance(outside, dict)


# Whose money it is ---------------------------------------------------------------------------------


async def test_it_is_said_into_which_account_was_paid(world: World) -> None:
    connector = _with_account(world, None)

    paid = await world.charge(_card(world, "visa"))
    reserved = await world.charge(_card(world, "visa", capture=False))
    learned = await connector.charge(_card(world, "visa"), now=CLOCK.now())

    for outcome in (paid, reserved, learned):
        assert isinstance(outcome, Paid | Waiting)
        assert outcome.account == world.account["account"]
    assert _account_of(world.connector) == _account_of(connector) == world.account["account"]


async def test_a_key_that_opens_another_account_charges_nothing(world: World) -> None:
    connector = _with_account(world, "acct_ours")

    outcome = await connector.charge(_card(world, "visa"), now=CLOCK.now())

    assert isinstance(outcome, NotSent)
    assert world.simulator.phone_orders() == []


async def test_what_was_paid_into_the_account_of_another_key_says_so(world: World) -> None:
    charge = _card(world, "visa")
    await world.charge(charge)
    since = world.opened[charge.attempt_id]

    found = await _with_account(world, "acct_ours").look_up(
        charge.attempt_id, None, charge.amount, since=since, now=CLOCK.now()
    )

    assert isinstance(found, Paid)
    assert found.account == world.account["account"] != "acct_ours"


async def test_money_for_another_account_says_so(world: World) -> None:
    paid = await world.charge(_card(world, "visa", 4025))
    reserved = await world.charge(_card(world, "visa", 4025, capture=False))

    assert isinstance(paid, Paid)
    assert isinstance(reserved, Waiting)
    assert paid.account == reserved.account == "acct_somebody_else"


async def test_an_order_of_another_installation_says_so(world: World) -> None:
    """Somebody else's order bears our attempt's number and the mark of another account."""
    charge = _card(world, "visa")
    world.opened[charge.attempt_id] = CLOCK.now()
    await _make_twin(world, charge, account="acct_of_another_installation")

    found = await world.look_up(charge)

    assert isinstance(found, Paid)
    assert found.account == "acct_of_another_installation"


async def test_a_key_that_may_not_ask_for_its_account_charges_all_the_same(world: World) -> None:
    refused = Rule("account.retrieve", Fault(FaultKind.HTTP_500_BEFORE))
    world.simulator.plan.add(refused)
    asked: list[str] = []

    def observe(_: str, operation: str, __: str, ___: float) -> None:
        asked.append(operation)

    connector = build("stripe", world.account, world.transport, observe)
    outcomes = [await connector.charge(_card(world, "visa"), now=CLOCK.now()) for _ in range(3)]

    # The order itself still bears our mark.
    assert {getattr(outcome, "account", None) for outcome in outcomes} == {world.account["account"]}
    assert asked.count("account") == 1, "not before each of them"


@pytest.mark.parametrize("is_searchable", [True, False])
async def test_of_two_orders_that_bear_our_number_none_is_chosen(
    world: World, *, is_searchable: bool
) -> None:
    charge = _card(world, "visa", capture=False)
    reserved = await world.charge(charge)
    assert isinstance(reserved, Waiting)
    twin = await _make_twin(world, charge)
    if not is_searchable:
        search_fails = Rule("payment_intents.search", Fault(FaultKind.HTTP_500_BEFORE), next=9)
        world.simulator.plan.add(search_fails)

    found = await world.look_up(charge)
    ended = await world.close(charge)
    known = await world.look_up(charge, reserved.reference)

    for outcome in (found, ended):
        assert isinstance(outcome, Unknown)
        assert set(outcome.claimants) == {reserved.reference, twin}
    assert isinstance(known, Waiting), "neither was canceled, and ours is found by its id"
    assert (known.reference, known.on) == (reserved.reference, "capture")


async def test_a_notice_says_which_order_it_is_about(world: World) -> None:
    charge = _card(world, "visa")
    paid = await world.charge(charge)
    twin = await _make_twin(world, charge)
    assert isinstance(paid, Paid)

    await world.simulator.sender.settle()
    told = [each for each in await world.notices(2) if isinstance(each, AttemptNotice)]

    assert {each.attempt_id for each in told} == {charge.attempt_id}
    assert {each.reference for each in told} == {paid.reference, twin}


async def _make_twin(world: World, charge: Charge, account: str | None = None) -> str:
    """Somebody makes an order that bears the attempt's number; return its id."""
    form = {
        "amount": "2000",
        "currency": "usd",
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "payment_method_types[0]": "card",
        "metadata[attempt]": charge.attempt_id,
        "metadata[account]": account or world.account["account"],
    }
    headers = {"Authorization": f"Bearer {world.account['secret_key']}"}
    url = f"{world.account['base_url']}/v1/payment_intents"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, data=form) as made,
    ):
        assert made.status == 200
        return (await made.json())["id"]


def _with_account(world: World, account: str | None) -> Connector:
    return build("stripe", {**world.account, "account": account}, world.transport)


def _account_of(connector: Connector) -> str | None:
    return getattr(connector, "account", None)
