"""The WeChat Pay simulator: its merchants, its keys, its notices, and what its port answers."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from simulators.common.bills import BillChange
from simulators.common.books import Order, OrderState, Refund, RefundState
from simulators.common.http import Request, Response
from simulators.common.notices import Notice, NoticeRules, Sender
from simulators.common.orders import OrderSimulator
from simulators.common.simulator import Setup
from simulators.keys import Keys, WechatAccount, load_private_key, load_public_key
from simulators.wechat import callup, gateway, shapes
from simulators.wechat.signing import Signer, encrypt

_RETRIES: Final = (
    *(15.0, 15.0, 30.0, 180.0, 600.0, 1200.0, 1800.0, 1800.0),
    *(1800.0, 3600.0, 10800.0, 10800.0, 10800.0, 21600.0, 21600.0),
)
_REFUND_EVENTS: Final = {
    RefundState.SUCCESS: ("REFUND.SUCCESS", "退款成功"),
    RefundState.ABNORMAL: ("REFUND.ABNORMAL", "退款异常"),
    RefundState.CLOSED: ("REFUND.CLOSED", "退款关闭"),
}
_H5_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Merchant:
    """One direct merchant, with its key object made once."""

    name: str
    account: WechatAccount
    key: rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class Platform:
    """WeChat Pay's signers, and the certificate that merchants download."""

    certificate_signer: Signer
    public_key_signer: Signer
    certificate: str

    def signer(self, serial: str) -> Signer:
        """The public key where a merchant names it, else the platform certificate."""
        if serial == self.public_key_signer.serial:
            return self.public_key_signer
        return self.certificate_signer


def build(setup: Setup, keys: Keys) -> "Wechat":
    """The simulator over these merchants."""
    platform = Platform(
        Signer(keys.wechat.platform_serial_no, load_private_key(keys.wechat.platform.private)),
        Signer(keys.wechat.public_key_id, load_private_key(keys.wechat.public.private)),
        keys.wechat.platform_certificate,
    )
    merchants = [
        Merchant(merchant.name, merchant.wechat, load_public_key(merchant.wechat.merchant.public))
        for merchant in keys.merchants
    ]
    return Wechat(setup, platform, merchants)


class Wechat(OrderSimulator):
    """One pretend WeChat Pay."""

    name = "wechat"

    def __init__(self, setup: Setup, platform: Platform, merchants: list[Merchant]) -> None:
        self.platform = platform
        self.merchants = {merchant.account.mchid: merchant for merchant in merchants}
        self.bill_change = BillChange()
        super().__init__(setup)
        self.by_transaction = {
            order.extra["transaction_id"]: order
            for order in self.books.orders.values()
            if "transaction_id" in order.extra
        }

    def forget(self, order: Order) -> None:
        super().forget(order)
        self.by_transaction.pop(order.extra.get("transaction_id", ""), None)

    def handle_api(self, request: Request) -> Response | Awaitable[Response]:
        """API v3, and the page behind an H5 address."""
        if request.path == "/cgi-bin/mmpayweb-bin/checkmweb":
            return self._open_h5(request)
        return gateway.answer(self, request)

    def make_sender(self) -> Sender:
        """Ack is status 200 or 204, whatever the body."""
        rules = NoticeRules(self._render, _is_ack, _RETRIES)
        return Sender(rules, self.shelf, self.clock, self.setup.speed)

    def settle_order(self, order: Order) -> None:
        """The transaction gets its number, the payer an openid."""
        number = self.numbers.next(order.paid_at, prefix="4200")
        order.extra = order.extra | {"transaction_id": number}
        order.payer = order.payer or f"o{order.id[-27:]}"
        self.by_transaction[number] = order

    def payment_notice(self, order: Order, *, amount: int) -> Notice:
        """TRANSACTION.SUCCESS."""
        told = shapes.show_transaction(order, amount=amount)
        return self._notice(order, order.notify_url, "TRANSACTION.SUCCESS", "支付成功", told)

    def refund_notice(self, refund: Refund) -> Notice:
        """REFUND.SUCCESS, ABNORMAL or CLOSED, to the address the refund named."""
        order = self.books.orders[refund.order_id]
        event, summary = _REFUND_EVENTS[refund.state]
        told = shapes.show_refund_notice(order, refund)
        return self._notice(order, refund.notify_url, event, summary, told)

    def merchant_name(self, order: Order) -> str:
        """The direct merchant's name."""
        return self.merchants[order.merchant].name

    def return_link(self, order: Order) -> str:
        """The redirect_url that came with the H5 address."""
        return order.return_url

    def scan(self, content: str) -> str | None:
        """A code_url, an h5_url, a prepay_id, or the signed object that calls up the app."""
        found = super().scan(content)
        if found is not None:
            return found
        prepay_id = callup.read_prepay_id(self, content.strip())
        return super().scan(prepay_id) if prepay_id else None

    def change_bill(self, change: dict[str, object]) -> None:
        """Make the next bills differ from the books."""
        self.bill_change = msgspec.convert(change, BillChange)

    def reset(self) -> None:
        """Forget everything, the bill's mistakes too."""
        super().reset()
        self.by_transaction.clear()
        self.bill_change = BillChange()

    def _open_h5(self, request: Request) -> Response:
        """The middle page: it lives 5 minutes, then sends the browser to the phone."""
        query = parse_qs(urlsplit(request.target).query)
        found = OrderSimulator.scan(self, query.get("prepay_id", [""])[0])
        if found is None:
            return Response(404)
        order = self.books.orders[found]
        if self.clock.seconds() > float(order.extra.get("linked_at", "0")) + _H5_SECONDS:
            page = (
                "<!DOCTYPE html><meta charset=utf-8><title>微信支付</title><h1>支付链接已过期</h1>"
            )
            return Response(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
        if "redirect_url" in query and order.state is not OrderState.PAID:
            order.return_url = query["redirect_url"][0]
            self.books.save_order(order)
        return Response(302, b"", {"Location": f"/phone/order/wechat/{order.id}"})

    def _notice(
        self, order: Order, url: str, event: str, summary: str, told: dict[str, object]
    ) -> Notice:
        now = self.clock.seconds()
        number = "EV-" + self.numbers.next(now, digits=24)
        return Notice(
            id=number,
            kind="payment" if event.startswith("TRANSACTION") else "refund",
            order_id=order.id,
            url=url,
            payload={
                "mchid": order.merchant,
                "signer": order.extra.get("signer", ""),
                "create_time": shapes.stamp(now),
                "event_type": event,
                "summary": summary,
                "plain": msgspec.json.encode(told).decode(),
            },
            created_at=now,
        )

    def _render(self, notice: Notice, spoiled: bool) -> tuple[Mapping[str, str], bytes]:  # noqa: FBT001
        payload = notice.payload
        kind = "transaction" if notice.kind == "payment" else "refund"
        account = self.merchants[payload["mchid"]].account
        sealed = encrypt(account.apiv3_key, payload["plain"].encode(), kind)
        body = msgspec.json.encode(
            {
                "id": notice.id,
                "create_time": payload["create_time"],
                "resource_type": "encrypt-resource",
                "event_type": payload["event_type"],
                "summary": payload["summary"],
                "resource": {"original_type": kind} | sealed,
            }
        )
        signer = self.platform.signer(payload["signer"])
        headers = signer.headers(body, int(self.clock.seconds()), spoiled=spoiled)
        return headers | {"Content-Type": "application/json"}, body


def _is_ack(status: int, _: bytes) -> bool:
    return status in (200, 204)
