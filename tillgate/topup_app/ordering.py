"""Placing and calling off a top-up, once, however often it is asked for.

The browser mints a reference before it asks (26 characters: milliseconds and chance) and keeps it
until it has heard an answer. The top-up's id is derived from it, so the database itself refuses a
second one: a double click, a retry after a lost answer and two tabs all find the same order.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from tillgate.kernel.errors import FieldRefused, Kind, Refusal
from tillgate.kernel.ids import make_id
from tillgate.kernel.money import Money
from tillgate.payments.errors import MethodNotOffered, PaymentFailed, UnexpectedState
from tillgate.payments.flows import Payments
from tillgate.payments.model import Confirmation, Trace
from tillgate.payments.providers import Providers
from tillgate.runtime.db import Database
from tillgate.topup_app import amounts, devices, reading
from tillgate.topup_app.devices import Device
from tillgate.topup_app.links import Link
from tillgate.topup_app.orders import Order, Stage
from tillgate.topup_app.reading import Place
from tillgate.topups.errors import TopUpNotFound
from tillgate.topups.flows import TopUps
from tillgate.topups.model import NewTopUp

_REFERENCE: Final = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")
_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
#: How far a browser's idea of the time may be off; older references are looked up only.
_OLDEST: Final = timedelta(days=2)
_NEWEST: Final = timedelta(minutes=10)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_log = logging.getLogger("tillgate.topup_app")


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an order: amounts in minor units."""

    reference: str
    amount: int
    method: str
    card: str | None = None


class Renewal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an order anew: all but the reference is the old one's."""

    reference: str


class OldOrderOpen(Refusal):
    """The old order could not be closed yet; nothing new was ordered."""

    kind = Kind.UNAVAILABLE
    code = "old_order_open"


class ReferenceRefused(Refusal):
    """The reference was used for another order, or is too old to place one."""

    kind = Kind.CONFLICT
    code = "reference_refused"


class AmountTooLarge(FieldRefused):
    """One order adds so much at most."""

    def __init__(self, most: Money) -> None:
        super().__init__("amount", "The amount is out of bounds.", code="amount_out_of_bounds")
        self.most = most


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, from where."""

    link: Link
    device: Device
    ip: str | None
    request_id: str


class Ordering:
    """Orders of one process, on its money path."""

    def __init__(
        self, db: Database, payments: Payments, top_ups: TopUps, providers: Providers, base_url: str
    ) -> None:
        self._db = db
        self._payments = payments
        self._top_ups = top_ups
        self._providers = providers
        self._base_url = base_url

    async def place(self, caller: Caller, asked: Asked) -> Order:
        """Place an order, or return what became of it when it was placed before."""
        if _REFERENCE.fullmatch(asked.reference) is None:
            raise FieldRefused(
                "reference", "A reference has 26 characters.", code="reference_unreadable"
            )
        moment, top_up_id = derive(caller.link, asked.reference)
        earlier = await self._earlier(caller.link, top_up_id)
        if earlier is not None:
            return _same(earlier, asked)
        now = self._payments.clock.now()
        if not now - _OLDEST < moment < now + _NEWEST:
            raise ReferenceRefused
        place = await self._place(caller.link)
        order = await self._new_order(caller, asked, place, top_up_id)
        try:
            await self._top_ups.create(order, Trace(request_id=caller.request_id))
        except PaymentFailed:
            _log.debug("an order was declined at once; it says so itself")
        except asyncpg.UniqueViolationError:
            _log.debug("the same order was placed at the same moment")
        return _same(await self._read(caller.link, top_up_id), asked)

    async def find(self, link: Link, reference: str) -> Order | None:
        """Return what a reference has placed, if it has."""
        if _REFERENCE.fullmatch(reference) is None:
            return None
        return await self._earlier(link, derive(link, reference)[1])

    async def cancel(self, caller: Caller, top_up_id: str) -> Order:
        """Call an order off, closing it at the provider first; what is paid stays paid."""
        found = await self._read(caller.link, top_up_id)
        if not found.is_cancelable:
            return found
        trace = Trace(request_id=caller.request_id)
        try:
            await self._payments.cancel(
                caller.link.merchant_id, found.payment_id, "requested_by_customer", trace
            )
        except UnexpectedState:
            _log.debug("the order came to its end meanwhile; the page shows which")
        return await self._read(caller.link, top_up_id)

    async def renew(self, caller: Caller, top_up_id: str, reference: str) -> Order:
        """Order the same once more; the old order is closed at the provider first.

        Returns the old one where it turns out to be paid.
        """
        placed = await self.find(caller.link, reference)
        if placed is not None:
            return placed
        old = await self.cancel(caller, top_up_id)
        if old.stage == Stage.PAID:
            return old
        if old.is_open:
            raise OldOrderOpen
        return await self.place(caller, Asked(reference, old.amount, old.method))

    async def _new_order(
        self, caller: Caller, asked: Asked, place: Place, top_up_id: str
    ) -> NewTopUp:
        wallet = place.wallet
        most = amounts.largest(wallet.currency)
        if asked.amount > most.minor:
            raise AmountTooLarge(most)
        if asked.amount <= 0:
            raise FieldRefused("amount", "There is no amount.", code="amount_out_of_bounds")
        cards = await reading.read_cards(self._db, place)
        methods = await reading.methods_of(self._providers, place, cards, caller.device)
        if asked.method not in methods:
            raise MethodNotOffered(asked.method, "page", wallet.currency)
        is_card = asked.method == "card"
        if is_card and asked.card not in cards.tokens:
            raise FieldRefused("card", "Choose a card.", code="card_unknown")
        return NewTopUp(
            merchant_id=wallet.merchant_id,
            id=top_up_id,
            wallet_id=wallet.id,
            amount=asked.amount,
            currency=wallet.currency,
            method_types=methods,
            confirmation=Confirmation(
                method=asked.method,
                presentation=devices.presentation_of(asked.method, caller.device),
                payment_method=asked.card if is_card else None,
                return_url=f"{self._base_url}{caller.link.path}/orders/{top_up_id}",
                client_ip=caller.ip,
            ),
            description=place.merchant.name,
            expires_at=self._payments.clock.now() + self._payments.lifetime,
        )

    async def _earlier(self, link: Link, top_up_id: str) -> Order | None:
        try:
            return await self._read(link, top_up_id)
        except TopUpNotFound:
            return None

    async def _read(self, link: Link, top_up_id: str) -> Order:
        async with self._db.transaction(readonly=True) as tx:
            return await reading.order(tx, link, top_up_id)

    async def _place(self, link: Link) -> Place:
        async with self._db.transaction(readonly=True) as tx:
            return await reading.place_of(tx, link)


def derive(link: Link, reference: str) -> tuple[datetime, str]:
    """Return when a reference was minted and the id of the only top-up it can place."""
    number = 0
    for digit in reference:
        number = number << 5 | _DIGITS.index(digit)
    milliseconds = number >> 80 & (1 << 48) - 1
    digest = hashlib.sha256(f"{link.holder} {reference}".encode()).digest()
    top_up_id = make_id("top", milliseconds, int.from_bytes(digest[:10], "big"))
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment, top_up_id


def _same(order: Order, asked: Asked) -> Order:
    """A reference stands for one order; with other terms it is a mistake."""
    if (order.amount, order.method) != (asked.amount, asked.method):
        raise ReferenceRefused
    return order
