"""The connector to WeChat Pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from tillgate.connectors.client import Client, confirmed
from tillgate.connectors.port import (
    Ack,
    BadNotice,
    Bill,
    BillUnavailable,
    Charge,
    Closed,
    KeyUnknown,
    NotFound,
    Notice,
    NotSent,
    Outcome,
    Presentation,
    RefundOrder,
    RefundOutcome,
    Unknown,
)
from tillgate.connectors.wechat import notices, presenting, signing, wire
from tillgate.connectors.wechat.api import Api
from tillgate.connectors.wechat.config import WechatAccount
from tillgate.kernel.money import Money


class WechatPay:
    """Takes charges by QR code (native), JSAPI, H5 and app, in yuan."""

    name = "wechat_pay"
    presentations: frozenset[Presentation] = frozenset({"qr", "jsapi", "h5", "app"})
    currencies = frozenset({"cny"})

    def __init__(self, account: WechatAccount, client: Client) -> None:
        self._account = account
        self._api = Api(account, client)

    @property
    def account(self) -> str:
        """What the provider calls our account; what `Paid` says must be the same."""
        return self._account.mchid

    async def charge(self, charge: Charge, *, now: datetime) -> Outcome:
        """Make the order; the same order again is answered with a fresh way to pay it."""
        lacking = wire.unfit(charge)
        if lacking is not None:
            return lacking
        path = f"/v3/pay/transactions/{wire.PRODUCTS[charge.presentation]}"
        body = wire.charge_body(self._account, charge)
        answer = await self._api.post("charge", path, body, now)
        if isinstance(answer, Unknown | NotSent):
            return answer
        if isinstance(answer, wire.Refusal):
            return wire.charge_refusal(answer)
        return presenting.present(self._account, answer, charge, now)

    async def look_up(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Outcome | Closed | NotFound:
        """Ask for the order by our number."""
        path = f"{wire.order_path(attempt_id)}?mchid={self._account.mchid}"
        answer = await self._api.get("look_up", path, now)
        if isinstance(answer, Unknown):
            return answer
        if isinstance(answer, wire.Refusal):
            return wire.not_found(answer)
        return wire.trade_outcome(self._account, answer, attempt_id)

    async def close(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Outcome | Closed | NotFound:
        """Close it; once `Closed` it can never be paid."""
        path, body = wire.order_path(attempt_id, "/close"), wire.close_body(self._account)
        answer = await self._api.post("close", path, body, now)
        if isinstance(answer, Unknown):
            return answer
        if isinstance(answer, wire.Refusal | NotSent):
            # Refused, most often because it is paid or unknown: the order tells.
            return await self.look_up(attempt_id, reference, amount, since=since, now=now)
        return Closed()

    async def refund(self, order: RefundOrder, *, now: datetime) -> RefundOutcome:
        """Give money back, once for each `refund_id`."""
        answer = await self._api.post("refund", wire.REFUNDS, wire.refund_body(order), now)
        if isinstance(answer, Unknown | NotSent):
            return answer
        if not isinstance(answer, wire.Refusal):
            return wire.refund_outcome(answer, order)
        return await confirmed(
            wire.refund_refusal(answer), lambda: self.look_up_refund(order, None, now=now)
        )

    async def look_up_refund(
        self, order: RefundOrder, provider_reference: str | None, *, now: datetime
    ) -> RefundOutcome | NotFound:
        """Ask for the refund by our number."""
        answer = await self._api.get("look_up_refund", wire.refund_path(order.refund_id), now)
        if isinstance(answer, Unknown):
            return answer
        if isinstance(answer, wire.Refusal):
            return wire.not_found(answer)
        return wire.refund_outcome(answer, order)

    def read_notice(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and read a notice; `KeyUnknown` where its certificate is not known yet."""
        if not signing.is_fresh(headers, now):
            raise BadNotice("the notice is not of now")
        key = self._api.keys.find(headers.get("wechatpay-serial", ""), now)
        if key is None:
            raise KeyUnknown("the notice is signed with a key we do not know")
        if not signing.is_genuine(key, headers, body):
            raise BadNotice("the notice is not signed by WeChat Pay")
        return notices.read(self._account, body)

    async def refresh_keys(self, *, now: datetime) -> None:
        """Fetch the platform certificates anew."""
        await self._api.refresh_keys(now)

    def ack(self, *, accepted: bool) -> Ack:
        """Return 200, or an error to be told again."""
        return wire.ack(accepted=accepted)

    async def bill(
        self, day: date, kind: str, *, now: datetime
    ) -> Sequence[Bill] | BillUnavailable:
        """Return the day's CSV as it came; `kind` is `trade` or `fundflow`."""
        name = f"wechat_pay_{kind}_{day.isoformat()}.csv"
        found = await self._api.bill(wire.bill_path(day, kind), name, now)
        return found if isinstance(found, BillUnavailable) else [found]
