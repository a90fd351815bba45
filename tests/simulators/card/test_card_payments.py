"""The official SDK pays, captures, cancels and is declined, as it would be at Stripe."""

import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest
import stripe


def test_create_and_confirm_pays(world: Any) -> None:
    intent = world.pay(10_000, metadata={"attempt": "att_1"}, description="Top-up")

    assert (intent.status, intent.amount, intent.amount_received) == ("succeeded", 10_000, 10_000)
    assert intent.metadata["attempt"] == "att_1"
    charge = world.stripe.v1.charges.retrieve(intent.latest_charge)
    assert (charge.paid, charge.captured, charge.amount_captured) == (True, True, 10_000)
    assert charge.payment_method_details.card.last4 == "4242"


def test_create_then_confirm_then_retrieve(world: Any) -> None:
    intents = world.stripe.v1.payment_intents
    intent = intents.create({"amount": 500, "currency": "eur"})
    assert intent.status == "requires_payment_method"

    paid = intents.confirm(
        intent.id, {"payment_method": "pm_card_mastercard", "return_url": "https://shop.test/back"}
    )

    assert paid.status == "succeeded"
    shown = intents.retrieve(intent.id, {"expand": ["latest_charge.balance_transaction"]})
    assert shown.latest_charge.payment_method_details.card.brand == "mastercard"
    assert shown.latest_charge.balance_transaction.fee == 45


def test_automatic_methods_ask_for_a_return_url(world: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.stripe.v1.payment_intents.create(
            {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
        )

    assert refused.value.param == "return_url"
    assert world.stripe.v1.payment_intents.list().data == []


def test_partial_capture_lets_the_rest_go(world: Any) -> None:
    intent = world.pay(10_000, capture_method="manual")
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 10_000)
    intents = world.stripe.v1.payment_intents

    with pytest.raises(stripe.InvalidRequestError) as refused:
        intents.capture(intent.id, {"amount_to_capture": 10_001})
    captured = intents.capture(intent.id, {"amount_to_capture": 7_000})

    assert refused.value.code == "amount_too_large"
    assert (captured.status, captured.amount_received) == ("succeeded", 7_000)
    assert captured.amount_capturable == 0
    with pytest.raises(stripe.InvalidRequestError) as again:
        intents.capture(intent.id)
    assert again.value.code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError):
        world.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 7_001})


def test_cancel_lets_an_authorisation_go(world: Any) -> None:
    intent = world.pay(10_000, capture_method="manual")
    intents = world.stripe.v1.payment_intents

    canceled = intents.cancel(intent.id, {"cancellation_reason": "abandoned"})

    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert world.stripe.v1.charges.retrieve(intent.latest_charge).refunded
    with pytest.raises(stripe.InvalidRequestError) as refused:
        intents.confirm(intent.id, {"return_url": "https://shop.test/"})
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.error.payment_intent.status == "canceled"


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
        (
            "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
            "card_declined",
            "card_velocity_exceeded",
        ),
        ("pm_card_radarBlock", "card_declined", "fraudulent"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ],
)
def test_declines_carry_their_code(world: Any, card: str, code: str, decline_code: str) -> None:
    with pytest.raises(stripe.CardError) as declined:
        world.pay(card=card)

    error = declined.value
    assert (error.http_status, error.code) == (402, code)
    assert error.error.decline_code == decline_code
    intent = error.error.payment_intent
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.code == code
    charge = world.stripe.v1.charges.retrieve(error.error.charge)
    assert (charge.status, charge.failure_code) == ("failed", code)
    assert world.simulator.accounts["acct_demo"].books.entries.rows == []


def test_declined_intent_can_be_paid_with_another_card(world: Any) -> None:
    with pytest.raises(stripe.CardError) as declined:
        world.pay(card="pm_card_visa_chargeDeclined")
    intent_id = declined.value.error.payment_intent.id

    paid = world.stripe.v1.payment_intents.confirm(intent_id, {"payment_method": "pm_card_visa"})

    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    assert len(world.stripe.v1.charges.list({"payment_intent": intent_id}).data) == 2


def _open(url: str, deed: str | None = None) -> tuple[str, str]:
    """Open a page, or press a button on it; return the address it leads to, and the text."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    data = None if deed is None else urllib.parse.urlencode({"deed": deed}).encode()
    try:
        with urllib.request.build_opener(Stay).open(url, data, timeout=10) as page:
            return page.url, page.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.headers.get("Location", ""), answer.read().decode()


@pytest.mark.parametrize(
    ("card", "deed", "result", "status", "code"),
    [
        ("pm_card_authenticationRequired", "approve", "succeeded", "succeeded", None),
        (
            "pm_card_authenticationRequired",
            "fail",
            "failed",
            "requires_payment_method",
            "payment_intent_authentication_failure",
        ),
        (
            "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
            "approve",
            "failed",
            "requires_payment_method",
            "card_declined",
        ),
    ],
)
def test_challenge_is_answered_by_a_person(
    world: Any, card: str, deed: str, result: str, status: str, code: str | None
) -> None:
    intent = world.pay(card=card, return_url="https://shop.test/back?order=7")
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    url = intent.next_action.redirect_to_url.url

    _, page = _open(url)
    target, _ = _open(url, deed)

    assert "$100.00" in page
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)
    assert query["order"] == ["7"]
    assert query["payment_intent"] == [intent.id]
    assert query["redirect_status"] == [result]
    after = world.stripe.v1.payment_intents.retrieve(intent.id)
    assert after.status == status
    assert (after.last_payment_error.code if after.last_payment_error else None) == code


def test_challenge_page_needs_its_key(world: Any) -> None:
    intent = world.pay(card="pm_card_authenticationRequired", return_url="https://shop.test/")

    url = intent.next_action.redirect_to_url.url.partition("?")[0] + "?key=wrong"
    _, page = _open(url, "approve")

    assert "100.00" not in page
    assert world.stripe.v1.payment_intents.retrieve(intent.id).status == "requires_action"


def test_off_session_cannot_be_challenged(world: Any) -> None:
    with pytest.raises(stripe.CardError) as declined:
        world.pay(card="pm_card_authenticationRequired", off_session=True)

    assert declined.value.code == "authentication_required"
    assert declined.value.error.payment_intent.status == "requires_payment_method"


def test_payer_can_pay_an_open_intent_by_hand(world: Any) -> None:
    intent = world.stripe.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "metadata": {"attempt": "att_9"}}
    )

    shown = world.control("orders/att_9/pay")

    assert (shown["status"], shown["id"]) == ("paid", intent.id)
    assert world.stripe.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_card_numbers_and_tokens(world: Any) -> None:
    methods = world.stripe.v1.payment_methods
    by_token = methods.create({"type": "card", "card": {"token": "tok_visa"}})
    by_number: Any = {"number": "5555555555554444", "exp_month": 4, "exp_year": 2031, "cvc": "123"}
    by_number = methods.create({"type": "card", "card": by_number})

    assert (by_token.card.last4, by_number.card.brand) == ("4242", "mastercard")
    assert world.pay(card=by_number.id).payment_method == by_number.id
    for number, code in (("4242424242424241", "incorrect_number"), ("4012888888881881", None)):
        card: Any = {"number": number, "exp_month": 4, "exp_year": 2031}
        with pytest.raises(stripe.CardError) as refused:
            methods.create({"type": "card", "card": card})
        assert code is None or refused.value.code == code


def test_attach_refuses_what_will_not_pay(world: Any) -> None:
    customer = world.stripe.v1.customers.create({"email": "li@example.test", "name": "Li"})
    methods = world.stripe.v1.payment_methods

    kept = methods.attach("pm_card_visa", {"customer": customer.id})
    with pytest.raises(stripe.CardError):
        methods.attach("pm_card_visa_chargeDeclined", {"customer": customer.id})

    assert kept.customer == customer.id
    listed = world.stripe.v1.customers.payment_methods.list(customer.id)
    assert [method.id for method in listed.data] == [kept.id]
    assert world.stripe.v1.customers.retrieve(customer.id).email == "li@example.test"


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({"amount": 100}, "parameter_missing", "currency"),
        ({"amount": "ten", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 10, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": -5, "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 100_000_000, "currency": "usd"}, "amount_too_large", "amount"),
        ({"amount": 100, "currency": "usd", "colour": "red"}, "parameter_unknown", "colour"),
        ({"amount": 100, "currency": "us"}, None, "currency"),
        ({"amount": 100, "currency": "usd", "customer": "cus_1"}, "resource_missing", "customer"),
    ],
)
def test_bad_parameters_are_named(world: Any, params: Any, code: str | None, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.stripe.v1.payment_intents.create(params)

    assert (refused.value.code, refused.value.param) == (code, param)
    assert world.stripe.v1.payment_intents.list().data == []


def test_keys_open_their_own_account_only(world: Any) -> None:
    intent = world.pay()

    with pytest.raises(stripe.AuthenticationError) as stranger:
        world.client("sk_test_nobody_at_all").v1.balance.retrieve()
    with pytest.raises(stripe.InvalidRequestError) as missing:
        world.client("sk_test_other").v1.payment_intents.retrieve(intent.id)

    assert "nobody_at" not in str(stranger.value)
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


def test_basic_authentication_works_as_with_curl(world: Any) -> None:
    passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
    passwords.add_password(None, world.url, "sk_test_demo", "", is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))

    with opener.open(f"{world.url}/v1/balance", timeout=10) as answer:
        headers = answer.headers

    assert answer.status == 200
    assert headers["Request-Id"].startswith("req_")


def test_card_nobody_kept_cannot_be_charged_again(world: Any) -> None:
    first = world.pay()

    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.pay(card=first.payment_method)

    assert refused.value.param == "payment_method"
    assert len(world.stripe.v1.payment_intents.list().data) == 1


def test_kept_card_is_charged_again_without_its_holder(world: Any) -> None:
    customer = world.stripe.v1.customers.create().id
    first = world.pay(
        card="pm_card_authenticationRequiredOnSetup",
        customer=customer,
        setup_future_usage="off_session",
        return_url="https://shop.test/",
    )
    _open(first.next_action.redirect_to_url.url, "approve")
    kept = world.stripe.v1.customers.payment_methods.list(customer).data[0].id

    again = world.pay(card=kept, customer=customer, off_session=True)

    assert again.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError):
        world.pay(card=kept)


@pytest.mark.parametrize(
    ("card", "status", "last"),
    [
        ("pm_card_sim_processing", "succeeded", "payment_intent.succeeded"),
        (
            "pm_card_sim_processingFails",
            "requires_payment_method",
            "payment_intent.payment_failed",
        ),
    ],
)
def test_payment_in_processing_ends_by_itself(
    world: Any, card: str, status: str, last: str
) -> None:
    world.hear("payment_intent.processing", last)
    intent = world.pay(card=card)
    assert intent.status == "processing"

    world.poll(lambda: len(world.ear.heard) == 2)

    assert set(world.ear.kinds) == {"payment_intent.processing", last}
    assert world.stripe.v1.payment_intents.retrieve(intent.id).status == status
