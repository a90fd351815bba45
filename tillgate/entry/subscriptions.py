"""Who hears what: the one table of facts, their subscribers and their names on the wire.

A subscriber hears facts in batches, inside the relay's transaction with the mark that they have
been heard. Rooms below take plain arguments; this table may see both sides and translates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from tillgate.customers import wire as customer_wire
from tillgate.customers.model import Customer, PaymentMethod
from tillgate.entry.relay import Shown, Table, Told
from tillgate.kernel.facts import Fact, Headline
from tillgate.payments import shown as payment_shown
from tillgate.payments.model import Charge, Payment, RefundView
from tillgate.runtime import telemetry
from tillgate.runtime.db import Tx
from tillgate.topups import commands as topups
from tillgate.topups import wire as top_up_wire
from tillgate.topups.model import TopUpView
from tillgate.wallets import commands as wallets
from tillgate.wallets import wire as wallet_wire
from tillgate.wallets.events import WalletFact
from tillgate.wallets.model import RecordMovement
from tillgate.webhooks import commands as webhooks
from tillgate.webhooks.model import Catalogue, EventKind, Show

Thing = TypeVar("Thing")


def shown(kind: type[Thing], show: Callable[..., object]) -> Show:
    """Return what draws a fact's data: read it as `kind`, show it as the API does."""
    decoder = msgspec.json.Decoder(kind)

    def draw(data: bytes, livemode: bool) -> dict[str, Any]:  # noqa: FBT001
        return msgspec.to_builtins(show(decoder.decode(data), livemode=livemode))

    return draw


def _show_wallet(fact: WalletFact, *, livemode: bool) -> dict[str, Any]:
    """The wallet, with the movement or the hold that the event is about beside it."""
    parts: dict[str, object] = {}
    if fact.transaction is not None:
        parts["transaction"] = wallet_wire.show_transaction(fact.transaction, livemode=livemode)
    if fact.hold is not None:
        parts["hold"] = wallet_wire.show_hold(fact.hold, livemode=livemode)
    shown_wallet = msgspec.to_builtins(wallet_wire.show_wallet(fact.wallet, livemode=livemode))
    return {**shown_wallet, **msgspec.to_builtins(parts)}


def _kinds(show: Show, names: dict[str, str]) -> dict[str, EventKind]:
    return {name: EventKind(event_type, show) for name, event_type in names.items()}


#: What a fact is called on the wire. What is not here is nobody's business outside.
CATALOGUE: Catalogue = {
    **_kinds(
        shown(Customer, customer_wire.show_customer),
        {f"customer.{what}": f"customer.{what}" for what in ("created", "updated", "deleted")},
    ),
    **_kinds(
        shown(PaymentMethod, customer_wire.show_method),
        {f"payment_method.{what}": f"payment_method.{what}"
         for what in ("attached", "detached", "updated")},
    ),
    **_kinds(
        shown(Payment, payment_shown.show_intent),
        {
            "payment.created": "payment_intent.created",
            "payment.requires_action": "payment_intent.requires_action",
            "payment.processing": "payment_intent.processing",
            "payment.amount_capturable_updated": "payment_intent.amount_capturable_updated",
            # Our own word, which Stripe has none for: the provider says it was paid, but another
            # amount, currency or account than was asked. It stays `processing`; a person looks.
            "payment.mismatched": "payment_intent.mismatched",
            "payment.succeeded": "payment_intent.succeeded",
            "payment.attempt_failed": "payment_intent.payment_failed",
            "payment.canceled": "payment_intent.canceled",
        },
    ),
    **_kinds(
        shown(Charge, payment_shown.show_charge),
        {
            # Reserved money is a charge that succeeded and is not captured.
            "attempt.authorised": "charge.succeeded",
            "attempt.succeeded": "charge.succeeded",
            "attempt.captured": "charge.captured",
            "attempt.failed": "charge.failed",
            # The provider has let go of what was reserved: a charge that succeeded and ran out.
            "attempt.released": "charge.expired",
            "attempt.refunded": "charge.refunded",
        },
    ),
    **_kinds(
        shown(RefundView, payment_shown.show_refund),
        {f"refund.{what}": f"refund.{what}" for what in ("created", "updated", "failed")},
    ),
    **_kinds(
        shown(WalletFact, _show_wallet),
        {f"wallet.{what}": f"wallet.{what}"
         for what in ("opened", "updated", "frozen", "unfrozen", "closed", "reopened", "credited",
                      "debited", "hold_created", "hold_captured", "hold_released", "hold_expired")},
    ),
    **_kinds(
        shown(TopUpView, top_up_wire.show_top_up),
        {f"top_up.{what}": f"top_up.{what}" for what in ("created", "succeeded", "canceled")},
    ),
}  # fmt: skip


async def _record_movements(tx: Tx, facts: Sequence[Fact], at: datetime) -> None:
    """What payments booked on wallets gets its row on the wallets' statements."""
    items = [item for fact in facts for item in [_movement(fact, at)] if item is not None]
    if items:
        await wallets.record_movements(tx, items)


def _movement(fact: Fact, at: datetime) -> RecordMovement | None:
    if fact.name == "payment.succeeded":
        payment = msgspec.json.decode(fact.data, type=Payment)
        cause, source = f"payment:{payment.latest_attempt}", payment.subject or payment.id
    else:
        view = msgspec.json.decode(fact.data, type=RefundView)
        payment, source = view.payment, view.refund.id
        cause = f"{'refund' if fact.name == 'refund.created' else 'refund_failed'}:{source}"
    if payment.pay_into is None:
        return None
    return RecordMovement(
        merchant_id=fact.merchant_id,
        at=at,
        request_id=fact.request_id,
        idempotency_key=fact.idempotency_key,
        cause=cause,
        source=source,
        description=payment.description,
    )


async def _follow_payments(tx: Tx, facts: Sequence[Fact], at: datetime) -> None:  # noqa: ARG001
    """Top-ups say what became of their payments."""
    await topups.follow(tx, facts)


async def _count_refunds(tx: Tx, facts: Sequence[Fact], at: datetime) -> None:  # noqa: ARG001
    """Metrics know what became of refunds."""
    for fact in facts:
        refund = msgspec.json.decode(fact.data, type=RefundView).refund
        telemetry.REFUNDS.labels(refund.status).inc()


async def _owe_events(tx: Tx, facts: Sequence[Headline], at: datetime) -> None:
    """Merchants' endpoints are owed what they listen to."""
    await webhooks.enqueue(tx, facts, CATALOGUE, at=at)


TABLE: Table = (
    Shown(topups.FOLLOWS, _follow_payments),
    Told(CATALOGUE, _owe_events),
    Shown({"refund.updated"}, _count_refunds),
    # Locks the merchant's books, for which every posting waits: as late as can be.
    Shown({"payment.succeeded", "refund.created", "refund.failed"}, _record_movements),
)
