"""What the pages show, each page as of one moment. Reading only.

Wallet and order are read in one snapshot: an order that is over has no live result to correct a
balance that was read before its credit.
"""

from __future__ import annotations

from dataclasses import dataclass

from tillgate.merchants import queries as merchants
from tillgate.merchants.model import Merchant
from tillgate.payments import queries as payments
from tillgate.payments.model import Attempt
from tillgate.payments.providers import Providers
from tillgate.runtime.db import Database, Tx
from tillgate.topup_app import cards, devices
from tillgate.topup_app.cards import Cards
from tillgate.topup_app.devices import Device
from tillgate.topup_app.links import Link
from tillgate.topup_app.orders import Order, order_of
from tillgate.topups import queries as topups
from tillgate.topups.errors import TopUpNotFound
from tillgate.topups.model import TopUpView
from tillgate.wallets import queries as wallets
from tillgate.wallets.model import Transaction, WalletView

#: An open order older than these many of the wallet's top-ups is found in the history only.
_RECENT = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Whose wallet it is."""

    merchant: Merchant
    wallet: WalletView

    @property
    def is_closed(self) -> bool:
        """Nothing can be paid in any more."""
        return self.wallet.status == "closed"


@dataclass(frozen=True, slots=True)
class Home:
    """The first page."""

    place: Place
    methods: list[str]
    cards: Cards
    open_orders: list[Order]
    recent: list[Transaction]


@dataclass(frozen=True, slots=True)
class History:
    """One page of what happened; `older` is the cursor of the next."""

    place: Place
    movements: list[Transaction]
    top_ups: list[Order]
    older: str | None


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One order."""

    place: Place
    order: Order


async def home(db: Database, providers: Providers, link: Link, device: Device) -> Home:
    """Read the first page."""
    async with db.snapshot() as tx:
        place = await place_of(tx, link)
        latest = await topups.of_wallet(tx, link.merchant_id, link.wallet_id, limit=_RECENT)
        orders = [await _order(tx, view) for view in latest]
        recent = await wallets.statement(tx, link.merchant_id, link.wallet_id, limit=4)
        choice = await _cards(tx, place)
    methods = await methods_of(providers, place, choice, device)
    return Home(place, methods, choice, [one for one in orders if one.is_open], recent)


async def methods_of(
    providers: Providers, place: Place, choice: Cards, device: Device
) -> list[str]:
    """Return how this wallet can be topped up from this device."""
    merchant, wallet = place.merchant, place.wallet
    offered = await providers.methods(merchant.merchant_id, wallet.currency)
    return [
        method
        for method in offered
        if devices.suits(method, device) and (method != "card" or choice.tokens)
    ]


async def history(db: Database, link: Link, tab: str, after: str | None, limit: int) -> History:
    """Read a page of movements or of top-ups, newest first, older than `after`."""
    async with db.snapshot() as tx:
        place = await place_of(tx, link)
        if tab == "top_ups":
            views = await topups.of_wallet(
                tx, link.merchant_id, link.wallet_id, before=after, limit=limit + 1
            )
            orders = [await _order(tx, view) for view in views[:limit]]
            more = len(views) > limit
            return History(place, [], orders, orders[-1].id if more else None)
        found = await wallets.statement(
            tx, link.merchant_id, link.wallet_id, after=after, limit=limit + 1
        )
    shown = found[:limit]
    return History(place, shown, [], shown[-1].id if len(found) > limit else None)


async def order_page(db: Database, link: Link, top_up_id: str) -> OrderPage:
    """Read one order of this wallet."""
    async with db.snapshot() as tx:
        return OrderPage(await place_of(tx, link), await order(tx, link, top_up_id))


async def order(tx: Tx, link: Link, top_up_id: str) -> Order:
    """Read one top-up; one of another wallet does not exist here."""
    view = await topups.top_up(tx, link.merchant_id, top_up_id)
    if view.top_up.wallet_id != link.wallet_id:
        raise TopUpNotFound(top_up_id)
    return await _order(tx, view, always=True)


async def place_of(tx: Tx, link: Link) -> Place:
    """Read whose wallet it is, and what is in it."""
    merchant = await merchants.merchant(tx, link.merchant_id)
    return Place(merchant, await wallets.wallet(tx, link.merchant_id, link.wallet_id))


async def _order(tx: Tx, view: TopUpView, *, always: bool = False) -> Order:
    """An attempt is read where the payment alone does not say what is going on."""
    payment = view.payment
    attempt: Attempt | None = None
    if payment.latest_attempt is not None and (always or payment.status == "processing"):
        found = await payments.charge(tx, payment.merchant_id, payment.latest_attempt)
        attempt = found.attempt
    return order_of(view, attempt)


async def _cards(tx: Tx, place: Place) -> Cards:
    wallet = place.wallet
    return await cards.cards_of(
        tx, wallet.merchant_id, wallet.customer_id, livemode=place.merchant.livemode
    )


async def read_cards(db: Database, place: Place) -> Cards:
    """Read which cards may be named."""
    async with db.transaction(readonly=True) as tx:
        return await _cards(tx, place)
