"""The rules at the door of every page: how often, from where, and how a refusal is answered."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import FieldRefused, Kind, Refusal
from tillgate.topup_app import refusing
from tillgate.topup_app.limits import Limit
from tillgate.topup_app.rendering import Renderer

_MOST_BYTES: Final = 4_096
_log = logging.getLogger("tillgate.topup_app")


class Opened(Protocol):
    """What a good link opens."""

    @property
    def holder(self) -> str:
        """The same for every link to the same thing."""
        ...

    @property
    def home(self) -> str | None:
        """Where a customer goes on from a refusal."""
        ...


Thing = TypeVar("Thing", bound=Opened)
Answer = Callable[[Request], Awaitable[Response]]


class ForeignSite(Refusal):
    """The request did not come from a page of ours."""

    kind = Kind.FORBIDDEN
    code = "foreign_site"


class NothingNamed(Refusal):
    """Nothing has such a name."""

    kind = Kind.NOT_FOUND


class Door:
    """Counts who comes, and answers refusals in the customer's language."""

    def __init__(
        self, renderer: Renderer, clock: Clock, base_url: str, *, per_minute: int, orders: int
    ) -> None:
        self._renderer = renderer
        self._clock = clock
        self._base_url = base_url
        self._orders = Limit(burst=10, per_minute=orders)
        self._requests = Limit(burst=120, per_minute=per_minute)
        # A whole shop may stand behind one address.
        self._orders_from = Limit(burst=100, per_minute=orders * 10)
        self._requests_from = Limit(burst=1_200, per_minute=per_minute * 10)

    def guarded(
        self,
        open_link: Callable[[Request], Awaitable[Thing]],
        handler: Callable[[Request, Thing], Awaitable[Response]],
    ) -> Answer:
        """Open the link first; answer every refusal in the customer's language."""

        @functools.wraps(handler)
        async def answer(request: Request) -> Response:
            home: str | None = None
            try:
                now = self._clock.now()
                self._requests_from.take(request.client.host if request.client else "", now)
                refuse_what_names_nothing(request)
                opened = await open_link(request)
                home = opened.home
                self._requests.take(opened.holder, now)
                return await handler(request, opened)
            except Refusal as refusal:
                return refusing.answer(self._renderer, request, refusal, home=home)
            except Exception:  # noqa: BLE001  the edge: logged, and the customer hears of it
                _log.exception("a page failed")
                return refusing.answer(self._renderer, request, None, home=home)

        return answer

    def count_order(self, holder: str, ip: str | None) -> None:
        """Orders are counted apart: each may be a call to a provider."""
        now = self._clock.now()
        self._orders.take(holder, now)
        self._orders_from.take(ip or "", now)

    async def read_body(self, request: Request) -> bytes:
        """Read a small body sent by a page of ours."""
        require_own_page(request, self._base_url)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise FieldRefused("body", "The body is too large.", code="body_too_large")
        return body


def refuse_what_names_nothing(request: Request) -> None:
    """Refuse a NUL: no name of ours has one, and the database would not hear of it."""
    if any("\x00" in text for text in (request.scope["path"], *request.query_params.values())):
        raise NothingNamed


def require_own_page(request: Request, base_url: str) -> None:
    """Refuse what another site sends: simple requests lack the content type, others the origin."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = {urlsplit(base_url).netloc, request.headers.get("host", "")}
    foreign = origin is not None and _place_of(origin) not in own
    if kind != "application/json" or foreign or site not in {None, "same-origin"}:
        raise ForeignSite


def _place_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None
