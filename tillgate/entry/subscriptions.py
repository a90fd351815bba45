"""Who hears what: the one table of facts, their subscribers and their names on the wire.

A subscriber hears facts in batches, inside the relay's transaction with the mark that they have
been heard. Rooms below take plain arguments; this table may see both sides and translates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from tillgate.customers import wire as customers
from tillgate.customers.model import Customer, PaymentMethod
from tillgate.entry.relay import Subscriber, Table
from tillgate.kernel.facts import Fact
from tillgate.payments import shown as payment_wire
from tillgate.payments.model import Charge, Payment, RefundView
from tillgate.runtime.db import Tx
from tillgate.topups import commands as topups
from tillgate.topups import wire as top_up_wire
from tillgate.topups.model import TopUpView
from tillgate.wallets import commands as wallets
from tillgate.wallets import events as wallet_events
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


_CUSTOMER = shown(Customer, customers.show_customer)
_METHOD = shown(PaymentMethod, customers.show_method)

_PAYMENT = shown(Payment, payment_wire.show_intent)
_CHARGE = shown(Charge, payment_wire.show_charge)
_REFUND = shown(RefundView, payment_wire.show_refund)
_TOP_UP = shown(TopUpView, top_up_wire.show_top_up)


def _show_wallet_fact(fact: WalletFact, *, livemode: bool) -> dict[str, Any]:
    """The wallet, with the transaction or hold that the event is about."""
    shown_wallet: dict[str, Any] = msgspec.to_builtins(
        wallet_wire.show_wallet(fact.wallet, livemode=livemode)
    )
    if fact.transaction is not None:
        shown_wallet["transaction"] = wallet_wire.show_transaction(
            fact.transaction, livemode=livemode
        )
    if fact.hold is not None:
        shown_wallet["hold"] = wallet_wire.show_hold(fact.hold, livemode=livemode)
    return shown_wallet


_WALLET = shown(WalletFact, _show_wallet_fact)

#: What a fact is called on the wire. What is not here is nobody's business outside.
CATALOGUE: Catalogue = {
    "customer.created": EventKind("customer.created", _CUSTOMER),
    "customer.updated": EventKind("customer.updated", _CUSTOMER),
    "customer.deleted": EventKind("customer.deleted", _CUSTOMER),
    "payment_method.attached": EventKind("payment_method.attached", _METHOD),
    "payment_method.detached": EventKind("payment_method.detached", _METHOD),
    "payment_method.updated": EventKind("payment_method.updated", _METHOD),
    "payment.created": EventKind("payment_intent.created", _PAYMENT),
    "payment.requires_action": EventKind("payment_intent.requires_action", _PAYMENT),
    "payment.processing": EventKind("payment_intent.processing", _PAYMENT),
    "payment.amount_capturable_updated": EventKind(
        "payment_intent.amount_capturable_updated", _PAYMENT
    ),
    "payment.succeeded": EventKind("payment_intent.succeeded", _PAYMENT),
    "payment.attempt_failed": EventKind("payment_intent.payment_failed", _PAYMENT),
    "payment.canceled": EventKind("payment_intent.canceled", _PAYMENT),
    "attempt.authorised": EventKind("charge.succeeded", _CHARGE),
    "attempt.succeeded": EventKind("charge.succeeded", _CHARGE),
    "attempt.captured": EventKind("charge.captured", _CHARGE),
    "attempt.failed": EventKind("charge.failed", _CHARGE),
    "attempt.refunded": EventKind("charge.refunded", _CHARGE),
    "refund.created": EventKind("refund.created", _REFUND),
    "refund.updated": EventKind("refund.updated", _REFUND),
    "refund.failed": EventKind("refund.failed", _REFUND),
    "top_up.created": EventKind("top_up.created", _TOP_UP),
    "top_up.succeeded": EventKind("top_up.succeeded", _TOP_UP),
    "top_up.canceled": EventKind("top_up.canceled", _TOP_UP),
    **{
        name: EventKind(name, _WALLET)
        for name in (
            wallet_events.OPENED,
            wallet_events.UPDATED,
            wallet_events.CREDITED,
            wallet_events.DEBITED,
            wallet_events.HOLD_CREATED,
            wallet_events.HOLD_CAPTURED,
            wallet_events.HOLD_RELEASED,
            wallet_events.HOLD_EXPIRED,
            *(
                f"{wallet_events.MOVED}{news}"
                for news in ("frozen", "unfrozen", "closed", "reopened")
            ),
        )
    },
}


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


async def _owe_events(tx: Tx, facts: Sequence[Fact], at: datetime) -> None:
    """Merchants' endpoints are owed what they listen to."""
    await webhooks.enqueue(tx, facts, CATALOGUE, at=at)


_HEARD_INSIDE: dict[str, tuple[Subscriber, ...]] = {
    "payment.succeeded": (_record_movements, _follow_payments),
    "payment.canceled": (_follow_payments,),
    "refund.created": (_record_movements,),
    "refund.failed": (_record_movements,),
}

#: By the fact's name, in the order in which they hear it.
TABLE: Table = {
    name: (*_HEARD_INSIDE.get(name, ()), *((_owe_events,) if name in CATALOGUE else ()))
    for name in {*_HEARD_INSIDE, *CATALOGUE}
}


def table() -> Table:
    """Return who hears what."""
    return TABLE
