"""What the customers room refuses."""

from __future__ import annotations

from tillgate.kernel.errors import Kind, Refusal


class CustomerNotFound(Refusal):
    """No such customer: '{customer_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "id"

    def __init__(self, customer_id: str, *, param: str | None = None) -> None:
        super().__init__(customer_id=customer_id, param=param)


class MethodNotFound(Refusal):
    """No such PaymentMethod: '{method_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "payment_method"

    def __init__(self, method_id: str, *, param: str | None = None) -> None:
        super().__init__(method_id=method_id, param=param)


class MethodAttached(Refusal):
    """The payment method {method_id} has already been attached to a customer."""

    code = "payment_method_already_attached"
    param = "payment_method"

    def __init__(self, method_id: str) -> None:
        super().__init__(method_id=method_id)


class MethodNotAttached(Refusal):
    """The payment method {method_id} is not attached to a customer, so it cannot be detached."""

    code = "payment_method_not_attached"
    param = "payment_method"

    def __init__(self, method_id: str) -> None:
        super().__init__(method_id=method_id)


class MethodDetached(Refusal):
    """The payment method {method_id} was detached from a customer, so it may not be used again."""

    code = "payment_method_unexpected_state"
    param = "payment_method"

    def __init__(self, method_id: str) -> None:
        super().__init__(method_id=method_id)


class NotOfCustomer(Refusal):
    """The payment method {method_id} does not belong to the customer {customer_id}."""

    code = "payment_method_customer_mismatch"

    def __init__(self, method_id: str, customer_id: str, *, param: str) -> None:
        super().__init__(method_id=method_id, customer_id=customer_id, param=param)
