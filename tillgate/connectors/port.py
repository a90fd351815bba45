"""The port: what the money path says to a provider and what it may hear back.

Nothing here does I/O. Amounts are `Money`; ids are ours (`attempt_id`, `refund_id`), committed
before the call and used as the provider's order number and idempotency key, never random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from tillgate.kernel.money import Money

if TYPE_CHECKING:
    from typing_extensions import TypeIs

#: How the customer is brought to the provider.
Presentation = Literal["qr", "page", "wap", "h5", "jsapi", "app", "card"]


class Charge(msgspec.Struct, frozen=True):
    """One attempt to take money through one provider."""

    attempt_id: str
    amount: Money
    description: str
    presentation: Presentation
    notify_url: str
    return_url: str | None = None
    expires_at: datetime | None = None
    #: Cards: the provider's token for the card (`pm_card_visa`, `pm_…`). Never a card number.
    payment_method: str | None = None
    #: False: only reserve the money; `Capturing.capture` takes it later.
    capture: bool = True
    off_session: bool = False
    client_ip: str | None = None
    #: WeChat Pay JSAPI: who pays.
    openid: str | None = None
    metadata: Mapping[str, str] = {}


# What the customer is to do next ----------------------------------------------------------------


class ShowQr(msgspec.Struct, frozen=True):
    """Show this text as a QR code."""

    content: str
    expires_at: datetime | None = None


class Redirect(msgspec.Struct, frozen=True):
    """Send the customer's browser here (GET)."""

    url: str
    expires_at: datetime | None = None


class OpenApp(msgspec.Struct, frozen=True):
    """Hand these parameters to the provider's SDK in the merchant's app or page."""

    parameters: Mapping[str, str]
    order_string: str | None = None


NextStep = ShowQr | Redirect | OpenApp

# Outcomes: exactly five -------------------------------------------------------------------------


class Paid(msgspec.Struct, frozen=True):
    """The provider says the money moved: this much, under this reference, into this account."""

    reference: str
    amount: Money
    at: datetime | None = None
    #: The provider's name for the account that received it (`mchid`, `seller_id`), to be compared.
    account: str | None = None
    #: What we may show of the payer's instrument, such as `{"brand": "visa", "last4": "4242"}`.
    instrument: Mapping[str, str] = {}


class Waiting(msgspec.Struct, frozen=True):
    """The provider has the order and waits: for the customer, for its own process, or for us.

    `on="capture"`: the money is reserved (`amount`) and `Capturing.capture` will take it.
    """

    step: NextStep | None = None
    reference: str | None = None
    on: Literal["customer", "provider", "capture"] = "customer"
    amount: Money | None = None
    account: str | None = None
    instrument: Mapping[str, str] = {}


class Declined(msgspec.Struct, frozen=True):
    """The provider says no, definitively; no money moved and none will under this order.

    `code` is ours (Stripe's vocabulary: `card_declined`, `expired_card`, `processing_error`,
    `payment_method_provider_decline`, `order_closed`, …); `provider_code` is theirs.
    """

    code: str
    message: str
    decline_code: str | None = None
    provider_code: str | None = None
    reference: str | None = None
    instrument: Mapping[str, str] = {}


class Unknown(msgspec.Struct, frozen=True):
    """We cannot tell: the answer was lost, malformed, badly signed, or says "unknown" itself."""

    reason: str
    reference: str | None = None
    #: The provider asked us to slow down (429): wait at least this long.
    retry_after_seconds: float | None = None
    #: Their numbers of the orders that all bear ours, where no one can say which is ours.
    claimants: tuple[str, ...] = ()


class NotSent(msgspec.Struct, frozen=True):
    """Certainly nothing happened: no byte of the request left us, or it was refused unprocessed."""

    reason: str


Outcome = Paid | Waiting | Declined | Unknown | NotSent


class CaptureRefused(msgspec.Struct, frozen=True):
    """The provider will not take this much of what is reserved, which stays reserved."""

    code: str
    message: str
    decline_code: str | None = None


class NotFound(msgspec.Struct, frozen=True):
    """The provider's records hold no such order or refund (yet)."""


class Closed(msgspec.Struct, frozen=True):
    """The order is closed at the provider: it can no longer be paid."""


# Refunds ----------------------------------------------------------------------------------------


class RefundOrder(msgspec.Struct, frozen=True):
    """Money to give back. `refund_id` is the provider's request number: one refund each."""

    refund_id: str
    attempt_id: str
    reference: str
    amount: Money
    total: Money
    reason: str | None
    notify_url: str


class Refunded(msgspec.Struct, frozen=True):
    """The provider says the refund has been made."""

    reference: str | None
    amount: Money
    at: datetime | None = None


class RefundPending(msgspec.Struct, frozen=True):
    """The provider has accepted the refund and will tell."""

    reference: str | None = None


class RefundFailed(msgspec.Struct, frozen=True):
    """The provider says the refund will not happen (or came back); `code` in Stripe's words."""

    code: str
    message: str
    reference: str | None = None


RefundOutcome = Refunded | RefundPending | RefundFailed | Unknown | NotSent

# Notices ----------------------------------------------------------------------------------------


class AttemptNotice(msgspec.Struct, frozen=True):
    """A notice about an attempt: which one, and what it says."""

    attempt_id: str
    outcome: Outcome | Closed
    #: The provider's number of the order, where it has one from the start: an order that bears
    #: the attempt's id under another number is not the attempt's.
    reference: str | None = None


class RefundNotice(msgspec.Struct, frozen=True):
    """A notice about a refund."""

    refund_id: str
    outcome: RefundOutcome
    #: The provider's number of the refunded order, where it has one from the start.
    order_reference: str | None = None


class ForeignRefund(msgspec.Struct, frozen=True):
    """A notice about a refund that we did not order: somebody made it at the provider itself.

    It bears neither our number nor our mark, which a refund of ours has before it is asked for. So
    it is never one whose answer is still to come.
    """

    #: What the provider calls it.
    number: str
    outcome: RefundOutcome
    #: Whose money it was: our number, or else the provider's number of the order.
    attempt_id: str | None = None
    order_reference: str | None = None
    #: The amount is that of all refunds of the order so far, whoever made them.
    is_total: bool = False


class OtherNotice(msgspec.Struct, frozen=True):
    """A notice that is genuine and of no consequence to us (kept in the inbox all the same)."""

    kind: str


Notice = AttemptNotice | RefundNotice | ForeignRefund | OtherNotice


def is_ours(refund_id: str) -> bool:
    """Tell whether a refund's request number is one that we give (`re_…`)."""
    return refund_id.startswith("re_")


class BadNotice(Exception):
    """The notice is not genuine or not readable; it proves nothing and changes nothing."""


class KeyUnknown(BadNotice):
    """The notice names a key we have not fetched: `RefreshingKeys` may help, then read it again."""


class Ack(msgspec.Struct, frozen=True):
    """The exact answer the provider wants to hear."""

    status: int
    body: bytes
    content_type: str


# Bills ------------------------------------------------------------------------------------------


class Bill(msgspec.Struct, frozen=True):
    """A provider's bill of one day as downloaded: its name and raw bytes (checked by digest)."""

    name: str
    content: bytes


class BillUnavailable(msgspec.Struct, frozen=True):
    """No bill now: `retry` tells a bill still being made from a day without trades."""

    reason: str
    retry: bool


# Capabilities -----------------------------------------------------------------------------------

Capability = TypeVar("Capability")


def can(connector: object, capability: type[Capability]) -> TypeIs[Capability]:
    """Tell whether a connector has one of the capabilities below.

    Each kind of connector is asked once; `isinstance` would take the protocol apart at every notice.
    """
    return _has(type(connector), capability)


@cache
def _has(kind: type, capability: type) -> bool:
    return issubclass(kind, capability)


class Connector(Protocol):
    """Every connector takes charges and tells their state.

    `look_up` never moves money. `now` is passed for timestamps in signed requests.
    """

    name: str
    #: Presentations this connector can do.
    presentations: frozenset[Presentation]
    #: Currency codes this connector can take.
    currencies: frozenset[str]

    async def charge(self, charge: Charge, *, now: datetime) -> Outcome: ...

    async def look_up(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Outcome | Closed | NotFound:
        """Ask for the order's state. `since` is when the attempt was opened."""
        ...


@runtime_checkable
class Closing(Protocol):
    """Can close an unpaid order so that it can no longer be paid."""

    async def close(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Outcome | Closed | NotFound:
        """Close it. `Paid` where the customer was faster; `Unknown` where nobody can tell yet."""
        ...


@runtime_checkable
class Capturing(Protocol):
    """Can take reserved money later, all or part of it (the rest is released), or release it."""

    async def capture(
        self, attempt_id: str, reference: str, amount: Money, *, now: datetime
    ) -> Outcome | CaptureRefused: ...


@runtime_checkable
class Refunding(Protocol):
    """Can give money back."""

    async def refund(self, order: RefundOrder, *, now: datetime) -> RefundOutcome: ...

    async def look_up_refund(
        self, order: RefundOrder, provider_reference: str | None, *, now: datetime
    ) -> RefundOutcome | NotFound: ...


@runtime_checkable
class Notifying(Protocol):
    """Sends notices."""

    def read_notice(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and read a raw notice (header names lower-case); raise `BadNotice`. Pure."""
        ...

    def ack(self, *, accepted: bool) -> Ack: ...


@runtime_checkable
class RefreshingKeys(Protocol):
    """Learns the keys that notices are signed with by asking the provider."""

    async def refresh_keys(self, *, now: datetime) -> None:
        """Ask for the keys again, unless it was just done. Never during a transaction."""
        ...


@runtime_checkable
class Billing(Protocol):
    """Publishes daily bills; the day is the provider's (Beijing for Alipay and WeChat Pay)."""

    async def bill(
        self, day: date, kind: str, *, now: datetime
    ) -> Sequence[Bill] | BillUnavailable: ...


@runtime_checkable
class Vaulting(Protocol):
    """Knows saved cards by token."""

    async def describe_method(
        self, token: str, *, now: datetime
    ) -> Mapping[str, Any] | NotFound | Unknown:
        """Return what may be shown of the card behind the token (brand, last4, exp_month, …)."""
        ...
