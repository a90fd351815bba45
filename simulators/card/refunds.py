"""Refunds: never more than was captured; some wait, and some come back long after."""

from typing import Final

from simulators.card.books import Books
from simulators.card.errors import invalid, missing, refused, unexpected_state
from simulators.card.form import Form, choice, metadata, only, text, whole
from simulators.card.money import book_refund, book_refund_failure
from simulators.card.objects import Charge, Plain, Refund

_CREATE: Final = frozenset(
    {"charge", "payment_intent", "amount", "reason", "metadata", "expand", "instructions_email"}
    | {"refund_application_fee", "reverse_transfer"}
)
_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")


def create(books: Books, form: Form, *, is_pending: bool) -> Refund:
    """POST /v1/refunds"""
    only(form, _CREATE)
    charge = _charge_given(books, form)
    refund = Refund(
        id=books.new_id("re"),
        amount=_amount(form, charge),
        charge=charge.id,
        created=books.now(),
        currency=charge.currency,
        destination_details=_destination(),
        metadata=metadata(form),
        payment_intent=charge.payment_intent,
        pending_reason="processing" if is_pending else None,
        reason=choice(form, "reason", _REASONS),
        status="pending" if is_pending else "succeeded",
    )
    before = _totals(charge)
    charge.amount_refunded += refund.amount
    charge.refunded = charge.amount_refunded == charge.amount_captured
    book_refund(books, refund)
    books.add_refund(refund)
    books.charges.save(charge)
    books.publish("charge.refunded", charge, before)
    books.publish("refund.created", refund)
    return refund


def _totals(charge: Charge) -> Plain:
    return {"amount_refunded": charge.amount_refunded, "refunded": charge.refunded}


def _destination() -> Plain:
    card: Plain = {
        "reference_status": "pending",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    return {"card": card, "type": "card"}


def _charge_given(books: Books, form: Form) -> Charge:
    charge_id, intent_id = text(form, "charge"), text(form, "payment_intent")
    if charge_id is None and intent_id is None:
        raise missing("payment_intent")
    if charge_id is None:
        intent = books.intents.get(intent_id or "", "payment_intent")
        if intent.status != "succeeded":
            message = f"This PaymentIntent ({intent.id}) does not have a successful charge."
            raise unexpected_state(message, intent)
        charge_id = intent.latest_charge
    charge = books.charges.get(charge_id or "", "charge")
    if not charge.captured:
        raise refused("This charge has not been captured and cannot be refunded.", param="charge")
    return charge


def _amount(form: Form, charge: Charge) -> int:
    left = charge.amount_captured - charge.amount_refunded
    amount = whole(form, "amount")
    if left <= 0:
        message = f"Charge {charge.id} has already been refunded."
        raise refused(message, code="charge_already_refunded")
    if amount is None:
        return left
    if amount < 1:
        raise invalid("Invalid positive integer", "amount")
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})."
        raise refused(message, param="amount")
    return amount


def succeed(books: Books, refund: Refund) -> None:
    """A waiting refund arrived."""
    if refund.status != "pending":
        return
    before = _status(refund)
    refund.status = "succeeded"
    refund.pending_reason = None
    _tell(books, refund, before)


def fail(books: Books, refund: Refund, reason: str = "expired_or_canceled_card") -> None:
    """A refund came back: the money is ours again, and the charge is less refunded."""
    _come_back(books, refund, "failed", reason)


def cancel(books: Books, refund: Refund) -> None:
    """A refund was called off: as a failed one, without a reason."""
    _come_back(books, refund, "canceled", None)


def _come_back(books: Books, refund: Refund, status: str, reason: str | None) -> None:
    if refund.status in ("failed", "canceled"):
        return
    before = _status(refund)
    refund.status = "failed" if status == "failed" else "canceled"
    refund.pending_reason = None
    refund.failure_reason = reason
    book_refund_failure(books, refund)
    charge = books.charges.get(refund.charge)
    charge.amount_refunded -= refund.amount
    charge.refunded = False
    books.charges.save(charge)
    _tell(books, refund, before)
    if status == "failed":
        books.publish("refund.failed", refund, before)


def _status(refund: Refund) -> Plain:
    return {"pending_reason": refund.pending_reason, "status": refund.status}


def _tell(books: Books, refund: Refund, before: Plain) -> None:
    books.refunds.save(refund)
    books.publish("refund.updated", refund, before)
    books.publish("charge.refund.updated", refund, before)


def update(books: Books, refund_id: str, form: Form) -> Refund:
    """POST /v1/refunds/{id}: only the metadata can be changed."""
    only(form, frozenset({"metadata", "expand"}))
    refund = books.refunds.get(refund_id)
    refund.metadata = metadata(form, refund.metadata)
    books.refunds.save(refund)
    books.publish("refund.updated", refund, {})
    return refund
