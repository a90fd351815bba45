"""What refunds take back of a gift, whatever becomes of the refunds before them."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tillgate.ledger.machine import Books, Counters
from tillgate.ledger.model import Account
from tillgate.payments import booking
from tillgate.payments.errors import ValueSpent
from tillgate.payments.machine import gift_share
from tillgate.payments.model import Attempt, Gift, Payment, Refund

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
INTO, BONUS, PROMOTIONS, OWED = 1, 2, 3, 4


class Till:
    """A paid top-up with a bonus, its books, and its refunds."""

    def __init__(self, ordered: int, received: int, bonus: int, *, policy: str) -> None:
        self.payment = Payment(
            merchant_id=3,
            id="pi_li",
            amount=ordered,
            currency="cny",
            status="succeeded",
            method_types=["alipay"],
            client_secret="",
            pay_into=INTO,
            owed_account=OWED if policy == "receivable" else None,
            refund_policy=policy,
            gifts=[Gift(PROMOTIONS, BONUS, bonus)],
            amount_received=received,
            created_at=NOON,
        )
        self.given = gift_share(bonus, received, ordered)
        attempt = Attempt(
            merchant_id=3,
            id="att_li",
            payment_id="pi_li",
            provider_account_id="pa_alipay",
            provider="alipay",
            presentation="qr",
            amount=ordered,
            amount_captured=received,
            currency="cny",
            status="paid",
            created_at=NOON,
        )
        self.books = Books()
        self.books.counters[3] = Counters(0, 8, NOON)
        codes = ["principal", "bonus", "promotions:bonus", "owed"]
        codes += [terms.code for terms in booking.terms_of(attempt)]
        self.books.take_in(
            Account(3, n, code, "cny", "credit", 0 if n <= BONUS else None, 0, 0, NOON)
            for n, code in enumerate(codes, start=1)
        )
        self.chart = booking.Chart(self.books, attempt, self.payment)
        self.refunds: list[Refund] = []
        journal = booking.settlement(self.payment, attempt, self.chart)
        self.books.checked = {(3, journal.cause)}
        self.books.post(journal, at=NOON)

    @property
    def left(self) -> int:
        return self.payment.amount_received - self.payment.amount_refunded

    @property
    def taken(self) -> int:
        """What the giver of the bonus has back, by the books."""
        return self.given + self.books.state(3, PROMOTIONS).balance

    def refund(self, amount: int) -> bool:
        """Refund so much; whether it was opened."""
        taken = booking.taken_back(self.payment, self.refunds)
        lines = booking.take_back(self.books, self.payment, taken, amount, self.chart)
        if isinstance(lines, ValueSpent):
            return False
        refund = Refund(
            merchant_id=3,
            id=f"re_{len(self.refunds)}",
            payment_id="pi_li",
            attempt_id="att_li",
            amount=amount,
            currency="cny",
            status="created",
            take_back=lines,
            created_at=NOON,
        )
        self.refunds.append(refund)
        self._book(refund, "refund", amount, lines)
        return True

    def fail(self, index: int) -> None:
        """The provider says no to one of those that are open."""
        live = [n for n, refund in enumerate(self.refunds) if refund.status != "failed"]
        if not live:
            return
        number = live[index % len(live)]
        refund = self.refunds[number]
        self.refunds[number] = msgspec.structs.replace(refund, status="failed")
        back = [(credit, debit, amount) for debit, credit, amount in refund.take_back]
        self._book(refund, "refund_failed", -refund.amount, back)

    def spend(self, amount: int) -> None:
        """The customer spends bonus."""
        state = self.books.state(3, BONUS)
        state.balance -= min(amount, state.balance)

    def _book(self, refund: Refund, cause: str, amount: int, lines: booking.Lines) -> None:
        journal = booking.journal(refund, cause, lines)
        self.books.checked.add((3, journal.cause))
        posted = self.books.post(journal, at=NOON)
        assert not isinstance(posted, Exception)
        refunded = self.payment.amount_refunded + amount
        self.payment = msgspec.structs.replace(self.payment, amount_refunded=refunded)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("refund"), st.integers(1, 20_000)),
        st.tuples(st.just("fail"), st.integers(0, 9)),
    ),
    max_size=30,
)


@given(
    ordered=st.integers(1, 12_000),
    part=st.integers(1, 100),
    bonus=st.integers(1, 3_000),
    policy=st.sampled_from(["block", "receivable"]),
    spent=st.integers(0, 3_000),
    steps=STEPS,
)
@settings(deadline=None, max_examples=400)
def test_all_of_a_gift_goes_back_and_never_more(
    ordered: int, part: int, bonus: int, policy: str, spent: int, steps: list[tuple[str, int]]
) -> None:
    till = Till(ordered, max(ordered * part // 100, 1), bonus, policy=policy)
    if policy == "receivable":
        till.spend(spent)
    for step, number in steps:
        if step == "fail":
            till.fail(number)
        elif till.left:
            assert till.refund(1 + number % till.left), "nothing was spent"
        assert 0 <= till.taken <= till.given
    if till.left:
        assert till.refund(till.left), "nothing was spent"
    assert till.taken == till.given


def test_with_other_bonus_in_the_wallet_a_gift_of_ten_is_taken_as_ten() -> None:
    till = Till(1_000, 1_000, 10, policy="block")
    till.books.state(3, BONUS).balance += 50
    assert till.refund(150)
    assert till.refund(50)
    till.fail(0)
    assert till.refund(950)
    assert till.taken == 10
