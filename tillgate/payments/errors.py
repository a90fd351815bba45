"""What the money path refuses."""

from __future__ import annotations

from tillgate.kernel.errors import Kind, Refusal


class PaymentNotFound(Refusal):
    """No such payment_intent: '{payment_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "intent"

    def __init__(self, payment_id: str, *, param: str | None = None) -> None:
        super().__init__(payment_id=payment_id, param=param)


class NotConfirmed(Refusal):
    """A notice says {told} of {object_id}, and its provider, asked, does not say so yet: {said}."""

    kind = Kind.CONFLICT

    def __init__(self, object_id: str, told: object, said: object) -> None:
        super().__init__(object_id=object_id, told=type(told).__name__, said=type(said).__name__)


class RefundNotFound(Refusal):
    """No such refund: '{refund_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "id"

    def __init__(self, refund_id: str) -> None:
        super().__init__(refund_id=refund_id)


class ChargeNotFound(Refusal):
    """No such charge: '{charge_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "id"

    def __init__(self, charge_id: str, *, param: str | None = None) -> None:
        super().__init__(charge_id=charge_id, param=param)


class UnexpectedState(Refusal):
    """You cannot {verb} this PaymentIntent because it has a status of {status}."""

    code = "payment_intent_unexpected_state"

    def __init__(self, verb: str, status: str, payment: object) -> None:
        #: As it stands: the answer shows it.
        self.payment = payment
        super().__init__(verb=verb, status=status)


class NotNow(UnexpectedState):
    """You cannot {verb} this PaymentIntent {why}."""

    def __init__(self, verb: str, why: str, payment: object) -> None:
        self.payment = payment
        Refusal.__init__(self, verb=verb, why=why)


class PaymentChanged(Refusal):
    """This PaymentIntent was changed while it was being confirmed; please try again, with the same Idempotency-Key."""  # noqa: E501  a message is one line

    kind = Kind.CONFLICT
    code = "lock_timeout"


class MethodNotOffered(Refusal):
    """No provider of this merchant takes {method} ({presentation}) in {currency}."""

    code = "payment_method_unavailable"
    param = "payment_method"

    def __init__(self, method: str, presentation: str, currency: str) -> None:
        super().__init__(method=method, presentation=presentation, currency=currency.upper())


class CaptureNotOffered(Refusal):
    """{method} takes the money at once; capture_method=manual is for cards."""

    code = "capture_method_unavailable"
    param = "capture_method"

    def __init__(self, method: str) -> None:
        super().__init__(method=method)


class CaptureTooLarge(Refusal):
    """The amount to capture ({amount}) is greater than the amount that can be captured ({capturable})."""

    code = "amount_too_large"
    param = "amount_to_capture"

    def __init__(self, amount: int, capturable: int) -> None:
        super().__init__(amount=amount, capturable=capturable)


class AmountNotPositive(Refusal):
    """This value must be greater than or equal to 1."""

    code = "parameter_invalid_integer"

    def __init__(self, param: str) -> None:
        super().__init__()
        self.param = param


class NotPaid(Refusal):
    """This PaymentIntent ({payment_id}) does not have a successful charge to refund."""

    code = "payment_intent_unexpected_state"
    param = "payment_intent"

    def __init__(self, payment_id: str) -> None:
        super().__init__(payment_id=payment_id)


class PaidIntoWallet(Refusal):
    """The {param_name} of a top-up's payment cannot be changed; cancel it and open another top-up."""

    code = "payment_intent_unexpected_state"

    def __init__(self, name: str) -> None:
        super().__init__(param_name=name)
        self.param = name


class AlreadyRefunded(Refusal):
    """Charge {charge_id} has already been refunded."""

    code = "charge_already_refunded"

    def __init__(self, charge_id: str) -> None:
        super().__init__(charge_id=charge_id)


class ChargeNotRefundable(Refusal):
    """The charge {charge_id} is not the one that paid: it failed, or was given back by itself."""

    code = "charge_not_refundable"
    param = "charge"

    def __init__(self, charge_id: str) -> None:
        super().__init__(charge_id=charge_id)


class RefundNotCancelable(Refusal):
    """A refund that is {status} cannot be canceled: it has been ordered from the provider."""

    code = "refund_unexpected_state"
    param = "refund"

    def __init__(self, status: str) -> None:
        super().__init__(status=status)


class RefundTooLarge(Refusal):
    """Refund amount ({amount}) is greater than unrefunded amount on charge ({refundable})."""

    code = "amount_too_large"
    param = "amount"

    def __init__(self, amount: int, refundable: int) -> None:
        super().__init__(amount=amount, refundable=refundable)


class ValueSpent(Refusal):
    """{short} of what this payment gave has been spent already, so {amount} cannot be refunded."""

    kind = Kind.INVALID
    code = "balance_insufficient"
    param = "amount"

    def __init__(self, short: int, amount: int) -> None:
        super().__init__(short=short, amount=amount)


class PaymentFailed(Refusal):
    """{reason}"""

    kind = Kind.DECLINED

    def __init__(self, error: dict[str, object], payment: object) -> None:
        self.error = error
        self.payment = payment
        super().__init__(reason=error.get("message") or "The payment failed.")


class BreakNotFound(Refusal):
    """There is no break {break_id}."""

    kind = Kind.NOT_FOUND

    def __init__(self, break_id: str) -> None:
        super().__init__(break_id=break_id)


class BreakResolved(Refusal):
    """The break {break_id} has been resolved already."""

    def __init__(self, break_id: str) -> None:
        super().__init__(break_id=break_id)


class StillMismatched(Refusal):
    """The payment of {break_id} still waits: give the money back at the provider and say so with --returned, or wait until the provider says what was asked for."""  # noqa: E501

    def __init__(self, break_id: str) -> None:
        super().__init__(break_id=break_id)


class NothingToReturn(Refusal):
    """No mismatched payment waits behind the break {break_id}; a note will do."""

    def __init__(self, break_id: str) -> None:
        super().__init__(break_id=break_id)


class NothingToAsk(Refusal):
    """What the break {break_id} is about has ended; the provider is not asked about it."""

    def __init__(self, break_id: str) -> None:
        super().__init__(break_id=break_id)
