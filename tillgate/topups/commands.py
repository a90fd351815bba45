"""Opening top-ups and following what becomes of their payments, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from tillgate.kernel import ids
from tillgate.kernel.errors import Refusal
from tillgate.kernel.facts import Fact
from tillgate.kernel.money import Money, currency
from tillgate.ledger import commands as ledger
from tillgate.ledger import queries as ledger_queries
from tillgate.ledger.model import AccountTerms
from tillgate.payments import commands as payments
from tillgate.payments.commands import LookUps, Opening, Route
from tillgate.payments.model import Charge, Gift, NewPayment, Payment, Trace
from tillgate.runtime import fact_log, outbox
from tillgate.runtime.db import Tx
from tillgate.topups import store
from tillgate.topups.model import NewTopUp, TopUp, TopUpView
from tillgate.wallets import commands as wallets
from tillgate.wallets.model import Wallet

_encode = msgspec.json.Encoder().encode

#: What becomes of a payment, and what that means for its top-up.
FOLLOWS: Mapping[str, str] = {
    "payment.succeeded": "top_up.succeeded",
    "payment.canceled": "top_up.canceled",
}


#: Ledger accounts a top-up may need beside the wallet's own, by merchant, code and currency.
Extras = dict[tuple[int, str, str], int]
_BONUS = "promotions:bonus"


@dataclass(frozen=True, slots=True)
class TopUpOpening:
    """A top-up to open."""

    order: NewTopUp
    route: Route | None
    trace: Trace


def extra_terms(order: NewTopUp) -> list[AccountTerms]:
    """Return the accounts a top-up needs beside the wallet's own."""
    terms: list[AccountTerms] = []
    if order.bonus_amount:
        terms.append(AccountTerms(_BONUS, order.currency, "debit"))
    if order.refund_policy == "receivable":
        terms.append(AccountTerms(owed_code(order), order.currency, "debit"))
    return terms


def owed_code(order: NewTopUp) -> str:
    """What the wallet's holder owes after a refund of what was spent already."""
    return f"wallet:{order.wallet_id}:owed"


async def open_top_ups(
    tx: Tx, items: Sequence[TopUpOpening], *, at: datetime, look_ups: LookUps
) -> list[tuple[TopUp, Payment | Charge] | Refusal]:
    """Open top-ups with their payments; one whose wallet cannot take it is refused alone."""
    wallets_found = await _wallets(tx, [item.order for item in items])
    accepted = [
        (item, wallet)
        for item, wallet in zip(items, wallets_found, strict=True)
        if isinstance(wallet, Wallet)
    ]
    extras = await _extras(tx, [item.order for item, _ in accepted], at)
    openings = [_opening(item, wallet, extras) for item, wallet in accepted]
    opened = await payments.open_payments(tx, openings, at=at, look_ups=look_ups)
    top_ups = [
        _top_up(item.order, wallet, payment, at)
        for (item, wallet), payment in zip(accepted, opened, strict=True)
    ]
    store.insert_top_ups(tx, top_ups)
    outbox.publish(
        tx,
        [
            _fact("top_up.created", top_up, _payment(payment), at, item.trace)
            for top_up, payment, (item, _) in zip(top_ups, opened, accepted, strict=True)
        ],
    )
    results = iter(zip(top_ups, opened, strict=True))
    return [next(results) if isinstance(wallet, Wallet) else wallet for wallet in wallets_found]


async def follow(tx: Tx, facts: Sequence[Fact]) -> None:
    """Publish what payments' facts mean for their top-ups; hearing one twice does nothing more.

    A top-up stands where its payment stands, and so its events bear the payment's numbers: each
    its own, rising in the order of what happened, however many are heard at a time.
    """
    followed = [
        (fact, payment)
        for fact in facts
        if fact.name in FOLLOWS
        for payment in [msgspec.json.decode(fact.data, type=Payment)]
        if payment.subject is not None and payment.subject.startswith("top_")
    ]
    if not followed:
        return
    keys = {(fact.merchant_id, payment.subject or "") for fact, payment in followed}
    top_ups = {(top.merchant_id, top.id): top for top in await store.select_top_ups(tx, keys)}
    following = [
        _fact(
            FOLLOWS[fact.name],
            top_ups[fact.merchant_id, payment.subject or ""],
            payment,
            fact.at,
            Trace(fact.request_id, fact.idempotency_key),
        )
        for fact, payment in followed
    ]
    said = await fact_log.numbers_said(tx, [_number(fact) for fact in following])
    outbox.publish(tx, [fact for fact in following if _number(fact) not in said])


def _number(fact: Fact) -> tuple[int, str, int]:
    """What no two facts have in common."""
    return fact.merchant_id, fact.object_id, fact.sequence


async def _wallets(tx: Tx, orders: Sequence[NewTopUp]) -> list[Wallet | Refusal]:
    """Return the wallet each top-up may pay into, with its bonus, or why not."""
    found = await wallets.require_open(
        tx,
        [
            (order.merchant_id, order.wallet_id, Money(order.amount, currency(order.currency)))
            for order in orders
        ],
    )
    wanted = [
        (wallet, order.amount + order.bonus_amount)
        for order, wallet in zip(orders, found, strict=True)
        if isinstance(wallet, Wallet)
    ]
    refusals = iter(await payments.require_room(tx, wanted))
    return [
        (next(refusals) or wallet) if isinstance(wallet, Wallet) else wallet for wallet in found
    ]


async def _extras(tx: Tx, orders: Sequence[NewTopUp], at: datetime) -> Extras:
    """Return the accounts these top-ups need; the first that needs one opens it with itself."""
    terms = {
        (order.merchant_id, term.code, term.currency): (order.merchant_id, term)
        for order in orders
        for term in extra_terms(order)
    }
    if not terms:
        return {}
    numbers = await ledger_queries.numbers(tx, terms.keys())
    missing = {key: terms[key] for key in terms if key not in numbers}
    if missing:
        books = await ledger.lock(tx, {merchant_id for merchant_id, _, _ in missing})
        await ledger.ensure_accounts(tx, books, missing.values(), at=at)
        numbers |= {key: books.number(*key) for key in missing}
    return numbers


def _opening(item: TopUpOpening, wallet: Wallet, extras: Extras) -> Opening:
    order = item.order
    owed = None
    if order.refund_policy == "receivable":
        owed = extras[order.merchant_id, owed_code(order), order.currency]
    gifts: list[Gift] = []
    if order.bonus_amount:
        promotions = extras[order.merchant_id, _BONUS, order.currency]
        gifts.append(Gift(promotions, wallet.bonus_account, order.bonus_amount))
    return Opening(
        NewPayment(
            merchant_id=order.merchant_id,
            id=ids.with_prefix("pi", order.id),
            amount=order.amount,
            currency=order.currency,
            method_types=order.method_types,
            customer_id=wallet.customer_id,
            payment_method=order.confirmation.payment_method if order.confirmation else None,
            pay_into=wallet.principal_account,
            owed_account=owed,
            refund_policy=order.refund_policy,
            gifts=gifts,
            subject=order.id,
            return_url=order.return_url,
            description=order.description,
            metadata=order.metadata,
            expires_at=order.expires_at,
            confirmation=order.confirmation,
        ),
        item.route,
        item.trace,
    )


def _top_up(order: NewTopUp, wallet: Wallet, opened: Payment | Charge, at: datetime) -> TopUp:
    return TopUp(
        merchant_id=order.merchant_id,
        id=order.id,
        wallet_id=order.wallet_id,
        customer_id=wallet.customer_id,
        payment_id=_payment(opened).id,
        amount=order.amount,
        bonus_amount=order.bonus_amount,
        currency=order.currency,
        metadata=order.metadata,
        created_at=at,
    )


def _payment(opened: Payment | Charge) -> Payment:
    return opened if isinstance(opened, Payment) else opened.payment


def _fact(name: str, top_up: TopUp, payment: Payment, at: datetime, trace: Trace) -> Fact:
    return Fact(
        merchant_id=top_up.merchant_id,
        id=ids.new_id("evt"),
        name=name,
        object_id=top_up.id,
        sequence=payment.sequence,
        data=_encode(TopUpView(top_up, payment)),
        at=at,
        request_id=trace.request_id,
        idempotency_key=trace.idempotency_key,
    )
