"""What a provider's simulator is to the rest: a server, books, faults, notices and four deeds.

A provider subclasses `Simulator` and answers its own protocol in `handle_api`. The control API
(`/_control/`) and the phone (`/phone/`) are mounted on every simulator's port by this class.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from simulators.common.books import Shelf
from simulators.common.clock import Clock
from simulators.common.faults import NOTHING, Drawn, FaultPlan, deliver
from simulators.common.forgetting import KEEP_ORDERS
from simulators.common.http import Request, Response, Server
from simulators.common.notices import Sender

Mount = Callable[["Simulator", Request], Response | Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Setup:
    """How one simulator is started. `data` is a folder, or None for books in memory only.

    `keep_orders`: how many of the newest orders are kept whatever becomes of them; 0 keeps all.
    """

    host: str = "127.0.0.1"
    port: int = 0
    data: Path | None = None
    seed: int = 1
    speed: float = 1.0
    keep_orders: int = KEEP_ORDERS


class NoSuchOrder(Exception):
    """The simulator has no such order."""


class WrongState(Exception):
    """The order is not in a state that allows this."""


@dataclass(frozen=True, slots=True)
class PhoneOrder:
    """One order as the phone shows it. `status` is waiting, declined, paid, closed or refunded.

    An order that is still waiting may have been declined before; one that is declined is over.
    """

    provider: str
    id: str
    out_trade_no: str
    merchant: str
    amount: int
    currency: str
    subject: str
    product: str
    status: str
    created_at: float
    expires_at: float
    return_to: str = ""
    declined: int = 0


class Simulator(ABC):
    """One pretend provider on one port."""

    name: str = ""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.clock = Clock()
        self.plan = FaultPlan(setup.seed)
        self.shelf = Shelf(setup.data / f"{self.name}.sqlite3" if setup.data else None)
        self.server = Server(self._handle, setup.host, setup.port)
        self.mounts: list[tuple[str, Mount]] = []

    @property
    @abstractmethod
    def sender(self) -> Sender:
        """Delivers this provider's notices."""

    @abstractmethod
    def handle_api(self, request: Request) -> Response | Awaitable[Response]:
        """Answer one call of the provider's own protocol."""

    @abstractmethod
    def phone_orders(self) -> list[PhoneOrder]:
        """Orders a person could look at, newest first."""

    @abstractmethod
    def phone_order(self, order_id: str) -> PhoneOrder:
        """One order by the provider's id or the merchant's number, else `NoSuchOrder`."""

    @abstractmethod
    def scan(self, content: str) -> str | None:
        """The id of the order behind a scanned QR text or opened link, if it is ours."""

    @abstractmethod
    def pay(self, order_id: str, *, late: bool = False) -> PhoneOrder:
        """The payer pays. `late` pays even an expired or closed order: money that comes late."""

    @abstractmethod
    def decline(self, order_id: str) -> PhoneOrder:
        """The payer's bank or the payer says no."""

    @abstractmethod
    def close(self, order_id: str) -> PhoneOrder:
        """The provider closes the order, as it does at expiry."""

    @abstractmethod
    def renotify(self, order_id: str, times: int = 1) -> int:
        """Send the order's last notice again, `times` times at once; how many were sent."""

    @abstractmethod
    def export(self) -> dict[str, object]:
        """The provider's books, for a checker."""

    @abstractmethod
    def reset(self) -> None:
        """Forget every order, notice and rule."""

    def open_order(self, order_id: str) -> PhoneOrder:
        """The payer looks at the order on the phone."""
        return self.phone_order(order_id)

    def finish_refund(self, refund_id: str, state: str) -> None:
        """Bring a refund to its end: `success`, `abnormal` or `closed`."""
        raise NoSuchOrder(f"{self.name} has no refund {refund_id} to make {state}")

    def change_bill(self, change: dict[str, object]) -> None:
        """Make the next bills differ from the books; an empty change undoes all."""
        raise WrongState(f"{self.name} has no bill to change: {sorted(change)}")

    async def start(self) -> None:
        """Listen and go on with unfinished notices."""
        await self.sender.start()
        await self.server.start()

    async def stop(self) -> None:
        """Stop listening and put the books on the shelf."""
        await self.server.stop()
        await self.sender.stop()
        self.shelf.close()

    def deliver(
        self, drawn: Drawn, act: Callable[[Drawn], Response], busy: Response
    ) -> Response | Awaitable[Response]:
        """Run one call as its fate was drawn; see `faults.deliver`."""
        if drawn is NOTHING:
            return act(drawn)
        return deliver(drawn, act, busy, self.sender.settle)

    def _handle(self, request: Request) -> Response | Awaitable[Response]:
        for prefix, mount in self.mounts:
            if request.path.startswith(prefix):
                return mount(self, request)
        return self.handle_api(request)
