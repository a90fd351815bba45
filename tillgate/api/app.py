"""Composition of the API: rows of all rooms, keys, idempotency, expansion, documents, pages.

application = build(Parts(db=…, clock=…, vault=…, payments=…), pages=starlette_app)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from tillgate.api import docs, openapi
from tillgate.api.books import Routes as BookRoutes
from tillgate.customers.routes import Routes as CustomerRoutes
from tillgate.kernel.clock import Clock
from tillgate.merchants import queries as merchants
from tillgate.payments.flows import Payments
from tillgate.payments.routes import Routes as PaymentRoutes
from tillgate.runtime.db import Database
from tillgate.runtime.idempotency import Claims
from tillgate.runtime.secrets import Vault
from tillgate.topups.flows import TopUps
from tillgate.topups.routes import Routes as TopUpRoutes
from tillgate.wallets.routes import Link
from tillgate.wallets.routes import Routes as WalletRoutes
from tillgate.web.application import Api, Observe
from tillgate.web.auth import Caller, KeyRing
from tillgate.web.expansion import Expander, Loader
from tillgate.web.operation import Operation, Table
from tillgate.webhooks.model import Catalogue
from tillgate.webhooks.routes import Routes as WebhookRoutes

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


#: Which property of which object may be expanded, and into what.
EXPANDABLE: Final[Mapping[tuple[str, str], str]] = {
    ("payment_method", "customer"): "customer",
    ("payment_intent", "customer"): "customer",
    ("payment_intent", "latest_charge"): "charge",
    ("payment_intent", "payment_method"): "payment_method",
    ("charge", "balance_transaction"): "balance_transaction",
    ("charge", "customer"): "customer",
    ("charge", "payment_intent"): "payment_intent",
    ("refund", "balance_transaction"): "balance_transaction",
    ("refund", "charge"): "charge",
    ("refund", "failure_balance_transaction"): "balance_transaction",
    ("refund", "payment_intent"): "payment_intent",
    ("top_up", "customer"): "customer",
    ("top_up", "payment_intent"): "payment_intent",
    ("top_up", "wallet"): "wallet",
    ("wallet", "customer"): "customer",
    ("wallet_transaction", "wallet"): "wallet",
    ("wallet_hold", "wallet"): "wallet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the API is made of."""

    db: Database
    clock: Clock
    vault: Vault
    payments: Payments
    top_ups: TopUps
    #: Which facts are events on the wire, and how they are drawn.
    catalogue: Catalogue
    link: Link
    base_url: str
    #: Whether merchants' endpoints may stand on private addresses.
    may_be_private: bool = True
    max_body_bytes: int = 1_048_576
    rate_per_second: int = 10_000
    abandoned_after_seconds: float = 45.0


class Application:
    """`/v1` is the API, `/docs` and `/openapi.json` its documents; the rest is the pages'."""

    def __init__(self, api: Api, documents: dict[str, docs.Document], pages: AsgiApp) -> None:
        self.api = api
        self._documents = documents
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("/v1/"):
                await self.api(scope, receive, send)
                return
            document = self._documents.get(path)
            if document is not None and scope["method"] in {"GET", "HEAD"}:
                await docs.send_document(document, scope, send)
                return
        await self._pages(scope, receive, send)


def build(
    parts: Parts,
    *,
    pages: AsgiApp | None = None,
    observe: Observe | None = None,
) -> Application:
    """Return the whole application. `pages` gets every path that is not the API's, and lifespan."""
    api = api_of(parts, observe=observe)
    documents = docs.documents(openapi.document(api.table.operations, parts.base_url))
    return Application(api, documents, pages or _nothing_here(api))


def api_of(parts: Parts, *, observe: Observe | None = None) -> Api:
    """Return `/v1` alone: its operations, and what can be expanded in their answers."""
    customers = CustomerRoutes(parts.db, parts.clock)
    payments = PaymentRoutes(parts.payments)
    top_ups = TopUpRoutes(parts.payments, parts.top_ups)
    wallets = WalletRoutes(parts.db, parts.clock, parts.vault, parts.link, parts.payments.memory)
    books = BookRoutes(parts.db)
    webhooks = WebhookRoutes(
        parts.db,
        parts.clock,
        parts.vault,
        parts.catalogue,
        may_be_private=parts.may_be_private,
    )
    rows: list[Operation] = [
        row
        for room in (customers, payments, top_ups, wallets, books, webhooks)
        for row in room.operations()
    ]
    loaders: dict[str, Loader] = {
        "customer": customers.show_customer,
        "payment_method": customers.show_method,
        "payment_intent": payments.show,
        "charge": payments.show_charge,
        "refund": payments.show_refund,
        "balance_transaction": books.show,
        "top_up": top_ups.show,
        "wallet": wallets.show,
    }
    return Api(
        Table(rows),
        KeyRing(_holder_of(parts.db), per_second=parts.rate_per_second),
        Claims(parts.db, parts.clock, abandoned_after_seconds=parts.abandoned_after_seconds),
        expand=Expander(EXPANDABLE, loaders),
        max_body_bytes=parts.max_body_bytes,
        observe=observe,
    )


def _holder_of(db: Database) -> Callable[[bytes], Awaitable[Caller | None]]:
    async def look_up(digest: bytes) -> Caller | None:
        async with db.transaction(readonly=True) as tx:
            holder = await merchants.key_holder(tx, digest)
        if holder is None:
            return None
        return Caller(
            holder.merchant_id, holder.account, holder.livemode, holder.key_id, holder.kind
        )

    return look_up


def _nothing_here(api: Api) -> AsgiApp:
    """Without pages: lifespan is acknowledged and every other path is unknown."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await api(scope, receive, send)
            return
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    return app
