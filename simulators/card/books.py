"""What this provider remembers, in the order it was made, and whom it tells.

A `Drawer` holds one kind of resource; `Books` holds the drawers, the indices that look-ups need,
and `publish`, the one place where an event is born. With a file behind the shelf everything but
the events survives a restart.
"""

import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Generic, TypeVar

import msgspec

from simulators.card.cards import CARDS, Card
from simulators.card.errors import no_such
from simulators.card.objects import (
    BalanceTransaction,
    Charge,
    Customer,
    Event,
    PaymentIntent,
    PaymentMethod,
    Plain,
    Refund,
    Resource,
    WebhookEndpoint,
)
from simulators.common.books import Shelf
from simulators.common.clock import Clock

KEEP_EVENTS: Final = 5_000
_OVER: Final = frozenset({"succeeded", "canceled", "requires_payment_method"})
_Kept = TypeVar("_Kept", bound=Resource)
encode: Final = msgspec.json.Encoder().encode


class Secret(msgspec.Struct):
    """What the provider knows of a saved card and shows nobody."""

    number: str
    is_set_up: bool = False
    is_used_up: bool = False


class Carried(msgspec.Struct):
    """What is left in our balance of entries that have been forgotten, by currency."""

    net: dict[str, int] = {}


class Drawer(Generic[_Kept]):
    """Resources of one kind, oldest first, found by id and by when they were made."""

    def __init__(
        self, account: str, kind: str, record: type[_Kept], shelf: Shelf, keep: int = 0
    ) -> None:
        self._kind = kind
        self._label = f"{account}/{kind}"
        self._shelf = shelf
        self._keep = keep
        self._place: dict[str, int] = {}
        self._first = 0
        self.rows: list[_Kept] = []
        for row in sorted(shelf.load(self._label, record).values(), key=lambda row: row.created):
            self._append(row)

    def add(self, row: _Kept) -> _Kept:
        """Put a new resource at the end."""
        self._append(row)
        if self._keep:
            self._prune()
        else:
            self._shelf.put(self._label, row.id, row)
        return row

    def save(self, row: _Kept) -> None:
        """The resource changed."""
        self._shelf.put(self._label, row.id, row)

    def find(self, identity: str) -> _Kept | None:
        """Return the resource with this id, if there is one."""
        place = self._place.get(identity)
        return None if place is None else self.rows[place - self._first]

    def get(self, identity: str, param: str = "id", *, status: int = 404) -> _Kept:
        """Return the resource or refuse with `resource_missing`."""
        row = self.find(identity)
        if row is None:
            raise no_such(self._kind, identity, param, status=status)
        return row

    def place(self, identity: str, param: str) -> int:
        """Return where the resource stands in `rows`, for a list's cursor."""
        self.get(identity, param, status=400)
        return self._place[identity] - self._first

    def remove(self, row: _Kept) -> None:
        """Forget one resource."""
        self.remove_all({row.id})

    def remove_all(self, gone: AbstractSet[str]) -> None:
        """Forget these. Only what is older than one of them has to move up."""
        known = gone & self._place.keys()
        if not known:
            return
        last = max(self._place.pop(identity) for identity in known) - self._first
        kept = [row for row in self.rows[: last + 1] if row.id not in known]
        self.rows[: last + 1] = kept
        self._first += len(known)
        for place, row in enumerate(kept, self._first):
            self._place[row.id] = place
        for identity in known:
            self._shelf.drop(self._label, identity)

    def _append(self, row: _Kept) -> None:
        self._place[row.id] = self._first + len(self.rows)
        self.rows.append(row)

    def _prune(self) -> None:
        surplus = len(self.rows) - self._keep
        if surplus < self._keep // 5:
            return
        for row in self.rows[:surplus]:
            del self._place[row.id]
        del self.rows[:surplus]
        self._first += surplus

    def __iter__(self) -> Iterator[_Kept]:
        return iter(self.rows)


class Books:
    """Everything this Stripe remembers."""

    def __init__(self, account: str, clock: Clock, shelf: Shelf) -> None:
        self._account = account
        self._clock = clock
        self._random = random.Random(secrets.randbits(256))
        self._shelf = shelf
        self.request: Plain = {"id": None, "idempotency_key": None}
        self.on_event: Callable[[Event, WebhookEndpoint, PaymentIntent | None], None] = _nobody
        self._open()

    def _open(self) -> None:
        shelf, account = self._shelf, self._account
        self.intents = Drawer(account, "payment_intent", PaymentIntent, shelf)
        self.charges = Drawer(account, "charge", Charge, shelf)
        self.refunds = Drawer(account, "refund", Refund, shelf)
        self.methods = Drawer(account, "payment_method", PaymentMethod, shelf)
        self.customers = Drawer(account, "customer", Customer, shelf)
        self.entries = Drawer(account, "balance_transaction", BalanceTransaction, shelf)
        self.events = Drawer(account, "event", Event, shelf, keep=KEEP_EVENTS)
        self.endpoints = Drawer(account, "webhook_endpoint", WebhookEndpoint, shelf)
        self.return_urls: dict[str, str] = {}
        self._secrets = shelf.load(f"{account}/secret", Secret)
        self.carried = shelf.load(f"{account}/carried", Carried).get("", Carried())
        self._index()

    def _index(self) -> None:
        self._tagged: dict[tuple[str, str], list[PaymentIntent]] = {}
        self._refunds_of: dict[str, list[Refund]] = {}
        self._charges_of: dict[str, list[Charge]] = {}
        for charge in self.charges:
            self._charges_of.setdefault(charge.payment_intent, []).append(charge)
        for intent in self.intents:
            self.tag(intent)
        for refund in self.refunds:
            self._refunds_of.setdefault(refund.charge, []).append(refund)

    def clear(self) -> None:
        """Forget everything but the webhook endpoints; the shelf has been cleared."""
        kept = list(self.endpoints)
        self._open()
        for endpoint in kept:
            self.endpoints.add(endpoint)

    def now(self) -> int:
        """Return the provider's own second."""
        return int(self._clock.seconds())

    def new_id(self, prefix: str) -> str:
        """Return an identity nobody had before, also after a restart."""
        return f"{prefix}_{self._random.getrandbits(96):024x}"

    # Cards

    def keep_card(self, method: PaymentMethod, card: Card) -> None:
        """Save a card under a new payment method."""
        self.methods.add(method)
        self._keep_secret(method.id, Secret(card.number))

    def card_of(self, method_id: str) -> Card:
        """Return the test card behind a payment method."""
        return CARDS[self._secrets[method_id].number]

    def is_set_up(self, method_id: str) -> bool:
        """Tell whether the holder has once authenticated this card for later use."""
        return self._secrets[method_id].is_set_up

    def set_up(self, method_id: str) -> None:
        """The holder authenticated this card for later use."""
        secret = self._secrets[method_id]
        secret.is_set_up = True
        self._keep_secret(method_id, secret)

    def is_used_up(self, method_id: str) -> bool:
        """Tell whether the card was once charged, or let go, without anybody keeping it."""
        return self._secrets[method_id].is_used_up

    def use_up(self, method_id: str) -> None:
        """Nobody kept this card: it cannot be charged again."""
        secret = self._secrets[method_id]
        secret.is_used_up = True
        self._keep_secret(method_id, secret)

    def _keep_secret(self, method_id: str, secret: Secret) -> None:
        self._secrets[method_id] = secret
        self._shelf.put(f"{self._account}/secret", method_id, secret)

    # Indices

    def tag(self, intent: PaymentIntent) -> None:
        """Make the intent findable by its metadata; search checks that a tag still holds."""
        for pair in intent.metadata.items():
            tagged = self._tagged.setdefault(pair, [])
            if not tagged or tagged[-1] is not intent:
                tagged.append(intent)

    def _untag(self, gone: AbstractSet[str]) -> None:
        """Drop these intents, also from under metadata that they once bore."""
        for pair, tagged in list(self._tagged.items()):
            if len(tagged) > 1:
                tagged[:] = [intent for intent in tagged if intent.id not in gone]
            if not tagged or tagged[0].id in gone:
                del self._tagged[pair]

    def tagged(self, key: str, value: str) -> list[PaymentIntent]:
        """Return the intents that bear this metadata, oldest first."""
        found = self._tagged.get((key, value), ())
        return [intent for intent in found if intent.metadata.get(key) == value]

    def add_charge(self, charge: Charge) -> None:
        """Keep a charge where its intent finds it."""
        self.charges.add(charge)
        self._charges_of.setdefault(charge.payment_intent, []).append(charge)

    def charges_of(self, intent_id: str) -> list[Charge]:
        """Return the charges of one intent, oldest first."""
        return self._charges_of.get(intent_id, [])

    def add_refund(self, refund: Refund) -> None:
        """Keep a refund where its charge finds it."""
        self.refunds.add(refund)
        self._refunds_of.setdefault(refund.charge, []).append(refund)

    def refunds_of(self, charge_id: str) -> list[Refund]:
        """Return the refunds of one charge, oldest first."""
        return self._refunds_of.get(charge_id, [])

    # Forgetting

    def is_over(self, intent: PaymentIntent, before: float) -> bool:
        """Tell whether nothing more will happen to a payment by itself, nor has for a while."""
        charges = self.charges_of(intent.id)
        refunds = [refund for charge in charges for refund in self.refunds_of(charge.id)]
        if intent.status not in _OVER or any(r.status == "pending" for r in refunds):
            return False
        return max([intent.created, *(row.created for row in (*charges, *refunds))]) <= before

    def forget(self, intents: Sequence[PaymentIntent]) -> None:
        """Forget payments with their charges, refunds and entries, and cards nobody kept."""
        gone = {intent.id for intent in intents}
        charges = [charge for identity in gone for charge in self._charges_of.pop(identity, ())]
        refunds = [refund for charge in charges for refund in self._refunds_of.pop(charge.id, ())]
        names = {row.balance_transaction for row in (*charges, *refunds)}
        names |= {refund.failure_balance_transaction for refund in refunds}
        entries = [self.entries.get(name) for name in names if name]
        for entry in entries:
            left = self.carried.net.get(entry.currency, 0) + entry.net
            self.carried.net[entry.currency] = left
        self._shelf.put(f"{self._account}/carried", "", self.carried)
        self.intents.remove_all(gone)
        self.charges.remove_all({charge.id for charge in charges})
        self.refunds.remove_all({refund.id for refund in refunds})
        self.entries.remove_all({entry.id for entry in entries})
        self._forget_cards({charge.payment_method for charge in charges})
        for identity in gone:
            self.return_urls.pop(identity, None)
        self._untag(gone)

    def _forget_cards(self, used: AbstractSet[str]) -> None:
        methods = (self.methods.find(identity) for identity in used)
        gone = {method.id for method in methods if method and method.customer is None}
        self.methods.remove_all(gone)
        for identity in gone:
            self._secrets.pop(identity, None)
            self._shelf.drop(f"{self._account}/secret", identity)

    # Events

    def publish(self, kind: str, subject: Resource, before: Plain | None = None) -> None:
        """Record that something happened, as the object stands now, and tell who listens."""
        data = b'{"object":' + encode(subject)
        if before is not None:
            data += b',"previous_attributes":' + encode(before)
        listeners = self.listeners(kind)
        event = Event(
            id=self.new_id("evt"),
            created=self.now(),
            data=msgspec.Raw(data + b"}"),
            pending_webhooks=len(listeners),
            request=self.request,
            type=kind,
        )
        self.events.add(event)
        about = self._intent_of(subject) if listeners else None
        for endpoint in listeners:
            self.on_event(event, endpoint, about)

    def listeners(self, kind: str) -> list[WebhookEndpoint]:
        """Return the endpoints that want this kind of event."""
        return [
            endpoint
            for endpoint in self.endpoints.rows
            if endpoint.status == "enabled"
            and ("*" in endpoint.enabled_events or kind in endpoint.enabled_events)
        ]

    def _intent_of(self, subject: Resource) -> PaymentIntent | None:
        if isinstance(subject, PaymentIntent):
            return subject
        if isinstance(subject, Charge | Refund):
            return self.intents.find(subject.payment_intent)
        return None


def _nobody(event: Event, endpoint: WebhookEndpoint, about: PaymentIntent | None) -> None:
    """Tell nobody."""
    del event, endpoint, about
