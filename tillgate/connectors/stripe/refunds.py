"""Stripe's refunds: made once, and found again among those of their PaymentIntent."""

from __future__ import annotations

from tillgate.connectors.client import confirmed
from tillgate.connectors.port import (
    NotFound,
    NotSent,
    RefundOrder,
    RefundOutcome,
    Unknown,
)
from tillgate.connectors.stripe import wire
from tillgate.connectors.stripe.api import Api, path_of


async def make(api: Api, order: RefundOrder) -> RefundOutcome:
    """Give money back; `refund_id` is the idempotency key."""
    answer = await api.post("refund", wire.REFUNDS, wire.refund_form(order), order.refund_id)
    if isinstance(answer, Unknown | NotSent):
        return answer
    if answer.status == 200:
        return wire.refund_of(answer.body, order.amount)
    refused = wire.refund_refusal(answer.status, answer.error)
    return await confirmed(refused, lambda: look_up(api, order, None))


async def look_up(api: Api, order: RefundOrder, reference: str | None) -> RefundOutcome | NotFound:
    """Ask by reference, or find it by our number."""
    if reference is None:
        found = await api.find_refund(order.reference, order.refund_id)
        if isinstance(found, Unknown | NotFound):
            return found
        return wire.refund_of(found, order.amount)
    answer = await api.get("look_up_refund", path_of(wire.REFUNDS, reference))
    if isinstance(answer, Unknown):
        return answer
    if wire.metadata(answer.body, "refund") != order.refund_id:
        return wire.unrecognised(answer.status, answer.error)
    return wire.refund_of(answer.body, order.amount)
