"""Stripe's Python SDK, unmodified but for the base address, drives the API."""

import asyncio
import json
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest
import stripe
from stripe import StripeClient

from tillgate.entry.subscriptions import CATALOGUE
from tillgate.webhooks import signing

Result = TypeVar("Result")


@pytest.fixture
def sdk(sdk_base, teahouse) -> StripeClient:
    return StripeClient(teahouse.secret, base_addresses={"api": sdk_base}, max_network_retries=0)


async def drive(script: Callable[[], Result]) -> Result:
    """Run a script of the (blocking) SDK beside the server's loop."""
    return await asyncio.to_thread(script)


async def test_customers_and_auto_paging(sdk) -> None:
    def script() -> None:
        c = sdk.v1
        made = [c.customers.create({"name": f"c{n}", "metadata": {"n": str(n)}}) for n in range(7)]
        assert all(type(one) is stripe.Customer for one in made)
        page = c.customers.list({"limit": 3})
        assert page.has_more
        found = [one.id for one in page.auto_paging_iter()]
        assert found == [one.id for one in reversed(made)]
        back = c.customers.list({"limit": 2, "ending_before": made[0].id})
        assert [one.id for one in back.auto_paging_iter()] == [one.id for one in made[1:]]
        changed = c.customers.update(made[0].id, {"email": "li@example.com", "metadata": {"n": ""}})
        assert changed.metadata.to_dict() == {}
        assert c.customers.list({"email": "li@example.com"}).data[0].id == made[0].id
        card = c.payment_methods.attach("pm_card_visa", {"customer": made[0].id})
        assert card.card.last4 == "4242"
        assert c.customers.payment_methods.list(made[0].id).data[0].id == card.id
        assert c.payment_methods.detach(card.id).customer is None
        gone = c.customers.delete(made[0].id)
        assert gone.deleted
        assert c.customers.retrieve(made[0].id).deleted

    await drive(script)


async def test_payment_intents_refunds_and_balance(sdk) -> None:
    def script() -> None:
        c = sdk.v1
        customer = c.customers.create({"name": "Li"})
        paid = c.payment_intents.create(
            {
                "amount": 1099,
                "currency": "usd",
                "customer": customer.id,
                "payment_method": "pm_card_mastercard",
                "confirm": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "metadata": {"order": "6735"},
                "shipping": {"name": "Li", "address": {"line1": "1 Tea Street"}},
                "expand": ["latest_charge", "customer"],
            }
        )
        assert paid.status == "succeeded"
        assert type(paid.latest_charge) is stripe.Charge
        assert paid.latest_charge.payment_method_details.card.brand == "mastercard"
        assert paid.customer.name == "Li"
        assert paid.shipping.address.line1 == "1 Tea Street"
        refund = c.refunds.create({"payment_intent": paid.id, "amount": 99, "reason": "duplicate"})
        assert refund.status == "succeeded"
        rest = c.refunds.create({"charge": paid.latest_charge.id})
        assert rest.amount == 1000
        assert c.refunds.update(rest.id, {"metadata": {"a": "b"}}).metadata["a"] == "b"
        assert [one.id for one in c.refunds.list({"payment_intent": paid.id})] == [
            rest.id,
            refund.id,
        ]
        with pytest.raises(stripe.InvalidRequestError) as refused:
            c.refunds.cancel(rest.id)
        assert refused.value.http_status == 400
        assert c.charges.retrieve(paid.latest_charge.id).refunded
        balance = c.balance.retrieve()
        assert (balance.available[0].amount, balance.pending[0].amount) == (0, 0)
        transactions = c.balance_transactions.list({"limit": 2})
        assert [one.net for one in transactions.auto_paging_iter()] == [-1000, -99, 1099]
        assert c.balance_transactions.retrieve(transactions.data[0].id).type == "refund"

        held = c.payment_intents.create(
            {"amount": 500, "currency": "usd", "capture_method": "manual"}
        )
        assert held.status == "requires_payment_method"
        held = c.payment_intents.update(held.id, {"description": "two pots"})
        held = c.payment_intents.confirm(held.id, {"payment_method": "pm_card_visa"})
        assert held.status == "requires_capture"
        assert c.payment_intents.capture(held.id, {"amount_to_capture": 300}).amount_received == 300
        other = c.payment_intents.create({"amount": 500, "currency": "usd"})
        assert c.payment_intents.cancel(other.id).status == "canceled"
        assert c.payment_intents.retrieve(other.id).status == "canceled"
        assert [one.id for one in c.payment_intents.list({"limit": 2})] == [other.id, held.id]

    await drive(script)


async def test_errors_have_the_classes_they_should(sdk, sdk_base) -> None:
    def ask(path: str, **params: object) -> dict:
        return dict(sdk.raw_request("post", path, **params).data)

    def script() -> None:
        c = sdk.v1
        with pytest.raises(stripe.CardError) as declined:
            c.payment_intents.create(
                {"amount": 100, "currency": "usd", "confirm": True,
                 "payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
            )  # fmt: skip
        assert declined.value.code == "card_declined"
        assert declined.value.error.decline_code == "insufficient_funds"
        assert declined.value.error.payment_intent.status == "requires_payment_method"
        with pytest.raises(stripe.InvalidRequestError) as missing:
            c.payment_intents.retrieve("pi_nothing")
        assert missing.value.http_status == 404
        assert missing.value.code == "resource_missing"
        with pytest.raises(stripe.InvalidRequestError) as wrong:
            c.payment_intents.create({"amount": -5, "currency": "usd"})
        assert wrong.value.param == "amount"
        assert wrong.value.request_id.startswith("req_")
        with pytest.raises(stripe.AuthenticationError):
            StripeClient("sk_test_nobody", base_addresses={"api": sdk_base}).v1.customers.list()
        key = {"idempotency_key": "the-same"}
        c.customers.create({"name": "Li"}, key)
        with pytest.raises(stripe.IdempotencyError):
            c.customers.create({"name": "Wang"}, key)
        owner = c.customers.create({"name": "Li"}).id
        wallet = ask("/v1/wallets", customer=owner, currency="cny")["id"]
        with pytest.raises(stripe.InvalidRequestError) as poor:
            ask(f"/v1/wallets/{wallet}/spend", amount=1, currency="cny")
        assert poor.value.code == "balance_insufficient"

    await drive(script)


async def test_lost_answers_are_repeated_and_done_once(sdk_base, teahouse, faulty, db) -> None:
    client = StripeClient(teahouse.secret, base_addresses={"api": sdk_base}, max_network_retries=2)
    params = {
        "amount": 700, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True
    }  # fmt: skip

    faulty.faults = [("after", 500), ("before", 409)]
    paid = await drive(lambda: client.v1.payment_intents.create(params))
    faulty.faults = [("after", 500), ("after", 500)]
    customer = await drive(lambda: client.v1.customers.create({"name": "Li"}))
    faulty.faults = [("before", 500)] * 3
    with pytest.raises(stripe.APIError):
        await drive(client.v1.customers.list)

    assert paid.status == "succeeded"
    assert customer.last_response.headers["idempotent-replayed"] == "true"
    assert faulty.seen.count("POST /v1/payment_intents") == 3
    async with db.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM payments.attempts") == 1
        assert await tx.value("SELECT count(*) FROM customers.customers") == 1


async def test_events_endpoints_and_construct_event(sdk) -> None:
    def script() -> tuple[stripe.WebhookEndpoint, stripe.Event]:
        c = sdk.v1
        endpoint = c.webhook_endpoints.create(
            {"url": "http://127.0.0.1:9/hooks", "enabled_events": ["payment_intent.succeeded"]}
        )
        assert endpoint.secret.startswith("whsec_")
        c.webhook_endpoints.update(endpoint.id, {"enabled_events": ["*"], "disabled": True})
        assert c.webhook_endpoints.retrieve(endpoint.id).status == "disabled"
        assert len(c.webhook_endpoints.list().data) == 1
        c.payment_intents.create(
            {"amount": 100, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
        )
        events = c.events.list({"type": "payment_intent.succeeded"})
        event = c.events.retrieve(events.data[0].id)
        assert type(event.data.object) is stripe.PaymentIntent
        assert c.webhook_endpoints.delete(endpoint.id).deleted
        return endpoint, event

    endpoint, event = await drive(script)
    body = json.dumps(event.to_dict()).encode()
    headers = signing.headers(event.id, event.created, body, [endpoint.secret])
    read = stripe.Webhook.construct_event(
        body, headers["Stripe-Signature"], endpoint.secret, tolerance=10**9
    )
    assert read.type == "payment_intent.succeeded"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", headers["Stripe-Signature"], endpoint.secret)
    assert "payment.succeeded" in CATALOGUE
    assert msgspec.json.decode(body)["data"]["sequence"] > 0


async def test_the_module_style(sdk_base, teahouse, monkeypatch) -> None:
    monkeypatch.setattr(stripe, "api_key", teahouse.secret)
    monkeypatch.setattr(stripe, "api_base", sdk_base)

    def script() -> None:
        customer = stripe.Customer.create(name="Li", preferred_locales=["zh", "en"])
        assert customer.preferred_locales == ["zh", "en"]
        customer = stripe.Customer.modify(customer.id, description="tea")
        intent = stripe.PaymentIntent.create(
            amount=2000, currency="usd", customer=customer.id, payment_method_types=["card"]
        )
        intent = intent.confirm(payment_method="pm_card_visa")
        assert intent.status == "succeeded"
        assert stripe.Refund.create(payment_intent=intent.id).status == "succeeded"
        assert stripe.Charge.list(payment_intent=intent.id).data[0].refunded
        assert stripe.Balance.retrieve().object == "balance"
        assert {event.type for event in stripe.Event.list(limit=100)} >= {"charge.refunded"}

    await drive(script)
