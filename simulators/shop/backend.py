"""The shop's server.

    POST /webhooks          Tillgate's deliveries: 200 when both signatures are good, else 400
    GET  /                  what came, for a person
    GET  /rows?since=N      what came after N, for the page: 204 when nothing did
    GET  /_control/         {"has_secret", "endpoint", "received", "refused"}; loopback programs only
    POST /_control/secret   {"secret": "whsec_…", "endpoint": "we_…"}

Before a secret is known nothing can be checked: the answer is 503, and the sender tries again.
Deliveries live in memory; the secret is kept beside the simulators' keys (mode 0600).
"""

from pathlib import Path
from typing import Final

import msgspec

from simulators.common.clock import Clock, in_utc
from simulators.common.control import is_own_program
from simulators.common.http import Request, Response, Server, json_response
from simulators.common.pages import Pages
from simulators.keys import write_private
from simulators.shop import signatures
from simulators.shop.deliveries import KEPT, Deliveries
from simulators.shop.texts import TEXTS

_PAGES: Final = Pages(Path(__file__).parent, TEXTS, "/")
_RETRY: Final = {"Retry-After": "2"}


class Known(msgspec.Struct):
    """What Tillgate gave the merchant when the endpoint was made."""

    secret: str = ""
    endpoint: str = ""


class Shop:
    """The merchant's backend on one port. `data` is a folder, or None to forget at the end."""

    def __init__(self, host: str, port: int, data: Path | None) -> None:
        self.server = Server(self._handle, host, port)
        self.deliveries = Deliveries()
        self._clock = Clock()
        self._file = data / "shop.json" if data else None
        self._known = Known()
        # Tells a page that the shop was started anew and its numbers mean nothing any more.
        self._life = format(int(self._clock.seconds() * 1000), "x")

    async def start(self) -> None:
        """Listen, with the secret of the last time."""
        if self._file is not None and self._file.exists():
            self._known = msgspec.json.decode(self._file.read_bytes(), type=Known)
        await self.server.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self.server.stop()

    def _handle(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        match request.method, parts:
            case "POST", ["webhooks"]:
                return self._receive(request)
            case "GET", [""]:
                return self._page(request)
            case "GET", ["rows"]:
                return self._rows(request)
            case "GET", ["static", name]:
                return _PAGES.static(name)
            case _, ["_control", *rest] if is_own_program(request):
                return self._control(request, rest)
            case _:
                return Response(404)

    def _receive(self, request: Request) -> Response:
        if not self._known.secret:
            return Response(503, b"no secret yet", _RETRY)
        now, secret = self._clock.seconds(), self._known.secret
        verdicts = (
            signatures.stripe(request.headers, request.body, secret, now),
            signatures.standard(request.headers, request.body, secret, now),
        )
        delivery = self.deliveries.add(request.body, in_utc(now), verdicts)
        if delivery.is_trusted:
            return Response(200, b"thank you")
        return Response(400, f"stripe {verdicts[0]}, standard {verdicts[1]}".encode())

    def _page(self, request: Request) -> Response:
        return _PAGES.show(
            request,
            "page.html",
            rows=self.deliveries.newer_than(0),
            deliveries=self.deliveries,
            life=self._life,
            endpoint=self._known.endpoint,
            kept=KEPT,
        )

    def _rows(self, request: Request) -> Response:
        life, _, since = request.query().get("since", "").partition("-")
        if life != self._life or not since.isdecimal():
            return Response(409)
        rows = self.deliveries.newer_than(int(since[:18]))
        if not rows:
            return Response(204, headers={"Cache-Control": "no-store"})
        return _PAGES.show(
            request, "rows.html", rows=rows, deliveries=self.deliveries, life=self._life
        )

    def _control(self, request: Request, rest: list[str]) -> Response:
        if request.method == "POST" and rest == ["secret"]:
            try:
                self._known = msgspec.json.decode(request.body, type=Known)
            except msgspec.MsgspecError as error:
                return json_response(msgspec.json.encode({"error": str(error)}), 400)
            if self._file is not None:
                write_private(self._file, msgspec.json.encode(self._known))
        elif request.method != "GET" or rest:
            return Response(404)
        return json_response(msgspec.json.encode(self._about()))

    def _about(self) -> dict[str, object]:
        return {
            "has_secret": bool(self._known.secret),
            "endpoint": self._known.endpoint,
            "received": self.deliveries.count,
            "refused": self.deliveries.refused,
        }
