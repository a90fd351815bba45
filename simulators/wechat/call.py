"""One checked call of API v3."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.common.http import Request

if TYPE_CHECKING:
    from simulators.wechat.simulator import Merchant, Wechat


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, what was sent, and what stands in the path's open places."""

    wechat: "Wechat"
    merchant: "Merchant"
    request: Request
    arguments: tuple[str, ...]
