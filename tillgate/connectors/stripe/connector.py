"""The connector to Stripe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tillgate.connectors.client import Client
from tillgate.connectors.port import (
    Ack,
    BadNotice,
    CaptureRefused,
    Charge,
    Closed,
    NotFound,
    Notice,
    NotSent,
    Outcome,
    Presentation,
    RefundOrder,
    RefundOutcome,
    Unknown,
)
from tillgate.connectors.stripe import refunds, signing, wire
from tillgate.connectors.stripe.api import Answer, Api, path_of
from tillgate.connectors.stripe.config import StripeAccount
from tillgate.kernel.money import CURRENCIES, Money


class Stripe:
    """Takes cards by token, at once or in two steps."""

    name = "stripe"
    presentations: frozenset[Presentation] = frozenset({"card"})
    #: Not Ugandan shillings: Stripe wants them in hundredths, which they do not have.
    currencies = frozenset(CURRENCIES) - {"pts", "ugx"}

    def __init__(self, account: StripeAccount, client: Client) -> None:
        self._account = account
        self._api = Api(account, client)

    @property
    def account(self) -> str | None:
        """What the provider calls our account; what `Paid` says must be the same."""
        return self._api.account

    async def charge(self, charge: Charge, *, now: datetime) -> Outcome:
        """Make and confirm a PaymentIntent; the attempt's id is its idempotency key."""
        if charge.payment_method is None:
            return NotSent("a card is charged by its token")
        if await self._api.key_opens(now) not in (None, self.account):
            return NotSent("the secret_key opens another account")
        form, key = wire.charge_form(charge, self.account), charge.attempt_id
        answer = await self._api.post("charge", wire.INTENTS, form, key)
        if isinstance(answer, Unknown | NotSent):
            return answer
        return wire.charged(await self._read(answer, charge.attempt_id, now))

    async def look_up(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Outcome | Closed | NotFound:
        """Ask by reference, or find it by the attempt's id; moves no money."""
        if reference is None:
            found = await self._api.find_intent(attempt_id, since, now)
            if isinstance(found, Unknown | NotFound):
                return found
            return await self._read(Answer(200, found), attempt_id, now)
        address = path_of(wire.INTENTS, reference)
        answer = await self._api.get("look_up", address, wire.EXPANDED)
        if isinstance(answer, Unknown):
            return answer
        if answer.status != 200:
            return wire.unrecognised(answer.status, answer.error)
        if answer.body.get("id") != reference:
            return Unknown("the answer is about another order")
        return await self._read(answer, attempt_id, now)

    async def capture(
        self, attempt_id: str, reference: str, amount: Money, *, now: datetime
    ) -> Outcome | CaptureRefused:
        """Take reserved money, all or part of it; the rest is released."""
        form = {"amount_to_capture": str(amount.minor), **wire.EXPANDED}
        key = f"{attempt_id}-capture-{amount.minor}"
        path = path_of(wire.INTENTS, reference, "/capture")
        answer = await self._api.post("capture", path, form, key)
        if isinstance(answer, Unknown | NotSent):
            return answer
        if answer.status != 200:
            ours = await self._ours(now)
            return wire.capture_refusal(answer.status, answer.error, attempt_id, ours)
        return wire.charged(await self._read(answer, attempt_id, now))

    async def close(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Outcome | Closed | NotFound:
        """Cancel it, releasing what was reserved; `Paid` if it had succeeded."""
        if reference is None:
            found = await self._api.find_intent(attempt_id, since, now)
            if isinstance(found, Unknown | NotFound):
                return found
            reference = str(found.get("id"))
        answer = await self._api.post("cancel", path_of(wire.INTENTS, reference, "/cancel"), {})
        if isinstance(answer, Answer) and answer.status == 200:
            return await self._read(answer, attempt_id, now)
        if isinstance(answer, Unknown):
            return answer
        # Refused, most often because it is paid or canceled already: the order tells.
        return await self.look_up(attempt_id, reference, amount, since=since, now=now)

    async def refund(self, order: RefundOrder, *, now: datetime) -> RefundOutcome:
        """Give money back, once for each `refund_id`."""
        return await refunds.make(self._api, order)

    async def look_up_refund(
        self, order: RefundOrder, provider_reference: str | None, *, now: datetime
    ) -> RefundOutcome | NotFound:
        """Ask by reference, or find it among the refunds of its PaymentIntent."""
        return await refunds.look_up(self._api, order, provider_reference)

    def read_notice(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and read an event."""
        event = signing.read_event(headers, body, self._account.webhook_secrets, now)
        if event.get("livemode") is not self._account.livemode:
            raise BadNotice("the event is of another mode")
        return wire.notice_of(event, wire.Ours(self._account.livemode, self.account))

    def ack(self, *, accepted: bool) -> Ack:
        """Return 200, or an error to be told again."""
        return wire.ack(accepted=accepted)

    async def describe_method(
        self, token: str, *, now: datetime
    ) -> Mapping[str, Any] | NotFound | Unknown:
        """Return what may be shown of a saved card."""
        answer = await self._api.get("describe_method", path_of("/v1/payment_methods", token))
        if isinstance(answer, Unknown):
            return answer
        return wire.method_answer(answer.status, answer.body)

    async def _read(self, answer: Answer, attempt_id: str, now: datetime) -> Outcome | Closed:
        ours = await self._ours(now)
        if answer.status == 200:
            return wire.intent_outcome(answer.body, attempt_id, ours)
        return wire.refusal(answer.status, answer.error, attempt_id, ours)

    async def _ours(self, now: datetime) -> wire.Ours:
        told_by = await self._api.key_opens(now)
        return wire.Ours(self._account.livemode, self.account, told_by)
