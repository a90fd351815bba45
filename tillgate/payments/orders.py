"""What a provider is asked, for an attempt or a refund of ours: pure."""

from __future__ import annotations

from tillgate.connectors import port
from tillgate.kernel.money import CURRENCIES, Money
from tillgate.payments.model import Attempt, Refund


def charge_of(attempt: Attempt, notify_url: str) -> port.Charge:
    """Return the order for an attempt."""
    return port.Charge(
        attempt_id=attempt.id,
        amount=money(attempt.amount, attempt.currency),
        description=attempt.description or "Payment",
        presentation=attempt.presentation,
        notify_url=notify_url,
        return_url=attempt.return_url,
        expires_at=attempt.expires_at,
        payment_method=attempt.payment_method,
        capture=attempt.capture,
        off_session=attempt.off_session,
        client_ip=attempt.client_ip,
        openid=attempt.openid,
    )


def refund_of(refund: Refund, attempt: Attempt, notify_url: str) -> port.RefundOrder:
    """Return the order for a refund of a paid attempt."""
    assert attempt.reference is not None, "a paid attempt has a reference"
    return port.RefundOrder(
        refund_id=refund.id,
        attempt_id=attempt.id,
        reference=attempt.reference,
        amount=money(refund.amount, refund.currency),
        total=money(attempt.amount_captured, attempt.currency),
        reason=refund.reason,
        notify_url=notify_url,
    )


def money(minor: int, code: str) -> Money:
    """Return an amount as the kernel knows it."""
    return Money(minor, CURRENCIES[code])
