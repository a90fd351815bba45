"""The books in memory, against random journals and holds."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tillgate.ledger.errors import AccountNotFound, CurrencyDiffers, HoldEnded, InsufficientFunds
from tillgate.ledger.machine import Books, Counters
from tillgate.ledger.model import Account, Hold, Journal, Line, Posted

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
#: The world has no floor; Li and Wang may not owe; Zhao may owe 20; Sato counts in yen.
FLOORS = {1: None, 2: 0, 3: 0, 4: -20, 5: None, 6: 0}
CURRENCIES = {1: "cny", 2: "cny", 3: "cny", 4: "cny", 5: "jpy", 6: "jpy"}
NUMBERS = st.integers(1, 7)
LINES = st.lists(
    st.tuples(NUMBERS, NUMBERS, st.integers(1, 50)).filter(lambda line: line[0] != line[1]),
    min_size=1,
    max_size=4,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.integers(1, 30), LINES),
        st.tuples(st.just("reserve"), st.integers(1, 5), st.integers(1, 6), st.integers(1, 60)),
        st.tuples(st.just("void"), st.integers(1, 5)),
        st.tuples(st.just("use"), st.integers(1, 5), st.integers(1, 60)),
    ),
    max_size=60,
)


def new_books() -> Books:
    books = Books()
    books.counters[3] = Counters(0, 6, NOON)
    books.take_in(
        Account(3, number, f"a{number}", CURRENCIES[number], "credit", FLOORS[number], 0, 0, NOON)
        for number in FLOORS
    )
    books.checked = {(3, f"test:{n}") for n in range(1, 100)}
    books.checked_holds = {(3, f"hold_{n}") for n in range(1, 6)}
    return books


@settings(deadline=None)
@given(STEPS)
def test_whatever_happens_the_books_balance_and_floors_hold(  # noqa: C901, PLR0912  a branch a step
    steps: list[tuple[object, ...]],
) -> None:
    books = new_books()
    seen: dict[str, Posted] = {}
    for step in steps:
        before = snapshot(books)
        match step:
            case ("post", cause, lines):
                journal = Journal(3, f"test:{cause}", tuple(Line(*line) for line in lines))
                result = books.post(journal, at=NOON)
                known = seen.get(journal.cause)
                if known is not None:
                    assert isinstance(result, Posted)
                    assert result.repeated
                    assert result.number == known.number
                elif isinstance(result, Posted):
                    seen[journal.cause] = result
                else:
                    assert isinstance(result, InsufficientFunds | AccountNotFound | CurrencyDiffers)
                    assert snapshot(books) == before
            case ("reserve", n, number, amount):
                known_hold = books.holds.get((3, f"hold_{n}"))
                hold = Hold(3, f"hold_{n}", ((number, amount),), NOON, NOON + timedelta(hours=1))
                result = books.reserve(hold)
                if known_hold is not None:
                    assert result is known_hold
                elif isinstance(result, InsufficientFunds):
                    assert snapshot(books) == before
            case ("void", n) if (3, f"hold_{n}") in books.holds:
                was_open = books.holds[3, f"hold_{n}"].status == "open"
                assert isinstance(books.void(3, f"hold_{n}", at=NOON), HoldEnded) != was_open
            case ("use", n, amount) if (3, f"hold_{n}") in books.holds:
                hold = books.holds[3, f"hold_{n}"]
                number, held = hold.parts[0]
                other = 1 if CURRENCIES[number] == "cny" else 5
                if other != number:
                    line = Line(number, other, min(amount, held))
                    posted = books.post_hold(3, hold.id, Journal(3, f"test:5{n}", (line,)), at=NOON)
                    assert isinstance(posted, Posted) or hold.status != "open"
                    if isinstance(posted, Posted) and not posted.repeated:
                        seen[posted.cause] = posted
            case _:
                pass
        check(books)


def test_an_expired_hold_is_free_only_for_the_sweep() -> None:
    books = new_books()
    books.post(Journal(3, "test:1", (Line(1, 2, 50),)), at=NOON)
    books.reserve(Hold(3, "hold_1", ((2, 50),), NOON, NOON + timedelta(minutes=1)))
    late = NOON + timedelta(minutes=1)

    used = books.post_hold(3, "hold_1", Journal(3, "test:2", (Line(2, 1, 50),)), at=late)

    assert isinstance(used, HoldEnded)
    assert books.available(3, 2) == 0
    ended = books.void(3, "hold_1", at=late, status="expired")
    assert isinstance(ended, Hold)
    assert books.available(3, 2) == 50


def snapshot(books: Books) -> list[tuple[int, int]]:
    return [(state.balance, state.held) for state in books.accounts.values()]


def check(books: Books) -> None:
    for currency in ("cny", "jpy"):
        states = [state for state in books.accounts.values() if state.currency == currency]
        assert sum(state.balance for state in states) == 0
    for (_, number), state in books.accounts.items():
        if state.floor is not None:
            assert state.balance - state.held >= state.floor
        lines = [line for posted in books.new for line in posted.lines]
        assert state.balance == sum(
            line.amount * ((line.credit == number) - (line.debit == number)) for line in lines
        )
        held = [
            amount
            for hold in books.holds.values()
            if hold.status == "open"
            for account, amount in hold.parts
            if account == number
        ]
        assert state.held == sum(held)
    assert [posted.number for posted in books.new] == list(range(1, len(books.new) + 1))
