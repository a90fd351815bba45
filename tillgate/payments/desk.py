"""The desk: locked payments with everything of theirs, changed in memory, written together.

Used by the commands of this room only. What is decided on the desk (moves, journals, facts,
breaks) reaches the database in `close`, with the books locked last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import msgspec

from tillgate.kernel import ids
from tillgate.kernel.errors import Refusal
from tillgate.kernel.facts import Fact
from tillgate.ledger import commands as ledger
from tillgate.ledger.machine import Books
from tillgate.ledger.model import Journal
from tillgate.payments import booking, break_store, store
from tillgate.payments.model import Attempt, Break, Charge, Payment, Refund, RefundView, Trace
from tillgate.runtime import outbox
from tillgate.runtime.db import Tx

Key = tuple[int, str]

_encode = msgspec.json.Encoder().encode
_PAYMENT_MOVES = frozenset(store.PAYMENT_MOVES)
_EDITS = frozenset(store.PAYMENT_EDITS)
_ATTEMPT_MOVES = frozenset(store.ATTEMPT_MOVES)
_REFUND_MOVES = frozenset(store.REFUND_MOVES)

#: Something to be booked once the books are locked: decides its journal on the balances as they
#: are, or refuses; whatever else hangs on it, it does itself.
Booking = Callable[[Books], "Journal | None"]


class Desk:
    """Payments under lock, and what is being changed about them."""

    def __init__(self, at: datetime, memory: ledger.Memory | None = None) -> None:
        self.at = at
        self._memory = memory
        self.payments: dict[Key, Payment] = {}
        self.attempts: dict[Key, Attempt] = {}
        self.refunds: dict[Key, Refund] = {}
        self._new: set[Key] = set()
        self._changed: set[Key] = set()
        #: Of the changed payments, those of which more has changed than a journey moves.
        self._edited: set[Key] = set()
        self._bookings: list[tuple[Attempt, Payment, str, Booking]] = []
        self._facts: list[Fact] = []
        self._breaks: list[Break] = []

    def take_in(
        self,
        payments: list[Payment] = [],  # noqa: B006  never changed
        attempts: list[Attempt] = [],  # noqa: B006
        refunds: list[Refund] = [],  # noqa: B006
    ) -> None:
        """Lay what was read under lock on the desk."""
        self.payments.update({(p.merchant_id, p.id): p for p in payments})
        self.attempts.update({(a.merchant_id, a.id): a for a in attempts})
        self.refunds.update({(r.merchant_id, r.id): r for r in refunds})

    def payment_of(self, thing: Attempt | Refund) -> Payment:
        """Return the payment an attempt or a refund belongs to, as it stands now."""
        return self.payments[thing.merchant_id, thing.payment_id]

    def refunds_of(self, payment: Payment) -> list[Refund]:
        """Return the payment's refunds that are on the desk, as they stand now."""
        key = (payment.merchant_id, payment.id)
        return [r for r in self.refunds.values() if (r.merchant_id, r.payment_id) == key]

    # Changes ---------------------------------------------------------------------------------

    def add_payment(self, payment: Payment) -> None:
        """A new payment."""
        key = (payment.merchant_id, payment.id)
        self.payments[key] = payment
        self._new.add(key)

    def add_attempt(self, attempt: Attempt) -> None:
        """A new attempt."""
        key = (attempt.merchant_id, attempt.id)
        self.attempts[key] = attempt
        self._new.add(key)

    def add_refund(self, refund: Refund) -> None:
        """A new refund."""
        key = (refund.merchant_id, refund.id)
        self.refunds[key] = refund
        self._new.add(key)

    def change_payment(self, payment: Payment, **changes: Any) -> Payment:
        """Change a payment; its sequence goes up."""
        changed = msgspec.structs.replace(payment, sequence=payment.sequence + 1, **changes)
        key = (payment.merchant_id, payment.id)
        self.payments[key] = changed
        self._changed.add(key)
        if not changes.keys() <= _PAYMENT_MOVES:
            assert changes.keys() <= _PAYMENT_MOVES | _EDITS, "a column that no update writes"
            self._edited.add(key)
        return changed

    def change_attempt(self, attempt: Attempt, **changes: Any) -> Attempt:
        """Change an attempt; its sequence goes up."""
        assert changes.keys() <= _ATTEMPT_MOVES, "a column that no update writes"
        changed = msgspec.structs.replace(attempt, sequence=attempt.sequence + 1, **changes)
        self.attempts[attempt.merchant_id, attempt.id] = changed
        self._changed.add((attempt.merchant_id, attempt.id))
        return changed

    def change_refund(self, refund: Refund, **changes: Any) -> Refund:
        """Change a refund; its sequence goes up."""
        assert changes.keys() <= _REFUND_MOVES, "a column that no update writes"
        changed = msgspec.structs.replace(refund, sequence=refund.sequence + 1, **changes)
        self.refunds[refund.merchant_id, refund.id] = changed
        self._changed.add((refund.merchant_id, refund.id))
        return changed

    def book(self, attempt: Attempt, payment: Payment, cause: str, decide: Booking) -> None:
        """Book when the desk closes, with the books of the merchant locked."""
        self._bookings.append((attempt, payment, cause, decide))

    # Facts -----------------------------------------------------------------------------------

    def say_payment(self, name: str, payment: Payment, trace: Trace) -> None:
        """Publish a fact about a payment."""
        self._say(name, payment.id, payment.sequence, payment.merchant_id, _encode(payment), trace)

    def say_charge(self, name: str, attempt: Attempt, payment: Payment, trace: Trace) -> None:
        """Publish a fact about an attempt."""
        data = _encode(Charge(attempt, payment))
        self._say(name, attempt.id, attempt.sequence, attempt.merchant_id, data, trace)

    def say_refund(self, name: str, refund: Refund, trace: Trace) -> None:
        """Publish a fact about a refund."""
        data = _encode(RefundView(refund, self.payment_of(refund)))
        self._say(name, refund.id, refund.sequence, refund.merchant_id, data, trace)

    def open_break(
        self,
        kind: str,
        thing: Attempt | Refund,
        ours: dict[str, object],
        theirs: dict[str, object],
        *,
        refund: str | None = None,
    ) -> None:
        """Let a person look at it. `refund` is one of the attempt's that only the provider has."""
        is_attempt = isinstance(thing, Attempt)
        self._breaks.append(
            Break(
                merchant_id=thing.merchant_id,
                id=ids.new_id("brk"),
                kind=kind,
                attempt_id=thing.id if is_attempt else None,
                refund_id=refund if is_attempt else thing.id,
                ours=ours,
                theirs=theirs,
                created_at=self.at,
            )
        )

    def _say(
        self, name: str, object_id: str, sequence: int, merchant_id: int, data: bytes, trace: Trace
    ) -> None:
        self._facts.append(
            Fact(
                merchant_id=merchant_id,
                id=ids.new_id("evt"),
                name=name,
                object_id=object_id,
                sequence=sequence,
                data=data,
                at=self.at,
                request_id=trace.request_id,
                idempotency_key=trace.idempotency_key,
            )
        )

    # Writing ---------------------------------------------------------------------------------

    async def close(self, tx: Tx) -> None:
        """Write and book everything. The order is the order of locks: rows first, books last.

        Everybody who posts to the merchant waits for the books, so all that can be written before
        is. What the bookings decide is written after them.
        """
        await self._write(tx)
        if self._bookings:
            await self.do_bookings(tx)
            await self._write(tx)

    async def _write(self, tx: Tx) -> None:
        store.insert_payments(tx, self._fresh(self.payments))
        store.attempts.insert(tx, self._fresh(self.attempts))
        store.refunds.insert(tx, self._fresh(self.refunds))
        # Attempts that end first: only one attempt of a payment may be open.
        store.update_attempts(tx, self._touched(self.attempts))
        store.update_payments(tx, self._touched(self.payments, but=self._edited))
        store.rewrite_payments(tx, [self.payments[key] for key in sorted(self._edited - self._new)])
        store.update_refunds(tx, self._touched(self.refunds))
        break_store.insert_breaks(tx, self._breaks)
        outbox.publish(tx, self._facts)
        self._new, self._changed, self._edited = set(), set(), set()
        self._breaks, self._facts = [], []

    async def do_bookings(self, tx: Tx) -> None:
        """Lock the books and post what has been collected so far."""
        bookings, self._bookings = self._bookings, []
        merchants = {payment.merchant_id for _, payment, _, _ in bookings}
        books = await ledger.lock(tx, merchants, self._memory)
        await ledger.ensure_accounts(
            tx,
            books,
            [
                (attempt.merchant_id, terms)
                for attempt, _, _, _ in bookings
                for terms in booking.terms_of(attempt)
            ],
            at=self.at,
        )
        await ledger.load(
            tx,
            books,
            accounts={key for _, payment, _, _ in bookings for key in booking.numbers_of(payment)},
            causes=[(payment.merchant_id, cause) for _, payment, cause, _ in bookings],
        )
        for _, _, cause, decide in bookings:
            self._post(books, cause, decide(books))
        ledger.save(tx, books)

    def _post(self, books: Books, cause: str, journal: Journal | None) -> None:
        if journal is None:
            return
        assert journal.cause == cause, "booked under another cause than was said"
        posted = books.post(journal, at=self.at)
        assert not isinstance(posted, Refusal), f"{cause} was refused: {posted}"
        assert not posted.repeated, f"{cause} was booked before"

    def _fresh(self, things: dict[Key, Any]) -> list[Any]:
        return [thing for key, thing in things.items() if key in self._new]

    def _touched(self, things: dict[Key, Any], *, but: Collection[Key] = ()) -> list[Any]:
        # In order of keys, as all who update these rows do.
        changed = self._changed.difference(self._new, but)
        return [things[key] for key in sorted(things.keys() & changed)]
