"""Which payment method a request means, and how the customer is brought to its provider.

Used by the routes of payments and of what is paid by them (top-ups).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from tillgate.customers import queries as customers
from tillgate.customers.wire import read_card, read_test_token
from tillgate.kernel.errors import FieldRefused
from tillgate.payments.flows import Payments
from tillgate.payments.model import Confirmation, Payment
from tillgate.payments.wire import ConfirmIntent, MethodData, presentation_of
from tillgate.web.operation import Call


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method as the money path needs it: its type, the provider's token, its name."""

    kind: str
    token: str | None
    name: str

    @property
    def is_ours(self) -> bool:
        """Whether it is an object of ours, which may belong to a customer."""
        return self.name.startswith("pm_0")


class Confirming(Protocol):
    """What every request that confirms says."""

    @property
    def return_url(self) -> str | None: ...

    @property
    def off_session(self) -> bool: ...


class Methods:
    """Reads payment methods out of requests."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments
        self._db = payments.db

    async def named(self, call: Call, name: str | None, data: MethodData | None) -> Method | None:
        """Return the payment method a request names or brings along."""
        if data is not None:
            if data.type != "card":
                return Method(data.type, None, data.type)
            token, _ = read_card(data.card, livemode=call.livemode)
            return Method("card", token, token)
        if name is None:
            return None
        if name in {"alipay", "wechat_pay"}:
            return Method(name, None, name)
        token = read_test_token(name, livemode=call.livemode)
        if token is not None:
            return Method("card", token, token)
        async with self._db.transaction(readonly=True) as tx:
            found = await customers.usable_method(tx, call.merchant_id, name)
        return Method(found.type, found.provider_token, found.id)

    async def types(
        self, call: Call, unit: str, given: Sequence[str] | None, method: Method | None
    ) -> list[str]:
        """Return the types of method a payment takes: those given, or all the merchant can."""
        if given is not None:
            if not given:
                raise FieldRefused("payment_method_types", "Name at least one type.")
            if method is not None and method.kind not in given:
                raise FieldRefused(
                    "payment_method",
                    f"The payment method is a {method.kind}, which this payment does not take.",
                )
            return list(dict.fromkeys(given))
        types = await self._payments.providers.methods(call.merchant_id, unit)
        if method is not None and method.kind not in types:
            types = [*types, method.kind]
        return types or ["card"]

    async def require_customer(
        self,
        call: Call,
        customer_id: str | None,
        method: Method | None,
        already: str | None = None,
    ) -> None:
        """Refuse customers that do not exist, and methods that are another customer's."""
        is_ours = method is not None and method.is_ours
        if customer_id is None and not is_ours:
            return
        async with self._db.transaction(readonly=True) as tx:
            if customer_id is not None:
                await customers.present_customer(tx, call.merchant_id, customer_id)
            if method is None or not is_ours:
                return
            owner = (await customers.method(tx, call.merchant_id, method.name)).customer_id
        if owner is not None and owner != (customer_id or already):
            raise FieldRefused(
                "payment_method",
                f"The payment method {method.name} belongs to another customer; give customer too.",
                code="payment_method_customer_mismatch",
            )


def confirmation_of(
    call: Call,
    body: Confirming,
    method: Method | None,
    types: Iterable[str],
    options: dict[str, Any],
    *,
    must: bool = False,
) -> Confirmation | None:
    """Return how the payment is to be paid now, if it is (`confirm` is true, or it must)."""
    if not must and not getattr(body, "confirm", False):
        return None
    only = list(types)
    if method is None and len(only) == 1 and only[0] != "card":
        method = Method(only[0], None, only[0])
    if method is None:
        raise FieldRefused(
            "payment_method",
            "You cannot confirm this PaymentIntent because it's missing a payment method. Give"
            " payment_method or payment_method_data.",
            code="payment_intent_unexpected_state",
        )
    mine: dict[str, Any] = options.get(method.kind) or {}
    presentation = presentation_of(method.kind, options)
    if presentation == "jsapi" and not mine.get("openid"):
        name = "payment_method_options[wechat_pay][openid]"
        raise FieldRefused(name, f"Missing required param: {name}.", code="parameter_missing")
    return Confirmation(
        method=method.kind,
        presentation=presentation,
        payment_method=method.token,
        return_url=body.return_url,
        off_session=body.off_session,
        client_ip=call.client_ip,
        openid=mine.get("openid"),
    )


def confirmation_changes(
    payment: Payment,
    body: ConfirmIntent,
    method: Method | None,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Return what a confirmation changes of the payment itself."""
    wanted: dict[str, Any] = {
        "payment_method": method.name if method else None,
        "return_url": body.return_url,
        "receipt_email": body.receipt_email,
        "setup_future_usage": body.setup_future_usage,
        "capture_method": body.capture_method,
        "shipping": msgspec.to_builtins(body.shipping) if body.shipping else None,
    }
    changes = {
        name: value
        for name, value in wanted.items()
        if value is not None and value != getattr(payment, name)
    }
    if any(payment.method_options.get(kind) != given for kind, given in options.items()):
        changes["method_options"] = options
    return changes
