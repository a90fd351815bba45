"""Composition of the API: rows of all rooms, keys, idempotency, expansion, documents, pages.

application = build(Parts(db=…, clock=…, vault=…, payments=…), pages=starlette_app)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from tillgate.api import docs, openapi
from tillgate.customers.routes import Routes as CustomerRoutes
from tillgate.kernel.clock import Clock
from tillgate.merchants import queries as merchants
from tillgate.payments.flows import Payments
from tillgate.payments.routes import Routes as PaymentRoutes
from tillgate.runtime.db import Database
from tillgate.runtime.idempotency import Claims
from tillgate.runtime.secrets import Vault
from tillgate.wallets.routes import Routes as WalletRoutes
from tillgate.web.application import Api, Observe
from tillgate.web.auth import Caller, KeyRing
from tillgate.web.expansion import Expander, Loader
from tillgate.web.operation import Operation, Table

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the API is made of."""

    db: Database
    clock: Clock
    vault: Vault
    payments: Payments
    base_url: str
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
    customers = CustomerRoutes(parts.db, parts.clock)
    wallets = WalletRoutes(parts.db, parts.clock)
    payments = PaymentRoutes(parts.payments)
    rows: list[Operation] = [
        *customers.operations(),
        *payments.operations(),
        *wallets.operations(),
    ]
    properties: dict[tuple[str, str], str] = {
        ("payment_intent", "customer"): "customer",
        ("payment_intent", "latest_charge"): "charge",
        ("payment_intent", "payment_method"): "payment_method",
        ("charge", "customer"): "customer",
        ("charge", "payment_intent"): "payment_intent",
        ("refund", "charge"): "charge",
        ("refund", "payment_intent"): "payment_intent",
        ("wallet", "customer"): "customer",
        ("wallet_transaction", "wallet"): "wallet",
        ("wallet_hold", "wallet"): "wallet",
        ("payment_method", "customer"): "customer",
    }
    loaders: dict[str, Loader] = {
        "customer": customers.show_customer,
        "payment_method": customers.show_method,
        "payment_intent": payments.show,
        "charge": payments.show_charge,
        "refund": payments.show_refund,
        "wallet": wallets.show,
    }
    return _compose(parts, rows, Expander(properties, loaders), pages, observe)


def _compose(
    parts: Parts,
    rows: Sequence[Operation],
    expander: Expander,
    pages: AsgiApp | None,
    observe: Observe | None,
) -> Application:
    table = Table(rows)
    api = Api(
        table,
        KeyRing(_holder_of(parts.db), per_second=parts.rate_per_second),
        Claims(parts.db, parts.clock, abandoned_after_seconds=parts.abandoned_after_seconds),
        expand=expander,
        max_body_bytes=parts.max_body_bytes,
        observe=observe,
    )
    return Application(
        api,
        docs.documents(openapi.document(table.operations, parts.base_url)),
        pages or _nothing_here(api),
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
