"""Which ledger accounts the money path moves value between: pure.

paid            debit provider:…:receivable      credit pay_into (or sales)     + gifts
refund opened   debit pay_into (or sales)        credit provider:…:refunds      + gifts back
refund made     debit provider:…:refunds         credit provider:…:receivable
refund failed   the refund's lines, the other way round
surplus         debit provider:…:receivable      credit suspense:second_payment, then refunded
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tillgate.ledger.machine import Books
from tillgate.ledger.model import AccountTerms, Journal, Line
from tillgate.payments.errors import ValueSpent
from tillgate.payments.machine import RefundStatus, gift_share
from tillgate.payments.model import Attempt, Payment, Refund

Lines = list[tuple[int, int, int]]
#: What has been taken back of a payment's gifts, by the account that gave them. A payment's gifts
#: come from accounts of their own, which its money never touches.
Taken = Mapping[int, int]


def receivable(attempt: Attempt) -> AccountTerms:
    """What the provider owes the merchant."""
    code = f"provider:{attempt.provider}:{attempt.provider_account_id}:receivable"
    return AccountTerms(code, attempt.currency, "debit")


def refunds_payable(attempt: Attempt) -> AccountTerms:
    """Refunds ordered and not yet made by the provider."""
    code = f"provider:{attempt.provider}:{attempt.provider_account_id}:refunds"
    return AccountTerms(code, attempt.currency, "credit")


def sales(currency: str) -> AccountTerms:
    """What the merchant earned by payments that go into no wallet."""
    return AccountTerms("sales", currency, "credit")


def second_payments(currency: str) -> AccountTerms:
    """Money paid twice for the same order, or for its former amount, on its way back."""
    return AccountTerms("suspense:second_payment", currency, "credit")


def terms_of(attempt: Attempt) -> list[AccountTerms]:
    """All accounts by code that an attempt's journals may touch."""
    return [
        receivable(attempt),
        refunds_payable(attempt),
        sales(attempt.currency),
        second_payments(attempt.currency),
    ]


def numbers_of(payment: Payment) -> set[tuple[int, int]]:
    """All accounts by number that a payment's journals may touch."""
    numbers = {payment.pay_into, payment.owed_account}
    for gift in payment.gifts:
        numbers |= {gift.debit, gift.credit}
    return {(payment.merchant_id, number) for number in numbers if number is not None}


class Chart:
    """Account numbers of one attempt, once its accounts are loaded."""

    def __init__(self, books: Books, attempt: Attempt, payment: Payment) -> None:
        merchant, currency = attempt.merchant_id, attempt.currency
        self.receivable = books.number(merchant, receivable(attempt).code, currency)
        self.refunds = books.number(merchant, refunds_payable(attempt).code, currency)
        self.second = books.number(merchant, second_payments(currency).code, currency)
        self.into = payment.pay_into or books.number(merchant, "sales", currency)


def settlement(payment: Payment, attempt: Attempt, chart: Chart) -> Journal:
    """The journal that credits what an attempt was paid, and the gifts that go with it."""
    lines = [Line(chart.receivable, chart.into, attempt.amount_captured)]
    for gift in payment.gifts:
        share = gift_share(gift.amount, attempt.amount_captured, payment.amount)
        if share:
            lines.append(Line(gift.debit, gift.credit, share))
    return Journal(payment.merchant_id, f"payment:{attempt.id}", tuple(lines))


def surplus(attempt: Attempt, chart: Chart) -> Journal:
    """The journal of a surplus: held in suspense."""
    line = Line(chart.receivable, chart.second, attempt.amount_captured)
    return Journal(attempt.merchant_id, f"payment:{attempt.id}", (line,))


def taken_back(payment: Payment, refunds: Iterable[Refund]) -> Taken:
    """Return what live refunds of a payment have taken back of its gifts, by the gift's giver.

    A refund that failed has given back exactly what it took, so it counts for nothing; what the
    rest took is read off their lines, for it depends on the order in which they were opened.
    """
    taken = {gift.debit: 0 for gift in payment.gifts}
    for refund in refunds:
        if refund.surplus or refund.status == RefundStatus.FAILED:
            continue
        for _, credit, amount in refund.take_back:
            if credit in taken:
                taken[credit] += amount
    return taken


def take_back(
    books: Books, payment: Payment, taken: Taken, amount: int, chart: Chart
) -> Lines | ValueSpent:
    """Return the lines that take a refund's money, and the gifts' share, back from where it went.

    `taken` is what the refunds before it took of the gifts: so all is taken once all is refunded,
    and never more, whichever of them fail. A gift that has been spent is taken from the money
    itself; what is missing then falls under the payment's policy: `block` refuses, `receivable`
    books what the holder owes.
    """
    merchant = payment.merchant_id
    lines: Lines = []
    missing = 0
    room = _room(books, merchant, chart.into)
    money = min(amount, room)
    if money:
        lines.append((chart.into, chart.refunds, money))
    missing_money = amount - money
    room -= money
    for gift in payment.gifts:
        share = _gift_share_now(gift.amount, payment, taken[gift.debit], amount)
        from_gift = min(share, _room(books, merchant, gift.credit))
        if from_gift:
            lines.append((gift.credit, gift.debit, from_gift))
        from_money = min(share - from_gift, room)
        if from_money:
            lines.append((chart.into, gift.debit, from_money))
            room -= from_money
        rest = share - from_gift - from_money
        missing += rest
        if rest and payment.owed_account is not None:
            lines.append((payment.owed_account, gift.debit, rest))
    if missing_money and payment.owed_account is not None:
        lines.append((payment.owed_account, chart.refunds, missing_money))
    missing += missing_money
    if missing and (payment.refund_policy != "receivable" or payment.owed_account is None):
        return ValueSpent(missing, amount)
    return lines


def refundable_now(books: Books, payment: Payment, taken: Taken, chart: Chart) -> int:
    """Return the most that can be refunded of what is left without anything missing."""
    low, high = 0, payment.amount_received - payment.amount_refunded
    probe = msgspec.structs.replace(payment, refund_policy="block")
    while low < high:
        middle = (low + high + 1) // 2
        if isinstance(take_back(books, probe, taken, middle, chart), ValueSpent):
            high = middle - 1
        else:
            low = middle
    return low


def journal(refund: Refund, cause: str, lines: Sequence[tuple[int, int, int]]) -> Journal:
    """A journal of a refund."""
    return Journal(
        refund.merchant_id,
        f"{cause}:{refund.id}",
        tuple(Line(debit, credit, amount) for debit, credit, amount in lines),
    )


def _gift_share_now(gift: int, payment: Payment, taken: int, amount: int) -> int:
    given = gift_share(gift, payment.amount_received, payment.amount)
    share = gift_share(given, payment.amount_refunded + amount, payment.amount_received)
    return max(share - taken, 0)


def _room(books: Books, merchant_id: int, number: int) -> int:
    room = books.state(merchant_id, number).room
    return 1 << 62 if room is None else max(room, 0)
