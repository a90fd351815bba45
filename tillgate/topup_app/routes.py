"""The addresses of the top-up pages, and the rules at their door.

    Pages(Parts(db=…, clock=…, vault=…, providers=…, payments=…, top_ups=…, base_url=…)).application()

Whoever holds a link may look and order; there are no cookies. An order is only taken as JSON sent
by a page of our own origin, so no other site can place one in a customer's browser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.ids import new_id
from tillgate.kernel.money import CURRENCIES, Money
from tillgate.payments.flows import Payments
from tillgate.payments.providers import Providers
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import Vault
from tillgate.topup_app import amounts, offline, reading, refusing
from tillgate.topup_app.assets import Assets
from tillgate.topup_app.devices import device_of, presentation_of
from tillgate.topup_app.door import Answer, Door, NothingNamed
from tillgate.topup_app.hosted import HostedPages
from tillgate.topup_app.languages import signs_of
from tillgate.topup_app.links import PREFIX, Link, read_token
from tillgate.topup_app.live import Live, code_of
from tillgate.topup_app.offline import OFFLINE
from tillgate.topup_app.ordering import Asked, Caller, Ordering, Renewal
from tillgate.topup_app.orders import Order
from tillgate.topup_app.rendering import Renderer
from tillgate.topup_app.watching import Watcher
from tillgate.topups.flows import TopUps

_PAGE: Final = 20
_read_asked = msgspec.json.Decoder(Asked).decode
_read_renewal = msgspec.json.Decoder(Renewal).decode

Handler = Callable[[Request, Link], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the pages are made of."""

    db: Database
    clock: Clock
    vault: Vault
    providers: Providers
    payments: Payments
    top_ups: TopUps
    base_url: str
    #: Where the demo's top-up page is, while there is a demo.
    demo_page: Callable[[], str | None] = lambda: None
    #: The simulators' phone, to be offered in test mode.
    phone_url: str | None = None
    orders_per_minute: int = 30
    requests_per_minute: int = 300


class Pages:
    """The top-up pages of one process. `close` ends the streams, so that the server can end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._assets = Assets()
        self._renderer = Renderer(self._assets, parts.phone_url)
        self._ordering = Ordering(
            parts.db, parts.payments, parts.top_ups, parts.providers, parts.base_url
        )
        self._door = Door(
            self._renderer,
            parts.clock,
            parts.base_url,
            per_minute=parts.requests_per_minute,
            orders=parts.orders_per_minute,
        )
        self.watcher = Watcher(parts.db, parts.clock)
        self._live = Live(self.watcher, parts.clock)
        self._hosted = HostedPages(
            parts.db,
            parts.clock,
            self._renderer,
            self._door,
            self._live,
            base_url=parts.base_url,
        )

    def application(self) -> Starlette:
        """Return the pages as an application, to be mounted at the root."""
        return Starlette(routes=self._routes(), exception_handlers={404: self._missing})

    def _routes(self) -> list[BaseRoute]:
        wallet, order = f"{PREFIX}/{{token}}", f"{PREFIX}/{{token}}/orders/{{order}}"
        return [
            Route("/", self._welcome),
            Route(f"{PREFIX}/static/{{name}}", self._static),
            Route(f"{PREFIX}/worker.js", self._worker),
            Route(OFFLINE, self._offline),
            *self._hosted.routes(),
            Route(wallet, self._guarded(self._home)),
            Route(f"{wallet}/history", self._guarded(self._history)),
            Route(f"{wallet}/orders", self._guarded(self._place), methods=["POST"]),
            Route(f"{wallet}/orders", self._guarded(self._find)),
            Route(order, self._guarded(self._order)),
            Route(f"{order}/cancel", self._guarded(self._cancel), methods=["POST"]),
            Route(f"{order}/again", self._guarded(self._again), methods=["POST"]),
            Route(f"{order}/code.svg", self._guarded(self._code)),
            Route(f"{order}/state", self._guarded(self._state)),
            Route(f"{order}/events", self._guarded(self._events)),
        ]

    async def close(self) -> None:
        """Let waiting pages go; they come back to whoever serves next."""
        await self.watcher.close()

    # Pages -------------------------------------------------------------------------------------

    async def _home(self, request: Request, link: Link) -> Response:
        device = device_of(request.headers)
        found = await reading.home(self._parts.db, self._parts.providers, link, device)
        code = found.place.wallet.currency
        return self._renderer.page(
            request,
            "home.html",
            link=link,
            page=found,
            presets=amounts.presets(code),
            most=amounts.largest(code),
            signs=signs_of(code),
            chosen=chosen_in(request, code),
            presentation_of=presentation_of,
            now=self._parts.clock.now(),
        )

    async def _history(self, request: Request, link: Link) -> Response:
        tab = "top_ups" if request.query_params.get("tab") == "top_ups" else "movements"
        after = request.query_params.get("after")
        found = await reading.history(self._parts.db, link, tab, after, _PAGE)
        return self._renderer.page(
            request, "history.html", link=link, page=found, tab=tab, after=after
        )

    async def _order(self, request: Request, link: Link) -> Response:
        found = await reading.order_page(self._parts.db, link, request.path_params["order"])
        return self._renderer.page(
            request,
            "order.html",
            link=link,
            page=found,
            order=found.order,
            now=self._parts.clock.now(),
        )

    async def _code(self, request: Request, link: Link) -> Response:
        return code_of(await self._read(link, request.path_params["order"]))

    async def _welcome(self, request: Request) -> Response:
        return self._renderer.page(request, "welcome.html", demo=self._parts.demo_page())

    async def _static(self, request: Request) -> Response:
        asset = self._assets.find(request.path_params["name"])
        if asset is None:
            return Response(status_code=404)
        headers = {
            "Content-Type": asset.content_type,
            "Cache-Control": "public, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
            "Vary": "Accept-Encoding",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.zipped, headers={**headers, "Content-Encoding": "gzip"})
        return Response(asset.body, headers=headers)

    async def _worker(self, request: Request) -> Response:
        return offline.script_of(self._assets)

    async def _missing(self, request: Request, _: Exception) -> Response:
        """Tell people kindly that an address leads nowhere; programs hear two words."""
        if request.method == "POST" or "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse("Not Found", 404)
        return refusing.answer(self._renderer, request, NothingNamed(), home=None)

    async def _offline(self, request: Request) -> Response:
        return self._renderer.page(request, "offline.html")

    # Live --------------------------------------------------------------------------------------

    async def _state(self, request: Request, link: Link) -> Response:
        return self._live.state(await self._read(link, request.path_params["order"]))

    async def _events(self, request: Request, link: Link) -> Response:
        order = await self._read(link, request.path_params["order"])

        async def again() -> Order:
            return await self._read(link, order.id)

        return self._live.events(link.merchant_id, order, again)

    # Orders ------------------------------------------------------------------------------------

    async def _place(self, request: Request, link: Link) -> Response:
        body = await self._door.read_body(request)
        caller = self._caller(request, link)
        order = await self._ordering.place(caller, _decoded(_read_asked, body))
        return self._ordered(link, order)

    async def _find(self, request: Request, link: Link) -> Response:
        """Return the order of a reference whose answer was lost, if it arrived; place nothing."""
        found = await self._ordering.find(link, request.query_params.get("reference", ""))
        return Response(status_code=404) if found is None else self._ordered(link, found)

    async def _cancel(self, request: Request, link: Link) -> Response:
        await self._door.read_body(request)
        caller = self._caller(request, link)
        order = await self._ordering.cancel(caller, request.path_params["order"])
        return self._ordered(link, order)

    async def _again(self, request: Request, link: Link) -> Response:
        body = await self._door.read_body(request)
        caller = self._caller(request, link)
        renewal = _decoded(_read_renewal, body)
        order = await self._ordering.renew(caller, request.path_params["order"], renewal.reference)
        return self._ordered(link, order)

    def _ordered(self, link: Link, order: Order) -> Response:
        return JSONResponse(
            {**self._live.shown(order), "page": f"{link.path}/orders/{order.id}", "go": order.url},
            headers={"Cache-Control": "no-store"},
        )

    def _caller(self, request: Request, link: Link) -> Caller:
        ip = request.client.host if request.client else None
        self._door.count_order(link.holder, ip)
        return Caller(link, device_of(request.headers), ip, new_id("req"))

    async def _read(self, link: Link, top_up_id: str) -> Order:
        async with self._parts.db.transaction(readonly=True) as tx:
            return await reading.order(tx, link, top_up_id)

    async def _open(self, request: Request) -> Link:
        at = self._parts.clock.now()
        return read_token(self._parts.vault, request.path_params["token"], at=at)

    def _guarded(self, handler: Handler) -> Answer:
        return self._door.guarded(self._open, handler)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the address has filled in ahead: a preset's amount or another, and the method."""

    amount: int | None
    other: str
    method: str | None


def chosen_in(request: Request, code: str) -> Chosen:
    """Read what a former order, or the shop's link, asked for."""
    text = request.query_params.get("amount", "")
    amount = int(text) if text.isascii() and text.isdigit() and len(text) < 13 else None
    known = {preset.minor for preset in amounts.presets(code)}
    other = "" if amount is None or amount in known else Money(amount, CURRENCIES[code]).major()
    return Chosen(amount, other, request.query_params.get("method"))


Body = TypeVar("Body")


def _decoded(decode: Callable[[bytes], Body], body: bytes) -> Body:
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FieldRefused("body", str(error), code="body_unreadable") from None
