"""The Alipay simulator: its merchants, its notices, and what its port answers."""

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote_plus, urlencode

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from simulators.alipay import gateway, trades
from simulators.alipay.signing import notice_content, request_content
from simulators.common.bills import BillChange
from simulators.common.books import Order, OrderState, Refund, RefundState
from simulators.common.clock import wall_time
from simulators.common.http import Request, Response
from simulators.common.notices import Notice, NoticeRules, Sender
from simulators.common.orders import OrderSimulator, yuan
from simulators.common.signatures import sign
from simulators.common.simulator import Setup
from simulators.keys import AlipayAccount, Keys, load_private_key, load_public_key

_RETRIES: Final = (240.0, 600.0, 600.0, 3600.0, 7200.0, 21600.0, 54000.0)


@dataclass(frozen=True, slots=True)
class Merchant:
    """One merchant application, with its key objects made once."""

    name: str
    account: AlipayAccount
    app_key: rsa.RSAPublicKey
    alipay_key: rsa.RSAPrivateKey


def build(setup: Setup, keys: Keys) -> "Alipay":
    """The simulator over these merchants."""
    merchants = [
        Merchant(
            name=merchant.name,
            account=merchant.alipay,
            app_key=load_public_key(merchant.alipay.app.public),
            alipay_key=load_private_key(merchant.alipay.alipay.private),
        )
        for merchant in keys.merchants
    ]
    return Alipay(setup, merchants)


class Alipay(OrderSimulator):
    """One pretend Alipay."""

    name = "alipay"

    def __init__(self, setup: Setup, merchants: list[Merchant]) -> None:
        self.merchants = {merchant.account.app_id: merchant for merchant in merchants}
        self.bill_change = BillChange()
        super().__init__(setup)

    def handle_api(self, request: Request) -> Response | Awaitable[Response]:
        """The gateway and the bill download."""
        if request.path == "/gateway.do":
            return gateway.answer(self, request)
        if request.path == "/bill/download":
            return gateway.download_bill(self, request)
        return Response(404)

    def make_sender(self) -> Sender:
        """Ack is the seven bytes `success` with status 200."""
        rules = NoticeRules(self._render, _is_ack, _RETRIES)
        return Sender(rules, self.shelf, self.clock, self.setup.speed)

    def settle_order(self, order: Order) -> None:
        """The payer's identity becomes known."""
        order.payer = order.payer or "2088" + order.id[-12:]

    def payment_notice(self, order: Order, *, amount: int) -> Notice:
        """TRADE_SUCCESS."""
        return self._notice(order, "payment", "TRADE_SUCCESS", amount, {})

    def refund_notice(self, refund: Refund) -> Notice:
        """A refund that moved money tells the trade again, with refund_fee."""
        order = self.books.orders[refund.order_id]
        if refund.state is not RefundState.SUCCESS:
            # Alipay does not tell of a refund that failed: the merchant finds out by asking.
            return self._notice(order, "refund", "TRADE_SUCCESS", order.amount, {}, silent=True)
        refunded = sum(
            each.amount
            for each in self.books.refunds_of(order)
            if each.state is RefundState.SUCCESS
        )
        status = "TRADE_CLOSED" if refunded >= order.amount else "TRADE_SUCCESS"
        more = {
            "refund_fee": yuan(refunded),
            "send_back_fee": yuan(refund.amount),
            "gmt_refund": wall_time(refund.done_at),
            "out_biz_no": refund.out_refund_no,
        }
        return self._notice(order, "refund", status, order.amount, more)

    def merchant_name(self, order: Order) -> str:
        """The merchant application's name."""
        return self.merchants[order.app_id].name

    def return_link(self, order: Order) -> str:
        """return_url with Alipay's signed parameters: for display only, never to credit from."""
        if not order.return_url or order.state is not OrderState.PAID:
            return order.return_url or order.extra.get("quit_url", "")
        now = wall_time(self.clock.seconds())
        account = self.merchants[order.app_id].account
        parameters = {
            "app_id": order.app_id,
            "auth_app_id": order.app_id,
            "charset": "utf-8",
            "method": f"alipay.trade.{order.product}.pay.return",
            "out_trade_no": order.out_trade_no,
            "seller_id": account.seller_id,
            "sign_type": "RSA2",
            "timestamp": now,
            "total_amount": yuan(order.amount),
            "trade_no": order.id,
            "version": "1.0",
        }
        key = self.merchants[order.app_id].alipay_key
        # The return signature leaves sign_type out, as notices do.
        parameters["sign"] = sign(key, notice_content(parameters))
        mark = "&" if "?" in order.return_url else "?"
        return order.return_url + mark + urlencode(parameters)

    def scan(self, content: str) -> str | None:
        """A QR text we gave out, or a signed order string for the app."""
        found = super().scan(content)
        if found is not None or "alipay.trade.app.pay" not in content:
            return found
        parameters = dict(parse_qsl(content.strip(), keep_blank_values=True))
        return trades.open_app_order(self, parameters)

    def change_bill(self, change: dict[str, object]) -> None:
        """Make the next bills differ from the books."""
        self.bill_change = msgspec.convert(change, BillChange)

    def reset(self) -> None:
        """Forget everything, the bill's mistakes too."""
        super().reset()
        self.bill_change = BillChange()

    def _notice(
        self,
        order: Order,
        kind: str,
        status: str,
        amount: int,
        more: Mapping[str, str],
        *,
        silent: bool = False,
    ) -> Notice:
        now = self.clock.seconds()
        paid = yuan(amount)
        payload = {
            "notify_type": "trade_status_sync",
            "notify_id": self.numbers.next(now, digits=34),
            "charset": "utf-8",
            "version": "1.0",
            "app_id": order.app_id,
            "auth_app_id": order.app_id,
            "trade_no": order.id,
            "out_trade_no": order.out_trade_no,
            "buyer_id": order.payer,
            "buyer_logon_id": "138****0000",
            "seller_id": order.merchant,
            "trade_status": status,
            "total_amount": paid,
            "receipt_amount": paid,
            "invoice_amount": paid,
            "buyer_pay_amount": paid,
            "point_amount": "0.00",
            "subject": order.subject,
            "gmt_create": wall_time(order.created_at),
            "gmt_payment": wall_time(order.paid_at),
            "fund_bill_list": f'[{{"amount":"{paid}","fundChannel":"ALIPAYACCOUNT"}}]',
            **more,
        }
        if order.extra.get("passback"):
            payload["passback_params"] = order.extra["passback"]
        return Notice(
            id=payload["notify_id"],
            kind=kind,
            order_id=order.id,
            url="" if silent else order.notify_url,
            payload=payload,
            created_at=now,
        )

    def _render(self, notice: Notice, spoiled: bool) -> tuple[Mapping[str, str], bytes]:  # noqa: FBT001
        parameters = notice.payload | {"notify_time": wall_time(self.clock.seconds())}
        key = self.merchants[parameters["app_id"]].alipay_key
        # The classic mistake, signing sign_type too, is what a wrongly signed notice shows.
        content = notice_content(parameters)
        if spoiled:
            content = request_content(parameters | {"sign_type": "RSA2"}, "utf-8")
        # Most values need no quoting, and asking the library about each adds up.
        told = [
            f"{name}={value if _is_plain(value) else _quoted(value)}"
            for name, value in parameters.items()
        ]
        signature = sign(key, content).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        return _HEADERS, f"{'&'.join(told)}&sign={signature}&sign_type=RSA2".encode()


_is_plain: Final = re.compile(r"[A-Za-z0-9_.\-]*").fullmatch
_HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


@lru_cache(maxsize=512)
def _quoted(value: str) -> str:
    """Times and amounts are the same in many notices."""
    return quote_plus(value)


def _is_ack(status: int, body: bytes) -> bool:
    return status == 200 and body == b"success"
