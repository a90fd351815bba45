"""The addresses of the top-up pages, and the rules at their door.

    Pages(Parts(db=…, clock=…, vault=…, providers=…, payments=…, top_ups=…, base_url=…)).routes()

Whoever holds a link may look and order; there are no cookies. An order is only taken as JSON sent
by a page of our own origin, so no other site can place one in a customer's browser.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import msgspec
import segno
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import FieldRefused, Kind, Refusal
from tillgate.kernel.ids import new_id
from tillgate.kernel.money import CURRENCIES, Money
from tillgate.payments.flows import Payments
from tillgate.payments.providers import Providers
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import Vault
from tillgate.topup_app import amounts, reading, refusing
from tillgate.topup_app.assets import Assets
from tillgate.topup_app.devices import device_of, presentation_of
from tillgate.topup_app.limits import Limit
from tillgate.topup_app.links import PREFIX, Link, read_token
from tillgate.topup_app.ordering import Asked, Caller, Ordering
from tillgate.topup_app.orders import Order
from tillgate.topup_app.rendering import SECURITY, Renderer
from tillgate.topup_app.watching import Watcher
from tillgate.topups.flows import TopUps

_MOST_BYTES: Final = 4_096
_PAGE: Final = 20
_BEAT_SECONDS: Final = 15.0
#: A browser comes back by itself; a stream that lives for ever would be held by a dead network.
_BEATS: Final = 40
_log = logging.getLogger("tillgate.topup_app")
_read_asked = msgspec.json.Decoder(Asked).decode

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
    #: The simulators' phone, to be offered in test mode.
    phone_url: str | None = None
    orders_per_minute: int = 30
    requests_per_minute: int = 300


class ForeignSite(Refusal):
    """The request did not come from a page of ours."""

    kind = Kind.FORBIDDEN
    code = "foreign_site"


class Pages:
    """The top-up pages of one process. `close` ends the streams, so that the server can end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._assets = Assets()
        self._renderer = Renderer(self._assets, parts.phone_url)
        self._ordering = Ordering(
            parts.db, parts.payments, parts.top_ups, parts.providers, parts.base_url
        )
        self.watcher = Watcher(parts.db, parts.clock)
        orders, requests = parts.orders_per_minute, parts.requests_per_minute
        self._orders = Limit(burst=10, per_minute=orders)
        self._requests = Limit(burst=120, per_minute=requests)
        # A whole shop may stand behind one address.
        self._orders_from = Limit(burst=100, per_minute=orders * 10)
        self._requests_from = Limit(burst=1_200, per_minute=requests * 10)

    def routes(self) -> list[BaseRoute]:
        """Return the routes, to be mounted at the root."""
        wallet, order = f"{PREFIX}/{{token}}", f"{PREFIX}/{{token}}/orders/{{order}}"
        return [
            Route(f"{PREFIX}/static/{{name}}", self._static),
            Route(wallet, self._guarded(self._home)),
            Route(f"{wallet}/history", self._guarded(self._history)),
            Route(f"{wallet}/orders", self._guarded(self._place), methods=["POST"]),
            Route(f"{wallet}/orders", self._guarded(self._find)),
            Route(order, self._guarded(self._order)),
            Route(f"{order}/cancel", self._guarded(self._cancel), methods=["POST"]),
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
            device=device,
            presets=amounts.presets(code),
            most=amounts.largest(code),
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
        order = await self._read(link, request.path_params["order"])
        if order.code is None:
            return Response(status_code=404)
        return Response(
            draw_code(order.code),
            media_type="image/svg+xml",
            headers={**SECURITY, "Cache-Control": "private, max-age=900"},
        )

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

    # Live --------------------------------------------------------------------------------------

    async def _state(self, request: Request, link: Link) -> Response:
        order = await self._read(link, request.path_params["order"])
        return JSONResponse(self._shown(order), headers={"Cache-Control": "no-store"})

    async def _events(self, request: Request, link: Link) -> Response:
        order = await self._read(link, request.path_params["order"])
        return StreamingResponse(
            self._stream(link, order),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _stream(self, link: Link, order: Order) -> AsyncIterator[bytes]:
        """Say where the order stands, and again whenever that changes, until its end."""
        yield b"retry: 2000\n\n" + self._event(order)
        try:
            async with self.watcher.watch(link.merchant_id, order.payment_id) as watched:
                for _ in range(_BEATS):
                    if not order.is_open or self.watcher.is_closed:
                        return
                    seen = await self.watcher.next_change(watched, order.version, _BEAT_SECONDS)
                    if seen is None:
                        yield b": still here\n\n"
                        continue
                    order = await self._read(link, order.id)
                    yield self._event(order)
        except Refusal as refusal:
            _log.info("a stream ended: %s", refusal.message)

    def _event(self, order: Order) -> bytes:
        return b"data: %s\n\n" % msgspec.json.encode(self._shown(order))

    def _shown(self, order: Order) -> dict[str, object]:
        """What a waiting page has to know; the rest it reads as a page."""
        return {
            "version": order.version,
            "stage": order.stage.value,
            "open": order.is_open,
            "now": int(self._parts.clock.now().timestamp() * 1000),
        }

    # Orders ------------------------------------------------------------------------------------

    async def _place(self, request: Request, link: Link) -> Response:
        body = await self._read_body(request)
        caller = self._caller(request, link)
        order = await self._ordering.place(caller, _asked_in(body))
        return self._ordered(link, order)

    async def _find(self, request: Request, link: Link) -> Response:
        """Return the order of a reference whose answer was lost, if it arrived; place nothing."""
        found = await self._ordering.find(link, request.query_params.get("reference", ""))
        return Response(status_code=404) if found is None else self._ordered(link, found)

    async def _cancel(self, request: Request, link: Link) -> Response:
        await self._read_body(request)
        caller = self._caller(request, link)
        order = await self._ordering.cancel(caller, request.path_params["order"])
        return self._ordered(link, order)

    def _ordered(self, link: Link, order: Order) -> Response:
        return JSONResponse(
            {**self._shown(order), "page": f"{link.path}/orders/{order.id}", "go": order.url},
            headers={"Cache-Control": "no-store"},
        )

    def _caller(self, request: Request, link: Link) -> Caller:
        ip = request.client.host if request.client else None
        now = self._parts.clock.now()
        self._orders.take(link.holder, now)
        self._orders_from.take(ip or "", now)
        return Caller(link, device_of(request.headers), ip, new_id("req"))

    async def _read_body(self, request: Request) -> bytes:
        _require_own_page(request, self._parts.base_url)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise FieldRefused("body", "The body is too large.")
        return body

    async def _read(self, link: Link, top_up_id: str) -> Order:
        async with self._parts.db.transaction(readonly=True) as tx:
            return await reading.order(tx, link, top_up_id)

    # The door ----------------------------------------------------------------------------------

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Open the link first; answer every refusal in the customer's language."""

        @functools.wraps(handler)
        async def answer(request: Request) -> Response:
            home: str | None = None
            try:
                now = self._parts.clock.now()
                self._requests_from.take(request.client.host if request.client else "", now)
                link = read_token(self._parts.vault, request.path_params["token"], at=now)
                home = link.path
                self._requests.take(link.holder, now)
                return await handler(request, link)
            except Refusal as refusal:
                return refusing.answer(self._renderer, request, refusal, home=home)
            except Exception:  # noqa: BLE001  the edge: logged, and the customer hears of it
                _log.exception("a page failed")
                return refusing.answer(self._renderer, request, None, home=home)

        return answer


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


@functools.lru_cache(maxsize=256)
def draw_code(content: str) -> bytes:
    """Return a QR code as SVG, with the quiet zone that scanners want."""
    out = io.BytesIO()
    segno.make(content, error="m", micro=False).save(
        out, kind="svg", border=4, xmldecl=False, omitsize=True, dark="#000", light="#fff"
    )
    return out.getvalue()


def _asked_in(body: bytes) -> Asked:
    try:
        return _read_asked(body)
    except msgspec.MsgspecError as error:
        raise FieldRefused("body", str(error)) from None


def _require_own_page(request: Request, base_url: str) -> None:
    """Refuse what another site sends: simple requests lack the content type, others the origin."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = {urlsplit(base_url).netloc, request.headers.get("host", "")}
    foreign = origin is not None and urlsplit(origin).netloc not in own
    if kind != "application/json" or foreign or site not in {None, "same-origin"}:
        raise ForeignSite
