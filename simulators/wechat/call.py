"""One checked call of API v3."""

from typing import TYPE_CHECKING

import msgspec

from simulators.common.http import Request
from simulators.wechat.reading import Body

if TYPE_CHECKING:
    from simulators.wechat.simulator import Merchant, Wechat


class Call(msgspec.Struct, frozen=True):
    """Who asks, what was sent, and what stands in the path's open places.

    `body` is the JSON object that was sent, if one was.
    """

    wechat: "Wechat"
    merchant: "Merchant"
    request: Request
    arguments: tuple[str, ...]
    body: Body | None
