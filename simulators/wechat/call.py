"""One checked call of API v3."""

from typing import TYPE_CHECKING

import msgspec

from simulators.common.http import Request

if TYPE_CHECKING:
    from simulators.wechat.simulator import Merchant, Wechat


class Call(msgspec.Struct, frozen=True):
    """Who asks, what was sent, and what stands in the path's open places."""

    wechat: "Wechat"
    merchant: "Merchant"
    request: Request
    arguments: tuple[str, ...]
