"""The connector to Alipay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from urllib.parse import urlencode

from tillgate.connectors.alipay import signing, wire
from tillgate.connectors.alipay.config import AlipayAccount
from tillgate.connectors.alipay.gateway import Gateway
from tillgate.connectors.client import Client, confirmed
from tillgate.connectors.port import (
    Ack,
    BadNotice,
    Bill,
    BillUnavailable,
    Charge,
    Closed,
    NotFound,
    Notice,
    NotSent,
    OpenApp,
    Outcome,
    Presentation,
    Redirect,
    RefundOrder,
    RefundOutcome,
    Unknown,
    Waiting,
)
from tillgate.kernel.money import Money


class Alipay:
    """Takes charges by page, wap, app and QR code, in yuan."""

    name = "alipay"
    presentations: frozenset[Presentation] = frozenset({"page", "wap", "app", "qr"})
    currencies = frozenset({"cny"})

    def __init__(self, account: AlipayAccount, client: Client) -> None:
        self._account = account
        self._gateway = Gateway(account, client)

    @property
    def account(self) -> str:
        """What the provider calls our account; what `Paid` says must be the same."""
        return self._account.seller_id

    async def charge(self, charge: Charge, *, now: datetime) -> Outcome:
        """Ask for a QR code, or sign what the customer's browser or app takes to Alipay itself."""
        method = wire.METHODS[charge.presentation][0]
        content = wire.charge_content(charge)
        urls = {"notify_url": charge.notify_url}
        if charge.presentation == "qr":
            node = await self._gateway.ask(method, content, now, urls)
            if isinstance(node, Unknown | NotSent):
                return node
            return wire.precreate_outcome(node, charge)
        urls["return_url"] = charge.return_url or ""
        order = urlencode(self._gateway.signed(method, content, now, urls))
        if charge.presentation == "app":
            return Waiting(OpenApp({}, order_string=order))
        return Waiting(Redirect(f"{self._account.gateway_url}?{order}", charge.expires_at))

    async def look_up(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Outcome | Closed | NotFound:
        """Ask for the trade. `NotFound` is also an order that nobody has scanned or opened yet."""
        node = await self._gateway.question(wire.QUERY, wire.order_content(attempt_id), now)
        return node if isinstance(node, Unknown) else wire.query_outcome(node, attempt_id)

    async def close(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Outcome | Closed | NotFound:
        """Close it. `NotFound`: nobody has scanned it yet, so it is not closed and can be paid."""
        node = await self._gateway.question(wire.CLOSE, wire.order_content(attempt_id), now)
        if isinstance(node, Unknown):
            return node
        if wire.is_already_decided(node):
            return await self.look_up(attempt_id, reference, amount, since=since, now=now)
        return wire.close_outcome(node, attempt_id)

    async def cancel(self, attempt_id: str, *, now: datetime) -> Outcome | Closed | NotFound:
        """Undo it whatever its state: `Closed` means closed unpaid, or paid and given back."""
        node = await self._gateway.question(wire.CANCEL, wire.order_content(attempt_id), now)
        return node if isinstance(node, Unknown) else wire.cancel_outcome(node, attempt_id)

    async def refund(self, order: RefundOrder, *, now: datetime) -> RefundOutcome:
        """Give money back, once for each `refund_id`."""
        node = await self._gateway.ask(wire.REFUND, wire.refund_content(order), now)
        if isinstance(node, Unknown | NotSent):
            return node
        return await confirmed(
            wire.refund_outcome(node, order), lambda: self.look_up_refund(order, None, now=now)
        )

    async def look_up_refund(
        self, order: RefundOrder, provider_reference: str | None, *, now: datetime
    ) -> RefundOutcome | NotFound:
        """Ask for one refund; ten seconds after asking for it at the earliest."""
        content = wire.refund_query_content(order)
        node = await self._gateway.question(wire.REFUND_QUERY, content, now)
        return node if isinstance(node, Unknown) else wire.refund_query_outcome(node, order)

    def read_notice(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and read a notice; one about a refund is never a payment."""
        form, charset = signing.read_form(body)
        if not signing.is_genuine_notice(self._account.alipay_public_key, form, charset):
            raise BadNotice("the notice is not signed by Alipay")
        return wire.notice_of(form, self._account.app_id, self._account.seller_id)

    def ack(self, *, accepted: bool) -> Ack:
        """Return `success`, exactly, or anything else to be told again."""
        return wire.ack(accepted=accepted)

    async def bill(
        self, day: date, kind: str, *, now: datetime
    ) -> Sequence[Bill] | BillUnavailable:
        """Return the day's ZIP as it came; `kind` is `trade` or `signcustomer`."""
        node = await self._gateway.question(wire.BILL_URL, wire.bill_content(day, kind), now)
        if isinstance(node, Unknown):
            return BillUnavailable(node.reason, retry=True)
        url = node.get("bill_download_url")
        if node.get("code") != "10000" or not isinstance(url, str):
            return wire.bill_unavailable(node)
        content = await self._gateway.download(url)
        if content is None:
            return BillUnavailable("the bill could not be downloaded", retry=True)
        return [Bill(f"alipay_{kind}_{day.isoformat()}.zip", content)]
