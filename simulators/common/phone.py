"""The phone: the page where a person scans or opens an order and pays, declines or closes it.

It is mounted under `/phone/` on every simulator's port and shows the orders of all of them. An
Alipay page or wap order and a WeChat H5 order lead here by redirect. No inline script or style.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from simulators.common.clock import in_beijing
from simulators.common.http import Request, Response
from simulators.common.pages import Pages
from simulators.common.phone_texts import TEXTS
from simulators.common.simulator import NoSuchOrder, PhoneOrder, Simulator, WrongState

PREFIX: Final = "/phone/"
_PAGES: Final = Pages(Path(__file__).parent, TEXTS, PREFIX)
_SYMBOLS: Final = {"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "HKD": "HK$"}
_DECIMALS: Final = {"JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "BHD": 3, "JOD": 3, "OMR": 3, "TND": 3}
_DEEDS: Final = ("pay", "decline", "close")


@dataclass(frozen=True, slots=True)
class Card:
    """One order as a page shows it."""

    order: PhoneOrder
    amount: str
    address: str
    created: datetime
    expires: datetime


class Phone:
    """The phone over the simulators of one process."""

    def __init__(self, simulators: Mapping[str, Simulator]) -> None:
        self._simulators = simulators

    def mount(self, _: Simulator, request: Request) -> Response | Awaitable[Response]:
        """Answer one request under `/phone/`."""
        parts = request.path.removeprefix(PREFIX).strip("/").split("/")
        try:
            match request.method, parts:
                case "GET", ["static", name]:
                    return _PAGES.static(name)
                case "GET", [""]:
                    return self._list(request)
                case "GET", ["order", provider, number]:
                    return self._order(request, provider, number)
                case "POST", _ if not _is_own_form(request):
                    return self._missing(request, 403)
                case "GET" | "POST", ["scan"]:
                    return self._scan(request)
                case "POST", ["order", provider, number, deed] if deed in _DEEDS:
                    return self._act(provider, number, deed)
                case _:
                    return self._missing(request, 404)
        except NoSuchOrder:
            return self._missing(request, 404)

    def _list(self, request: Request, note: str = "") -> Response:
        orders = [
            order for simulator in self._simulators.values() for order in simulator.phone_orders()
        ]
        orders.sort(key=lambda order: order.created_at, reverse=True)
        waiting = [_card(order) for order in orders if order.status == "waiting"]
        done = [_card(order) for order in orders if order.status != "waiting"][:20]
        return _PAGES.show(request, "list.html", waiting=waiting, done=done, note=note)

    def _order(self, request: Request, provider: str, number: str) -> Response:
        order = self._simulator(provider).open_order(number)
        deeds = _DEEDS if order.status == "waiting" else ()
        note = request.query().get("note", "")
        # Who is told something stays to read it.
        goes_back = (
            bool(order.return_to) and not note and order.status in ("paid", "declined", "closed")
        )
        return _PAGES.show(
            request, "order.html", card=_card(order), deeds=deeds, note=note, goes_back=goes_back
        )

    def _act(self, provider: str, number: str, deed: str) -> Response:
        simulator = self._simulator(provider)
        acts: Mapping[str, Callable[[], PhoneOrder]] = {
            "pay": lambda: simulator.pay(number),
            "decline": lambda: simulator.decline(number),
            "close": lambda: simulator.close(number),
        }
        address = f"/phone/order/{provider}/{quote(number, safe='')}"
        try:
            order = acts[deed]()
        except WrongState:
            is_declined = simulator.phone_order(number).status == "declined"
            return _see(f"{address}?note={'not_again' if is_declined else 'too_late'}")
        is_refused = order.status == "waiting"
        return _see(f"{address}?note=declined" if is_refused else address)

    def _scan(self, request: Request) -> Response:
        """Open the order behind a code, which was typed in or stands in the address."""
        given = request.form() if request.method == "POST" else request.query()
        content = given.get("content", "").strip()
        for name, simulator in self._simulators.items():
            found = simulator.scan(content) if content else None
            if found is not None:
                return _see(f"/phone/order/{name}/{quote(found, safe='')}")
        linked = _own_order_path(content)
        return _see(linked) if linked else self._list(request, note="unknown_code")

    def _missing(self, request: Request, status: int) -> Response:
        page = _PAGES.show(request, "missing.html")
        return Response(status, page.body, page.headers)

    def _simulator(self, provider: str) -> Simulator:
        try:
            return self._simulators[provider]
        except KeyError:
            raise NoSuchOrder(provider) from None


def money(amount: int, currency: str) -> str:
    """The amount as a person reads it."""
    decimals = _DECIMALS.get(currency, 2)
    whole, part = divmod(amount, 10**decimals)
    shown = f"{whole:,}" + (f".{part:0{decimals}d}" if decimals else "")
    symbol = _SYMBOLS.get(currency)
    return f"{symbol}{shown}" if symbol else f"{shown} {currency}"


def _card(order: PhoneOrder) -> Card:
    return Card(
        order=order,
        amount=money(order.amount, order.currency.upper()),
        address=f"/phone/order/{order.provider}/{quote(order.id, safe='')}",
        created=in_beijing(order.created_at),
        expires=in_beijing(order.expires_at),
    )


def _is_own_form(request: Request) -> bool:
    """Whether the form was sent from a page of ours; other sites may not pay for the person."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.host_port


def _own_order_path(content: str) -> str | None:
    """A pasted address of our own: an order's page, or the page behind an H5 address."""
    parts = urlsplit(content)
    if parts.path.startswith("/phone/order/"):
        return parts.path
    if parts.path == "/cgi-bin/mmpayweb-bin/checkmweb" and parse_qs(parts.query).get("prepay_id"):
        return f"{parts.path}?{parts.query}"
    return None


def _see(address: str) -> Response:
    return Response(303, b"", {"Location": address, "Cache-Control": "no-store"})
