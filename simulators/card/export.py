"""The books in the words all simulators share, for a checker written apart.

`orders` and `refunds` read as the other providers' do; `accounts` adds Stripe's own objects.
"""

from collections.abc import Iterable
from typing import Final

from simulators.card.accounts import Account, number_of, refund_number_of
from simulators.card.objects import PaymentIntent, Plain, Refund
from simulators.card.webhooks import shown
from simulators.common.books import OrderState, RefundState

_ORDER_STATES: Final = {
    "succeeded": OrderState.PAID,
    "canceled": OrderState.CLOSED,
    "requires_payment_method": OrderState.CREATED,
    "requires_confirmation": OrderState.CREATED,
}
_REFUND_STATES: Final = {
    "succeeded": RefundState.SUCCESS,
    "failed": RefundState.ABNORMAL,
    "canceled": RefundState.CLOSED,
}


def books(accounts: Iterable[Account]) -> dict[str, object]:
    """Return everything the provider holds to be true."""
    known = list(accounts)
    return {
        "orders": [order(each, intent) for each in known for intent in each.books.intents],
        "refunds": [refund(each, row) for each in known for row in each.books.refunds],
        "accounts": {each.keys.account: _own(each) for each in known},
    }


def order(account: Account, intent: PaymentIntent) -> Plain:
    """Return one payment; its amount is what was truly taken, whatever an answer said."""
    charge = account.books.charges.find(intent.latest_charge or "")
    is_paid = intent.status == "succeeded" and charge is not None
    return {
        "id": intent.id,
        "merchant": account.keys.account,
        "out_trade_no": number_of(intent),
        "amount": charge.amount_captured if is_paid and charge is not None else intent.amount,
        "currency": intent.currency.upper(),
        "state": _ORDER_STATES.get(intent.status, OrderState.WAITING),
        "refunded": charge.amount_refunded if is_paid and charge is not None else 0,
        "created_at": intent.created,
    }


def refund(account: Account, row: Refund) -> Plain:
    """Return one refund."""
    intent = account.books.intents.get(row.payment_intent)
    return {
        "id": row.id,
        "order_id": intent.id,
        "merchant": account.keys.account,
        "out_trade_no": number_of(intent),
        "out_refund_no": refund_number_of(row),
        "amount": row.amount,
        "state": _REFUND_STATES.get(row.status, RefundState.PROCESSING),
        "created_at": row.created,
    }


def _own(account: Account) -> Plain:
    held = account.books
    return {
        "payment_intents": held.intents.rows,
        "charges": held.charges.rows,
        "refunds": held.refunds.rows,
        "balance_transactions": held.entries.rows,
        "webhook_endpoints": [shown(endpoint) for endpoint in held.endpoints],
    }
