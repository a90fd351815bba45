"""The books of some merchants while their rows are locked: pure, decided in memory.

`Books` takes journals and holds one by one, each accepted or refused on the balances as the ones
before left them, and remembers what has to be written. `commands` loads and saves it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from tillgate.kernel.errors import Refusal
from tillgate.ledger.errors import AccountNotFound, CurrencyDiffers, HoldEnded, InsufficientFunds
from tillgate.ledger.model import (
    Account,
    Hold,
    HoldStatus,
    Journal,
    Posted,
    PostedLine,
)

Numbers = dict[tuple[int, str, str], int]


class State:
    """One account under lock: its terms, where it stood, where it stands."""

    __slots__ = ("balance", "balance_before", "code", "currency", "floor", "held", "held_before")

    def __init__(self, account: Account) -> None:
        self.code = account.code
        self.currency = account.currency
        self.floor = account.floor
        self.balance = self.balance_before = account.balance
        self.held = self.held_before = account.held

    @property
    def room(self) -> int | None:
        """What may be debited now; None where there is no floor."""
        return None if self.floor is None else self.balance - self.held - self.floor


@dataclass(slots=True)
class Counters:
    """The gapless counters of one merchant's books."""

    last_journal: int
    last_account: int
    last_at: datetime
    #: Drawn anew by whoever writes; the same stamp means that nobody has written since.
    stamp: int = 0


class Memory:
    """What a process knows of a merchant's accounts between its own batches.

    True only while the books carry the stamp it was kept under, and taken out while it is used: a
    batch that is rolled back leaves a stamp that never reached the database, so nothing here.
    """

    #: More accounts than this are not worth keeping.
    LIMIT = 200_000

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, dict[tuple[int, int], State], Numbers]] = {}

    def recall(self, merchant_id: int, stamp: int, books: Books) -> None:
        """Give locked books the accounts that have not changed since they were kept."""
        kept = self._known.pop(merchant_id, None)
        if kept is not None and kept[0] == stamp and len(kept[1]) <= self.LIMIT:
            _, books.accounts, books.numbers = kept

    def keep(self, merchant_id: int, stamp: int, books: Books) -> None:
        """Remember accounts as they will stand if the books are committed."""
        self._known[merchant_id] = (stamp, books.accounts, books.numbers)


class Books:
    """Locked books of one or more merchants."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory
        self.counters: dict[int, Counters] = {}
        self.accounts: dict[tuple[int, int], State] = {}
        self.numbers: Numbers = {}
        self.posted: dict[tuple[int, str], Posted] = {}
        #: Causes whose absence from the books has been checked under the lock.
        self.checked: set[tuple[int, str]] = set()
        self.new: list[Posted] = []
        self.touched: set[tuple[int, int]] = set()
        self.holds: dict[tuple[int, str], Hold] = {}
        #: Holds whose presence or absence has been checked under the lock.
        self.checked_holds: set[tuple[int, str]] = set()
        self.changed_holds: dict[tuple[int, str], Hold] = {}
        #: What has been taken off the books to be written.
        self.written: list[Posted] = []
        self.written_holds: set[tuple[int, str]] = set()

    def turn(self) -> None:
        """Go on to the next batch: of journals and holds, keep only what the last one has changed.

        What it has left as it was may be changed by others, and is read again.
        """
        last = {(posted.merchant_id, posted.cause) for posted in self.written}
        self.posted = {key: self.posted[key] for key in last}
        self.checked = last
        self.holds = {key: self.holds[key] for key in self.written_holds}
        self.checked_holds = set(self.holds)
        self.written, self.written_holds = [], set()

    def take_in(self, accounts: Iterable[Account]) -> None:
        """Learn accounts as they stand in the database."""
        for account in accounts:
            key = (account.merchant_id, account.number)
            if key not in self.accounts:
                self.accounts[key] = State(account)
            self.numbers[account.merchant_id, account.code, account.currency] = account.number

    def number(self, merchant_id: int, code: str, currency: str) -> int:
        """Return an account's number by its code; it must have been loaded."""
        return self.numbers[merchant_id, code, currency]

    def state(self, merchant_id: int, number: int) -> State:
        """Return an account's state; it must have been loaded."""
        return self.accounts[merchant_id, number]

    def available(self, merchant_id: int, number: int) -> int:
        """Return balance minus held."""
        state = self.accounts[merchant_id, number]
        return state.balance - state.held

    def post(self, journal: Journal, *, at: datetime) -> Posted | Refusal:
        """Post all lines or none. A cause posted before returns that journal, `repeated`."""
        key = (journal.merchant_id, journal.cause)
        earlier = self.posted.get(key)
        if earlier is not None:
            return earlier if earlier.repeated else msgspec.structs.replace(earlier, repeated=True)
        assert key in self.checked, "the cause was not loaded under the lock"
        refusal = self._refusal(journal)
        if refusal is not None:
            return refusal
        posted = self._apply(journal, at)
        self.posted[key] = posted
        self.new.append(posted)
        return posted

    def reserve(self, hold: Hold) -> Hold | InsufficientFunds:
        """Set the hold's amounts aside so that nothing else can spend them. Once for each id."""
        key = (hold.merchant_id, hold.id)
        earlier = self.holds.get(key)
        if earlier is not None:
            return earlier
        assert key in self.checked_holds, "the hold was not loaded under the lock"
        for number, amount in hold.parts:
            state = self.accounts[hold.merchant_id, number]
            room = state.room
            if room is not None and room < amount:
                return InsufficientFunds(state.code, state.balance - state.held, amount)
        for number, amount in hold.parts:
            self.accounts[hold.merchant_id, number].held += amount
            self.touched.add((hold.merchant_id, number))
        self._keep(hold)
        return hold

    def post_hold(
        self, merchant_id: int, hold_id: str, journal: Journal, *, at: datetime
    ) -> Posted | Refusal:
        """End a hold by posting all of it or less; what is not posted is free again."""
        if (journal.merchant_id, journal.cause) in self.posted:
            return self.post(journal, at=at)
        hold = self.holds[merchant_id, hold_id]
        left = dict(hold.parts)
        for line in journal.lines:
            left[line.debit] = left.get(line.debit, 0) - line.amount
        assert all(amount >= 0 for amount in left.values()), "posted more than was held"
        refusal = self._end(hold, "posted", at)
        if refusal is not None:
            return refusal
        posted = self.post(journal, at=at)
        assert isinstance(posted, Posted), "what was held could not be posted"
        return posted

    def void(
        self, merchant_id: int, hold_id: str, *, at: datetime, status: HoldStatus = "voided"
    ) -> Hold | HoldEnded:
        """End a hold without posting; all of it is free again."""
        hold = self.holds[merchant_id, hold_id]
        return self._end(hold, status, at) or self.holds[merchant_id, hold_id]

    def _end(self, hold: Hold, status: HoldStatus, at: datetime) -> HoldEnded | None:
        if hold.status != "open":
            return HoldEnded(hold.id, hold.status)
        if status != "expired" and hold.expires_at is not None and hold.expires_at <= at:
            return HoldEnded(hold.id, "expired")
        for number, amount in hold.parts:
            state = self.accounts[hold.merchant_id, number]
            assert amount <= state.held, "released more than was held"
            state.held -= amount
            self.touched.add((hold.merchant_id, number))
        self._keep(replace(hold, status=status, ended_at=at))
        return None

    def _keep(self, hold: Hold) -> None:
        self.holds[hold.merchant_id, hold.id] = hold
        self.changed_holds[hold.merchant_id, hold.id] = hold

    def _refusal(self, journal: Journal) -> Refusal | None:
        merchant = journal.merchant_id
        room: dict[int, int] = {}
        for line in journal.lines:
            debit = self.accounts.get((merchant, line.debit))
            credit = self.accounts.get((merchant, line.credit))
            if debit is None or credit is None:
                return AccountNotFound(line.debit if debit is None else line.credit)
            if debit.currency != credit.currency:
                return CurrencyDiffers(debit.code, credit.code)
            if debit.floor is not None:
                left = room.get(line.debit, debit.balance - debit.held - debit.floor) - line.amount
                if left < 0:
                    available = debit.balance - debit.held
                    return InsufficientFunds(debit.code, available, line.amount)
                room[line.debit] = left
            if line.credit in room:
                room[line.credit] += line.amount
        return None

    def _apply(self, journal: Journal, at: datetime) -> Posted:
        merchant = journal.merchant_id
        counters = self.counters[merchant]
        counters.last_journal += 1
        if at > counters.last_at:
            counters.last_at = at
        lines: list[PostedLine] = []
        for line in journal.lines:
            debit_key, credit_key = (merchant, line.debit), (merchant, line.credit)
            debit, credit, amount = self.accounts[debit_key], self.accounts[credit_key], line.amount
            debit.balance -= amount
            credit.balance += amount
            self.touched.add(debit_key)
            self.touched.add(credit_key)
            lines.append(
                PostedLine(
                    line.debit, line.credit, amount, debit.currency, debit.balance, credit.balance
                )
            )
        return Posted(
            merchant, counters.last_journal, journal.cause, counters.last_at, tuple(lines)
        )
