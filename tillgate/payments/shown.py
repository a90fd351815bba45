"""Payments, attempts (charges) and refunds as the API shows them. Pure.

A charge is an attempt that reached a verdict or an authorisation; its id is the attempt's under
another prefix.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from tillgate.customers.wire import show_card
from tillgate.kernel.clock import unix
from tillgate.kernel.ids import with_prefix
from tillgate.payments import machine
from tillgate.payments.machine import CONFIRMABLE, PaymentStatus, Status
from tillgate.payments.model import Attempt, Charge, Payment, Refund, RefundView
from tillgate.web.operation import Call


class ShownIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A payment."""

    id: str
    object: str = "payment_intent"
    allowed_payment_method_types: list[str]
    amount: int
    amount_capturable: int
    amount_details: dict[str, Any]
    amount_received: int
    application: None = None
    application_fee_amount: None = None
    automatic_payment_methods: dict[str, Any] | None
    canceled_at: int | None
    cancellation_reason: str | None
    capture_method: str
    client_secret: str
    confirmation_method: str
    created: int
    currency: str
    customer: str | None
    customer_account: None = None
    description: str | None
    excluded_payment_method_types: None = None
    last_payment_error: dict[str, Any] | None
    latest_charge: str | None
    livemode: bool
    managed_payments: None = None
    metadata: dict[str, str]
    next_action: dict[str, Any] | None
    on_behalf_of: None = None
    payment_method: str | None
    payment_method_configuration_details: None = None
    payment_method_options: dict[str, Any]
    payment_method_types: list[str]
    processing: dict[str, Any] | None = None
    receipt_email: str | None
    review: None = None
    setup_future_usage: str | None
    shipping: dict[str, Any] | None
    source: None = None
    statement_descriptor: str | None
    statement_descriptor_suffix: str | None
    status: str
    transfer_data: None = None
    transfer_group: None = None
    sequence: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the issuer or provider said."""

    advice_code: str | None = None
    network_advice_code: str | None = None
    network_decline_code: str | None = None
    network_status: str
    reason: str | None
    risk_level: str = "not_assessed"
    risk_score: int | None = None
    rule: None = None
    seller_message: str
    type: str


class ShownCharge(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that reached a verdict or an authorisation."""

    id: str
    object: str = "charge"
    amount: int
    amount_captured: int
    amount_refunded: int
    application: None = None
    application_fee: None = None
    application_fee_amount: None = None
    authorization_code: None = None
    balance_transaction: str | None
    billing_details: dict[str, Any]
    calculated_statement_descriptor: str | None
    captured: bool
    created: int
    currency: str
    customer: str | None
    description: str | None
    disputed: bool = False
    failure_balance_transaction: None = None
    failure_code: str | None
    failure_message: str | None
    fraud_details: dict[str, Any]
    livemode: bool
    metadata: dict[str, str]
    on_behalf_of: None = None
    outcome: Outcome | None
    paid: bool
    payment_intent: str
    payment_method: str | None
    payment_method_details: dict[str, Any]
    radar_options: dict[str, Any]
    receipt_email: str | None
    receipt_number: None = None
    receipt_url: None = None
    refunded: bool
    refunds: None = None
    review: None = None
    shipping: dict[str, Any] | None
    source: None = None
    source_transfer: None = None
    statement_descriptor: str | None
    statement_descriptor_suffix: str | None
    status: str
    transfer: None = None
    transfer_data: None = None
    transfer_group: None = None
    sequence: int


class ShownRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Money given back."""

    id: str
    object: str = "refund"
    amount: int
    balance_transaction: str | None
    charge: str
    created: int
    currency: str
    customer: str | None
    customer_account: None = None
    description: str | None = None
    destination_details: dict[str, Any]
    failure_balance_transaction: str | None
    failure_reason: str | None
    instructions_email: None = None
    metadata: dict[str, str]
    next_action: None = None
    payment_intent: str
    payment_method: str | None
    pending_reason: str | None
    reason: str | None
    receipt_number: None = None
    source_transfer_reversal: None = None
    status: str
    transfer_reversal: None = None
    sequence: int


def show_intent(payment: Payment, *, livemode: bool) -> ShownIntent:
    """Show a payment."""
    return ShownIntent(
        id=payment.id,
        allowed_payment_method_types=payment.method_types,
        amount=payment.amount,
        amount_capturable=payment.amount_capturable,
        amount_details={"tip": {}},
        amount_received=payment.amount_received,
        automatic_payment_methods={"allow_redirects": "always", "enabled": True},
        canceled_at=None if payment.canceled_at is None else unix(payment.canceled_at),
        cancellation_reason=_reason(payment.cancellation_reason),
        capture_method=payment.capture_method,
        client_secret=payment.client_secret,
        confirmation_method=payment.confirmation_method,
        created=unix(payment.created_at),
        currency=payment.currency,
        customer=payment.customer_id,
        description=payment.description,
        last_payment_error=show_error(payment),
        latest_charge=_latest_charge(payment),
        livemode=livemode,
        metadata=payment.metadata,
        next_action=show_action(payment),
        payment_method=payment.payment_method,
        payment_method_options=payment.method_options,
        payment_method_types=payment.method_types,
        receipt_email=payment.receipt_email,
        setup_future_usage=payment.setup_future_usage,
        shipping=payment.shipping,
        statement_descriptor=payment.statement_descriptor,
        statement_descriptor_suffix=payment.statement_descriptor_suffix,
        status=payment.status,
        sequence=payment.sequence,
    )


def _reason(reason: str | None) -> str | None:
    """Our own reasons are `automatic` to the outside."""
    known = {"duplicate", "fraudulent", "requested_by_customer", "abandoned", "expired"}
    return reason if reason is None or reason in known else "automatic"


def _latest_charge(payment: Payment) -> str | None:
    if payment.latest_attempt is None:
        return None
    has_verdict = payment.last_error is not None or payment.status in {
        PaymentStatus.SUCCEEDED,
        PaymentStatus.REQUIRES_CAPTURE,
        *CONFIRMABLE,
    }
    return with_prefix("ch", payment.latest_attempt) if has_verdict else None


def show_error(payment: Payment) -> dict[str, Any] | None:
    """Show why the latest attempt failed."""
    error = payment.last_error
    if error is None:
        return None
    return {
        "type": error.get("type") or "card_error",
        "code": error.get("code"),
        "decline_code": error.get("decline_code"),
        "message": error.get("message"),
        "param": error.get("param"),
        "doc_url": f"/docs#error-{error.get('code')}",
        "charge": _latest_charge(payment),
        "payment_method": _named_method(payment),
    }


def _named_method(payment: Payment) -> dict[str, Any] | None:
    if payment.payment_method is None:
        return None
    kind = payment.payment_method if payment.payment_method in {"alipay", "wechat_pay"} else "card"
    return {"id": payment.payment_method, "object": "payment_method", "type": kind}


def show_action(payment: Payment) -> dict[str, Any] | None:
    """Show what the customer is to do next, in Stripe's words."""
    step = payment.next_action
    if step is None:
        return None
    match step["type"]:
        case "show_qr":
            return _show_qr(step)
        case "redirect":
            kind = "redirect_to_url"
            return {"type": kind, kind: {"url": step["url"], "return_url": payment.return_url}}
        case _:
            kind = "open_app"
            fields = {"parameters": step["parameters"], "order_string": step["order_string"]}
            return {"type": kind, kind: fields}


def _show_qr(step: dict[str, Any]) -> dict[str, Any]:
    kind = "wechat_pay_display_qr_code"
    if not str(step["content"]).startswith("weixin://"):
        kind = "display_qr_code"
    return {
        "type": kind,
        kind: {
            "data": step["content"],
            "expires_at": _moment(step["expires_at"]),
            "hosted_instructions_url": step.get("hosted_url"),
            # `data` is drawn by who shows it, or by the hosted page.
            "image_data_url": None,
            "image_url_png": None,
            "image_url_svg": None,
        },
    }


def _moment(text: str | None) -> int | None:
    return None if text is None else unix(datetime.fromisoformat(text))


# Charges ---------------------------------------------------------------------------------------

#: Attempts that are charges.
CHARGED = (
    Status.AUTHORISED.value,
    Status.PAID.value,
    Status.DECLINED.value,
    Status.NOT_SENT.value,
)


def show_charge(
    charge: Charge, *, livemode: bool, balance_transaction: str | None = None
) -> ShownCharge:
    """Show an attempt as a charge."""
    attempt, payment = charge.attempt, charge.payment
    is_released = machine.is_released(attempt.status, attempt.amount_authorised)
    has_failed = attempt.status in {
        Status.DECLINED, Status.NOT_SENT, Status.CLOSED, Status.RETURNED,
    }  # fmt: skip
    error = attempt.error if has_failed and not is_released and attempt.error else {}
    billing: dict[str, Any] = dict.fromkeys(("address", "email", "name", "phone", "tax_id"))
    return ShownCharge(
        id=with_prefix("ch", attempt.id),
        amount=attempt.amount,
        amount_captured=attempt.amount_captured,
        amount_refunded=attempt.amount if is_released else attempt.amount_refunded,
        balance_transaction=balance_transaction,
        billing_details=billing,
        calculated_statement_descriptor=payment.statement_descriptor,
        captured=attempt.status == Status.PAID,
        created=unix(attempt.created_at),
        currency=attempt.currency,
        customer=payment.customer_id,
        description=attempt.description,
        failure_code=error.get("code"),
        failure_message=error.get("message"),
        fraud_details={},
        livemode=livemode,
        metadata=payment.metadata,
        outcome=_outcome(attempt, error),
        paid=_charge_status(attempt) == "succeeded",
        payment_intent=payment.id,
        payment_method=payment.payment_method or attempt.payment_method,
        payment_method_details=_instrument(attempt),
        radar_options={},
        receipt_email=payment.receipt_email,
        refunded=is_released or 0 < attempt.amount_captured <= attempt.amount_refunded,
        shipping=payment.shipping,
        statement_descriptor=payment.statement_descriptor,
        statement_descriptor_suffix=payment.statement_descriptor_suffix,
        status=_charge_status(attempt),
        sequence=attempt.sequence,
    )


def _charge_status(attempt: Attempt) -> str:
    if attempt.status in {Status.PAID, Status.AUTHORISED} or machine.is_released(
        attempt.status, attempt.amount_authorised
    ):
        return "succeeded"
    is_open = attempt.status in {Status.CREATED, Status.WAITING, Status.UNKNOWN, Status.MISMATCHED}
    return "pending" if is_open else "failed"


def _outcome(attempt: Attempt, error: dict[str, Any]) -> Outcome | None:
    if _charge_status(attempt) == "succeeded":
        return Outcome(
            network_status="approved_by_network",
            reason=None,
            seller_message="Payment complete.",
            type="authorized",
        )
    match attempt.status:
        case Status.DECLINED:
            return Outcome(
                network_status="declined_by_network",
                network_decline_code=error.get("provider_code"),
                reason=error.get("decline_code") or error.get("code"),
                seller_message="The provider declined the payment.",
                type="issuer_declined",
            )
        case Status.NOT_SENT:
            return Outcome(
                network_status="not_sent_to_network",
                reason=error.get("code"),
                seller_message="The provider could not be reached; nothing was charged.",
                type="invalid",
            )
        case _:
            return None


def method_of(attempt: Attempt) -> str:
    """Return the type of payment method an attempt goes by."""
    return "card" if attempt.provider == "stripe" else attempt.provider


def _instrument(attempt: Attempt) -> dict[str, Any]:
    method = method_of(attempt)
    if method == "card":
        details = show_card({**attempt.instrument, **_expiry(attempt.instrument)})
        return {"type": "card", "card": {**details, "network": details["brand"]}}
    known = {"transaction_id": attempt.reference, **attempt.instrument}
    return {"type": method, method: known}


def _expiry(shown: dict[str, str]) -> dict[str, int | None]:
    """Return as numbers what is kept as text, as all of an instrument is."""
    texts = {name: shown.get(name, "") for name in ("exp_month", "exp_year")}
    return {name: int(text) if text.isdecimal() else None for name, text in texts.items()}


# Refunds ---------------------------------------------------------------------------------------


def causes_of(view: RefundView) -> tuple[str, str]:
    """Return under which causes a refund and its failure are booked."""
    return f"refund:{view.refund.id}", f"refund_failed:{view.refund.id}"


def show_refund(
    view: RefundView,
    *,
    livemode: bool,
    balance_transaction: str | None = None,
    failure_balance_transaction: str | None = None,
) -> ShownRefund:
    """Show a refund. (Stripe's refunds do not say their mode, so neither do ours.)"""
    del livemode
    refund, payment = view.refund, view.payment
    status = {"created": "pending", "unknown": "pending"}.get(refund.status, refund.status)
    return ShownRefund(
        id=refund.id,
        amount=refund.amount,
        balance_transaction=balance_transaction,
        charge=with_prefix("ch", refund.attempt_id),
        created=unix(refund.created_at),
        currency=refund.currency,
        customer=payment.customer_id,
        destination_details=_destination(refund, payment),
        failure_balance_transaction=failure_balance_transaction,
        failure_reason=refund.failure_reason,
        metadata=refund.metadata,
        payment_intent=refund.payment_id,
        payment_method=payment.payment_method,
        pending_reason="processing" if status == "pending" else None,
        reason=refund.reason,
        status=status,
        sequence=refund.sequence,
    )


def _destination(refund: Refund, payment: Payment) -> dict[str, Any]:
    method = payment.payment_method
    kind = method if method in {"alipay", "wechat_pay"} else "card"
    if kind != "card":
        return {"type": kind, kind: {}}
    status = "available" if refund.reference else "pending"
    card = {
        "reference": refund.reference,
        "reference_status": status,
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    return {"type": "card", "card": card}


def show_failure(charge: Charge, error: dict[str, object], call: Call) -> dict[str, Any]:
    """Show a payment that failed, as the error of the request that tried it."""
    code = error.get("code")
    param = "payment_method"
    if code in {"amount_too_small", "amount_too_large"}:
        names = {field.encode_name for field in msgspec.structs.fields(call.operation.request)}
        param = "amount" if "amount" in names else "intent"
    return {
        "error": {
            "type": error.get("type") or "card_error",
            "code": code,
            "decline_code": error.get("decline_code"),
            "message": error.get("message") or "The payment failed.",
            "param": param,
            "doc_url": f"/docs#error-{code}",
            "charge": with_prefix("ch", charge.attempt.id),
            "payment_intent": msgspec.to_builtins(
                show_intent(charge.payment, livemode=call.livemode)
            ),
            "payment_method": _named_method(charge.payment),
        }
    }
