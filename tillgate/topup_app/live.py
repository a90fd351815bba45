"""What a waiting page is told: where its payment stands, once or for as long as it waits."""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec
import segno
from starlette.responses import JSONResponse, Response, StreamingResponse

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Refusal
from tillgate.topup_app.orders import Order
from tillgate.topup_app.rendering import SECURITY
from tillgate.topup_app.watching import Watcher

_BEAT_SECONDS: Final = 15.0
#: A browser comes back by itself; a stream that lives for ever would be held by a dead network.
_BEATS: Final = 40
_log = logging.getLogger("tillgate.topup_app")

Read = Callable[[], Awaitable[Order]]


class Live:
    """Answers the pages that wait for their payment."""

    def __init__(self, watcher: Watcher, clock: Clock) -> None:
        self.watcher = watcher
        self._clock = clock

    def state(self, order: Order) -> JSONResponse:
        """Say where the order stands."""
        return JSONResponse(self.shown(order), headers={"Cache-Control": "no-store"})

    def events(self, merchant_id: int, order: Order, read: Read) -> StreamingResponse:
        """Say where the order stands, and again whenever that changes, until its end."""
        return StreamingResponse(
            self._stream(merchant_id, order, read),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    def shown(self, order: Order) -> dict[str, object]:
        """What a waiting page has to know; the rest it reads as a page."""
        return {
            "version": order.version,
            "stage": order.stage.value,
            "open": order.is_open,
            "now": int(self._clock.now().timestamp() * 1000),
        }

    async def _stream(self, merchant_id: int, order: Order, read: Read) -> AsyncIterator[bytes]:
        yield b"retry: 2000\n\n" + self._event(order)
        try:
            async with self.watcher.watch(merchant_id, order.payment_id) as watched:
                for _ in range(_BEATS):
                    if not order.is_open or self.watcher.is_closed:
                        return
                    seen = await self.watcher.next_change(watched, order.version, _BEAT_SECONDS)
                    if seen is None:
                        yield b": still here\n\n"
                        continue
                    order = await read()
                    yield self._event(order)
        except Refusal as refusal:
            _log.info("a stream ended: %s", refusal.message)

    def _event(self, order: Order) -> bytes:
        return b"data: %s\n\n" % msgspec.json.encode(self.shown(order))


def code_of(order: Order) -> Response:
    """Answer with the order's QR code."""
    if order.code is None:
        return Response(status_code=404)
    return Response(
        draw_code(order.code),
        media_type="image/svg+xml",
        headers={**SECURITY, "Cache-Control": "private, max-age=900"},
    )


@functools.lru_cache(maxsize=256)
def draw_code(content: str) -> bytes:
    """Return a QR code as SVG, with the quiet zone that scanners want."""
    out = io.BytesIO()
    segno.make(content, error="m", micro=False).save(
        out, kind="svg", border=4, xmldecl=False, omitsize=True, dark="#000", light="#fff"
    )
    return out.getvalue()
