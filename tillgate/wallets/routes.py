"""HTTP: wallets, their transactions and holds. Every order goes through one lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tillgate.customers import queries as customers
from tillgate.customers.errors import CustomerNotFound
from tillgate.kernel.clock import Clock, unix
from tillgate.kernel.errors import Refusal
from tillgate.kernel.money import CURRENCIES, Currency, currency
from tillgate.ledger.commands import Memory
from tillgate.runtime.db import Database, Tx
from tillgate.runtime.once import OnceLane
from tillgate.runtime.secrets import Vault
from tillgate.wallets import commands, queries, wire
from tillgate.wallets.errors import HoldNotFound, WalletNotFound
from tillgate.wallets.foresight import OrdersAhead
from tillgate.wallets.machine import News
from tillgate.wallets.model import AnyOrder, Held, Moved, OpenWallet, Told
from tillgate.web.listing import CursorRequest, ListOf, cut, read_page, show_list
from tillgate.web.operation import Answer, Call, Operation, operation
from tillgate.web.reading import Nothing, read_metadata_change

#: Makes the address of a wallet's pages: merchant, wallet, now, lifetime.
Link = Callable[[int, str, datetime, timedelta], str]


@dataclass(frozen=True, slots=True)
class _Linking:
    """A link to be made."""

    merchant_id: int
    wallet_id: str
    lifetime: timedelta


class Routes:
    """The handlers, over one lane of orders."""

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, link: Link, memory: Memory | None = None
    ) -> None:
        self._db = db
        self._clock = clock
        self._link = link
        self._memory = memory
        self._lane: OnceLane[AnyOrder, Told | Moved | Held] = OnceLane(
            db, clock, self._carry_out, max_items=500, ahead=OrdersAhead()
        )
        # Whoever has a link may use it, so answers are kept sealed.
        self._links: OnceLane[_Linking, wire.ShownLink] = OnceLane(
            db, clock, self._make_links, vault=vault
        )

    async def _carry_out(
        self, tx: Tx, orders: Sequence[AnyOrder]
    ) -> list[Told | Moved | Held | Refusal]:
        """Customers are looked for here, where no repetition of what has been done comes."""
        refused = await _of_nobody(tx, orders)
        accepted = [order for index, order in enumerate(orders) if index not in refused]
        done = iter(await commands.carry_out(tx, accepted, self._memory) if accepted else ())
        return [refused.get(index) or next(done) for index in range(len(orders))]

    async def _order(self, call: Call, order: AnyOrder) -> Answer:
        livemode = call.livemode
        return await call.once(
            self._lane, order, lambda result: wire.show_result(result, livemode=livemode)
        )

    async def create(self, call: Call, body: wire.CreateWallet) -> Answer:
        currency(body.currency)
        return await self._order(call, wire.read_new_wallet(call, body, self._clock.now()))

    async def update(self, call: Call, body: wire.ChangeWallet) -> Answer:
        return await self._order(call, wire.read_wallet_change(call, body, self._clock.now()))

    async def link(self, call: Call, body: wire.LinkForm) -> Answer:
        wanted = _Linking(call.merchant_id, call.id, timedelta(seconds=body.expires_in))
        return await call.once(self._links, wanted, lambda made: made)

    async def _make_links(
        self, tx: Tx, items: Sequence[_Linking]
    ) -> list[wire.ShownLink | Refusal]:
        return [await self._make_link(tx, item) for item in items]

    async def _make_link(self, tx: Tx, item: _Linking) -> wire.ShownLink | Refusal:
        try:
            found = await queries.wallet_terms(tx, item.merchant_id, item.wallet_id)
        except WalletNotFound as refusal:
            return refusal
        now = self._clock.now()
        url = self._link(item.merchant_id, found.id, now, item.lifetime)
        return wire.ShownLink(wallet=found.id, url=url, expires_at=unix(now + item.lifetime))

    async def freeze(self, call: Call, _: Nothing) -> Answer:
        return await self._move(call, News.FROZEN)

    async def unfreeze(self, call: Call, _: Nothing) -> Answer:
        return await self._move(call, News.UNFROZEN)

    async def close(self, call: Call, _: Nothing) -> Answer:
        return await self._move(call, News.CLOSED)

    async def reopen(self, call: Call, _: Nothing) -> Answer:
        return await self._move(call, News.REOPENED)

    async def _move(self, call: Call, news: News) -> Answer:
        return await self._order(call, wire.read_move(call, news, self._clock.now()))

    async def spend(self, call: Call, body: wire.SpendForm) -> Answer:
        return await self._order(call, wire.read_spend(call, body, self._clock.now()))

    async def transfer(self, call: Call, body: wire.TransferForm) -> Answer:
        return await self._order(call, wire.read_transfer(call, body, self._clock.now()))

    async def hold(self, call: Call, body: wire.HoldForm) -> Answer:
        return await self._order(call, wire.read_hold(call, body, self._clock.now()))

    async def capture(self, call: Call, body: wire.CaptureForm) -> Answer:
        unit = await self._unit_of_hold(call)
        return await self._order(call, wire.read_capture(call, body, unit, self._clock.now()))

    async def release(self, call: Call, _: Nothing) -> Answer:
        await self._unit_of_hold(call)
        return await self._order(call, wire.read_release(call, self._clock.now()))

    async def refund(self, call: Call, body: wire.RefundSpendForm) -> Answer:
        wallet_id, transaction_id = call.ids
        async with self._db.transaction(readonly=True) as tx:
            found = await queries.transaction(tx, call.merchant_id, wallet_id, transaction_id)
        unit = CURRENCIES[found.currency]
        return await self._order(call, wire.read_refund(call, body, unit, self._clock.now()))

    async def _unit_of_hold(self, call: Call) -> Currency:
        """Return the currency of the hold in the path, which must be the wallet's in the path."""
        wallet_id, hold_id = call.ids
        async with self._db.transaction(readonly=True) as tx:
            found = await queries.hold(tx, call.merchant_id, hold_id)
        if found.wallet_id != wallet_id:
            raise HoldNotFound(hold_id)
        return CURRENCIES[found.currency]

    async def retrieve(self, call: Call, _: Nothing) -> wire.ShownWallet:
        return await self.show(call, call.id)

    async def show(self, call: Call, wallet_id: str) -> wire.ShownWallet:
        """Show one wallet of the caller."""
        async with self._db.transaction(readonly=True) as tx:
            found = await queries.wallet(tx, call.merchant_id, wallet_id)
        return wire.show_wallet(found, livemode=call.livemode)

    async def list(self, call: Call, body: wire.ListWallets) -> ListOf[wire.ShownWallet]:
        async with self._db.transaction(readonly=True) as tx:
            page = await read_page(
                body,
                "wal",
                "wallet",
                lambda one: queries.is_wallet(tx, call.merchant_id, one, customer_id=body.customer),
            )
            found = await queries.wallets(
                tx,
                call.merchant_id,
                customer_id=body.customer,
                after=page.after,
                before=page.before,
                limit=page.limit + 1,
            )
        livemode = call.livemode
        return show_list(call, cut(found, page), lambda w: wire.show_wallet(w, livemode=livemode))

    async def statement(self, call: Call, body: CursorRequest) -> ListOf[wire.ShownTransaction]:
        async with self._db.transaction(readonly=True) as tx:
            page = await read_page(
                body,
                "wtx",
                "wallet transaction",
                lambda one: queries.is_transaction(tx, call.merchant_id, call.id, one),
            )
            found = await queries.statement(
                tx,
                call.merchant_id,
                call.id,
                after=page.after,
                before=page.before,
                limit=page.limit + 1,
            )
        livemode = call.livemode
        return show_list(
            call, cut(found, page), lambda t: wire.show_transaction(t, livemode=livemode)
        )

    async def transaction(self, call: Call, _: Nothing) -> wire.ShownTransaction:
        wallet_id, transaction_id = call.ids
        async with self._db.transaction(readonly=True) as tx:
            found = await queries.transaction(tx, call.merchant_id, wallet_id, transaction_id)
        return wire.show_transaction(found, livemode=call.livemode)

    async def annotate(self, call: Call, body: wire.ChangeTransaction) -> wire.ShownTransaction:
        wallet_id, transaction_id = call.ids
        async with self._db.transaction() as tx:
            await queries.transaction(tx, call.merchant_id, wallet_id, transaction_id)
            await commands.annotate(
                tx,
                call.merchant_id,
                transaction_id,
                description=body.description,
                change=read_metadata_change(body.metadata),
            )
            found = await queries.transaction(tx, call.merchant_id, wallet_id, transaction_id)
        return wire.show_transaction(found, livemode=call.livemode)

    async def resume_annotate(self, call: Call, _: str) -> wire.ShownTransaction:
        return await self.transaction(call, Nothing())

    async def holds(self, call: Call, body: CursorRequest) -> ListOf[wire.ShownHold]:
        async with self._db.transaction(readonly=True) as tx:
            page = await read_page(
                body,
                "hold",
                "wallet hold",
                lambda one: queries.is_hold(tx, call.merchant_id, call.id, one),
            )
            found = await queries.holds(
                tx,
                call.merchant_id,
                call.id,
                after=page.after,
                before=page.before,
                limit=page.limit + 1,
            )
        livemode = call.livemode
        return show_list(call, cut(found, page), lambda h: wire.show_hold(h, livemode=livemode))

    async def retrieve_hold(self, call: Call, _: Nothing) -> wire.ShownHold:
        await self._unit_of_hold(call)
        async with self._db.transaction(readonly=True) as tx:
            found = await queries.hold(tx, call.merchant_id, call.id)
        return wire.show_hold(found, livemode=call.livemode)

    def operations(self) -> Sequence[Operation]:
        """Return the rows of this room."""
        wallet, movement, hold = wire.ShownWallet, wire.ShownTransaction, wire.ShownHold
        one = "/v1/wallets/{wallet}"
        each = f"{one}/transactions/{{transaction}}"
        held = f"{one}/holds/{{hold}}"
        amount = {"amount": 1200, "currency": "cny"}
        return (
            operation(
                "POST", "/v1/wallets", wire.CreateWallet, wallet, self.create, "Open a wallet",
                description="A customer has one wallet in each currency.",
                example={"customer": "cus_…", "currency": "cny"},
            ),
            operation("GET", "/v1/wallets", wire.ListWallets, ListOf[wallet], self.list, "List wallets"),
            operation("GET", one, Nothing, wallet, self.retrieve, "Retrieve a wallet"),
            operation(
                "POST", one, wire.ChangeWallet, wallet, self.update, "Update a wallet",
                example={"limits": {"daily": 50000}},
            ),
            operation(
                "POST", f"{one}/spend", wire.SpendForm, movement, self.spend, "Spend from a wallet",
                description="Principal is spent before bonus.",
                example={**amount, "description": "Two pots of tea"},
            ),
            operation(
                "POST", f"{one}/transfer", wire.TransferForm, movement, self.transfer,
                "Transfer to another wallet", example={**amount, "to": "wal_…"},
            ),
            operation(
                "POST", f"{one}/link", wire.LinkForm, wire.ShownLink, self.link,
                "Link to a wallet's top-up pages",
                example={"expires_in": 86400},
                description="Give it to the wallet's holder: whoever has it may top the wallet up.",
            ),
            operation("POST", f"{one}/freeze", Nothing, wallet, self.freeze, "Freeze a wallet"),
            operation("POST", f"{one}/unfreeze", Nothing, wallet, self.unfreeze, "Unfreeze a wallet"),
            operation("POST", f"{one}/close", Nothing, wallet, self.close, "Close an empty wallet"),
            operation("POST", f"{one}/reopen", Nothing, wallet, self.reopen, "Reopen a wallet"),
            operation(
                "GET", f"{one}/transactions", CursorRequest, ListOf[movement], self.statement,
                "List a wallet's transactions",
                description="The statement: newest first, each with the balance after it.",
            ),
            operation("GET", each, Nothing, movement, self.transaction, "Retrieve a transaction"),
            operation(
                "POST", each, wire.ChangeTransaction, movement, self.annotate,
                "Update a transaction's words", resume=self.resume_annotate,
            ),
            operation(
                "POST", f"{each}/refund", wire.RefundSpendForm, movement, self.refund,
                "Give a spend back", example={"amount": 600},
            ),
            operation(
                "POST", f"{one}/holds", wire.HoldForm, hold, self.hold, "Hold value", example=amount
            ),
            operation(
                "GET", f"{one}/holds", CursorRequest, ListOf[hold], self.holds, "List holds"
            ),
            operation("GET", held, Nothing, hold, self.retrieve_hold, "Retrieve a hold"),
            operation(
                "POST", f"{held}/capture", wire.CaptureForm, movement, self.capture,
                "Spend what is held", example={"amount": 800},
            ),
            operation("POST", f"{held}/release", Nothing, hold, self.release, "Release a hold"),
        )  # fmt: skip


async def _of_nobody(tx: Tx, orders: Sequence[AnyOrder]) -> dict[int, Refusal]:
    """Return the places of the orders that open a wallet for a customer who is not there."""
    refused: dict[int, Refusal] = {}
    for index, order in enumerate(orders):
        if isinstance(order, OpenWallet):
            try:
                await customers.present_customer(tx, order.merchant_id, order.customer_id)
            except CustomerNotFound as refusal:
                refused[index] = refusal
    return refused
