"""The addresses of this API: which function answers, what it is called, what kind of call it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from simulators.card import bills, intents, money, refunds, searching, vault, webhooks
from simulators.card.accounts import FOREIGN, Account, number_in, number_of
from simulators.card.cards import ALIASES, DECLINES, GENERIC, Decline
from simulators.card.charging import LATER_SECONDS, Manner
from simulators.card.errors import ApiError, api_error, no_such, refused
from simulators.card.form import Form, listed, only, text
from simulators.card.listing import PAGING, few, page, whole_drawer
from simulators.card.objects import (
    Charge,
    Event,
    PaymentIntent,
    PaymentMethod,
    Plain,
    Refund,
    Resource,
)
from simulators.common.faults import MAGIC, Drawn, FaultKind, FaultPlan, Stage

WRONG_BY: Final = 100


class Call(msgspec.Struct):
    """One call of the API, as its handler sees it."""

    account: Account
    plan: FaultPlan
    operation: str
    identity: str
    form: Form
    drawn: Drawn


Handler = Callable[[Call], object]


@dataclass(frozen=True, slots=True)
class Route:
    """One address: its operation's name (for rules), its stage, its handler."""

    operation: str
    stage: Stage
    handler: Handler


# Payment intents


def _fate(call: Call, amount: int | None, subject: str) -> Manner:
    """Draw what the payer's bank will do, beside what the call itself suffers."""
    paying = call.plan.draw(Stage.PAY, "pay", amount, subject)
    kinds = {paying.kind, call.drawn.kind}
    forced: Decline | None = None
    if FaultKind.REFUSE in kinds:
        forced = DECLINES["do_not_honor"]
    elif FaultKind.DECLINE in kinds:
        forced = GENERIC
    is_wrong = FaultKind.WRONG_AMOUNT in kinds and amount is not None
    return Manner(
        forced=forced,
        skips_challenge=FaultKind.PAID_AT_ONCE in kinds,
        told_amount=(amount or 0) + WRONG_BY if is_wrong else None,
        on_behalf_of=FOREIGN if FaultKind.WRONG_ACCOUNT in kinds else None,
    )


def _create_intent(call: Call) -> PaymentIntent:
    account, form = call.account, call.form
    amount = amount_in(form)
    confirms = text(form, "confirm") == "true"
    if call.drawn.kind is FaultKind.REFUSE and not confirms:
        raise refused("This payment cannot be processed by this account.")
    fate = _fate(call, amount, subject_in(form)) if confirms else Manner()
    intent = intents.create(account.books, account.terms, form, fate)
    if call.drawn.kind in (FaultKind.PAID_AT_ONCE, FaultKind.NOTICE_FIRST):
        pay_open(account, intent, fate)
    return intent


def pay_open(account: Account, intent: PaymentIntent, fate: Manner) -> None:
    """Pay with a card that always works, whatever the intent still waits for."""
    if intent.status in ("succeeded", "requires_capture"):
        return
    method = vault.save_card(account.books, ALIASES["pm_card_visa"], {})
    intents.pay_by_hand(account.books, account.terms, intent, method, fate)


def _confirm_intent(call: Call) -> PaymentIntent:
    account = call.account
    intent = account.books.intents.get(call.identity)
    fate = _fate(call, intent.amount, number_of(intent))
    return intents.confirm(account.books, account.terms, call.identity, call.form, fate)


def _retrieve_intent(call: Call) -> PaymentIntent:
    only(call.form, frozenset({"client_secret", "expand"}))
    return _as_told(call, call.account.books.intents.get(call.identity))


def _as_told(call: Call, intent: PaymentIntent) -> PaymentIntent:
    """Show an intent as this query shows it: perhaps not yet paid, perhaps another amount."""
    kind = call.drawn.kind
    if intent.status == "succeeded" and intent.amount in MAGIC and kind is None:
        kind = call.plan.draw(Stage.QUERY, "told", intent.amount, number_of(intent)).kind
    if kind is FaultKind.NOT_PAID_YET and intent.status == "succeeded":
        return msgspec.structs.replace(intent, status="processing", amount_received=0)
    if kind is FaultKind.WRONG_AMOUNT and intent.status == "succeeded":
        return msgspec.structs.replace(intent, amount_received=intent.amount + WRONG_BY)
    return intent


def _list_intents(call: Call) -> Plain:
    only(call.form, PAGING | {"customer"})
    fits = _equal(call.form, ("customer",))
    answer = page(whole_drawer(call.account.books.intents), "/v1/payment_intents", call.form, fits)
    return _all_as_told(call, answer)


def _search_intents(call: Call) -> Plain:
    answer = searching.search(call.account.books, call.form)
    if call.drawn.kind is FaultKind.NOT_PAID_YET:
        # The index lags, as it may for a minute at Stripe: nothing is found, whatever was asked.
        return answer | {"data": list[PaymentIntent](), "has_more": False, "next_page": None}
    return _all_as_told(call, answer)


def _all_as_told(call: Call, answer: Plain) -> Plain:
    rows = cast("list[PaymentIntent]", answer["data"])
    answer["data"] = [_as_told(call, row) for row in rows]
    return answer


def _equal(form: Form, names: tuple[str, ...]) -> Callable[[Resource], bool] | None:
    asked = [(name, text(form, name)) for name in names]
    asked = [(name, value) for name, value in asked if value is not None]
    if not asked:
        return None
    return lambda row: all(getattr(row, name) == value for name, value in asked)


# Charges and refunds


def _list_charges(call: Call) -> Plain:
    only(call.form, PAGING | {"customer", "payment_intent"})
    books = call.account.books
    intent = text(call.form, "payment_intent")
    drawer = whole_drawer(books.charges)
    source = drawer if intent is None else few("charge", books.charges_of(intent))
    return page(source, "/v1/charges", call.form, _equal(call.form, ("customer",)))


def _retrieve_charge(call: Call) -> Charge:
    return call.account.books.charges.get(call.identity)


def _create_refund(call: Call) -> Refund:
    books = call.account.books
    card = _card_refunded(call)
    if call.drawn.kind is FaultKind.REFUSE:
        raise refused("This charge cannot be refunded.", code="charge_not_refundable")
    is_stuck = call.drawn.kind is FaultKind.REFUND_STUCK
    is_pending = is_stuck or card == "pending"
    refund = refunds.create(books, call.form, is_pending=is_pending)
    if card == "fails_later" or call.drawn.kind is FaultKind.REFUND_FAILS_LATER:
        call.account.terms.later(LATER_SECONDS, lambda: refunds.fail(books, refund))
    elif is_pending and not is_stuck:
        call.account.terms.later(LATER_SECONDS, lambda: refunds.succeed(books, refund))
    return refund


def _card_refunded(call: Call) -> str:
    charge = charge_in(call.account, call.form)
    return "" if charge is None else call.account.books.card_of(charge.payment_method).refund


def charge_in(account: Account, form: Form) -> Charge | None:
    """Return the charge a refund speaks of, if there is one."""
    name, intent_id = form.get("charge"), form.get("payment_intent")
    if not isinstance(name, str) and isinstance(intent_id, str):
        intent = account.books.intents.find(intent_id)
        name = None if intent is None else intent.latest_charge
    return account.books.charges.find(name) if isinstance(name, str) else None


def _retrieve_refund(call: Call) -> Refund:
    return call.account.books.refunds.get(call.identity)


def _list_refunds(call: Call) -> Plain:
    only(call.form, PAGING | {"charge", "payment_intent"})
    return _refunds_page(call, charge_in(call.account, call.form), "/v1/refunds")


def _list_charge_refunds(call: Call) -> Plain:
    charge = call.account.books.charges.get(call.identity)
    return _refunds_page(call, charge, f"/v1/charges/{charge.id}/refunds")


def _refunds_page(call: Call, charge: Charge | None, url: str) -> Plain:
    books = call.account.books
    if charge is not None:
        return page(few("refund", books.refunds_of(charge.id)), url, call.form)
    is_narrowed = "charge" in call.form or "payment_intent" in call.form
    nothing: list[Refund] = []
    source = few("refund", nothing) if is_narrowed else whole_drawer(books.refunds)
    return page(source, url, call.form)


# The rest


def _list_methods(call: Call) -> Plain:
    only(call.form, PAGING | {"customer", "type"})
    fits = _equal(call.form, ("customer", "type"))
    return page(whole_drawer(call.account.books.methods), "/v1/payment_methods", call.form, fits)


def _list_customer_methods(call: Call) -> Plain:
    books = call.account.books
    owner = books.customers.get(call.identity).id

    def is_owned(method: PaymentMethod) -> bool:
        return method.customer == owner

    url = f"/v1/customers/{owner}/payment_methods"
    return page(whole_drawer(books.methods), url, call.form, is_owned)


def _list_customers(call: Call) -> Plain:
    only(call.form, PAGING | {"email"})
    fits = _equal(call.form, ("email",))
    return page(whole_drawer(call.account.books.customers), "/v1/customers", call.form, fits)


def _list_events(call: Call) -> Plain:
    only(call.form, PAGING | {"type", "types", "delivery_success"})
    kinds = set(listed(call.form, "types")) | {text(call.form, "type")} - {None}

    def fits(event: Event) -> bool:
        return event.type in kinds

    source = whole_drawer(call.account.books.events)
    return page(source, "/v1/events", call.form, fits if kinds else None)


def _list_endpoints(call: Call) -> Plain:
    only(call.form, PAGING)
    answer = page(whole_drawer(call.account.books.endpoints), "/v1/webhook_endpoints", call.form)
    shown = cast("list[webhooks.WebhookEndpoint]", answer["data"])
    answer["data"] = [webhooks.shown(endpoint) for endpoint in shown]
    return answer


def _retrieve_method(call: Call) -> PaymentMethod:
    method = call.account.books.methods.find(call.identity)
    if method is None and call.identity in ALIASES:
        return vault.named_method(call.account.books, call.identity)
    if method is None:
        raise no_such("PaymentMethod", call.identity, "payment_method")
    return method


_TABLE: Final[tuple[tuple[str, str, str, Stage, Handler], ...]] = (
    ("POST", "payment_intents", "create", Stage.CREATE, _create_intent),
    ("GET", "payment_intents", "list", Stage.QUERY, _list_intents),
    ("GET", "payment_intents/search", "search", Stage.QUERY, _search_intents),
    ("GET", "payment_intents/*", "retrieve", Stage.QUERY, _retrieve_intent),
    (
        "POST",
        "payment_intents/*",
        "update",
        Stage.OTHER,
        lambda c: intents.update(c.account.books, c.identity, c.form),
    ),
    ("POST", "payment_intents/*/confirm", "confirm", Stage.OTHER, _confirm_intent),
    (
        "POST",
        "payment_intents/*/capture",
        "capture",
        Stage.OTHER,
        lambda c: intents.capture(c.account.books, c.account.terms, c.identity, c.form),
    ),
    (
        "POST",
        "payment_intents/*/cancel",
        "cancel",
        Stage.CLOSE,
        lambda c: intents.cancel(c.account.books, c.identity, c.form),
    ),
    ("POST", "refunds", "create", Stage.REFUND, _create_refund),
    ("GET", "refunds", "list", Stage.REFUND_QUERY, _list_refunds),
    ("GET", "refunds/*", "retrieve", Stage.REFUND_QUERY, _retrieve_refund),
    (
        "POST",
        "refunds/*",
        "update",
        Stage.OTHER,
        lambda c: refunds.update(c.account.books, c.identity, c.form),
    ),
    ("GET", "charges", "list", Stage.QUERY, _list_charges),
    ("GET", "charges/*", "retrieve", Stage.QUERY, _retrieve_charge),
    ("GET", "charges/*/refunds", "refunds", Stage.REFUND_QUERY, _list_charge_refunds),
    (
        "POST",
        "payment_methods",
        "create",
        Stage.OTHER,
        lambda c: vault.create_method(c.account.books, c.form),
    ),
    ("GET", "payment_methods", "list", Stage.OTHER, _list_methods),
    ("GET", "payment_methods/*", "retrieve", Stage.OTHER, _retrieve_method),
    (
        "POST",
        "payment_methods/*/attach",
        "attach",
        Stage.OTHER,
        lambda c: vault.attach(c.account.books, c.identity, c.form),
    ),
    (
        "POST",
        "payment_methods/*/detach",
        "detach",
        Stage.OTHER,
        lambda c: vault.detach(c.account.books, c.identity),
    ),
    (
        "POST",
        "customers",
        "create",
        Stage.OTHER,
        lambda c: vault.create_customer(c.account.books, c.form),
    ),
    ("GET", "customers", "list", Stage.OTHER, _list_customers),
    (
        "GET",
        "customers/*",
        "retrieve",
        Stage.OTHER,
        lambda c: c.account.books.customers.get(c.identity),
    ),
    (
        "POST",
        "customers/*",
        "update",
        Stage.OTHER,
        lambda c: vault.update_customer(c.account.books, c.identity, c.form),
    ),
    ("GET", "customers/*/payment_methods", "methods", Stage.OTHER, _list_customer_methods),
    ("GET", "account", "retrieve", Stage.OTHER, lambda c: c.account.shown()),
    ("GET", "balance", "retrieve", Stage.BILL, lambda c: money.balance(c.account.books)),
    (
        "GET",
        "balance_transactions",
        "list",
        Stage.BILL,
        lambda c: bills.entries(c.account, c.form),
    ),
    (
        "GET",
        "balance_transactions/*",
        "retrieve",
        Stage.BILL,
        lambda c: money.mature(c.account.books, c.account.books.entries.get(c.identity)),
    ),
    ("GET", "events", "list", Stage.OTHER, _list_events),
    ("GET", "events/*", "retrieve", Stage.OTHER, lambda c: c.account.books.events.get(c.identity)),
    (
        "POST",
        "webhook_endpoints",
        "create",
        Stage.OTHER,
        lambda c: c.account.add_endpoint(c.form),
    ),
    ("GET", "webhook_endpoints", "list", Stage.OTHER, _list_endpoints),
    (
        "GET",
        "webhook_endpoints/*",
        "retrieve",
        Stage.OTHER,
        lambda c: webhooks.shown(c.account.books.endpoints.get(c.identity)),
    ),
    (
        "POST",
        "webhook_endpoints/*",
        "update",
        Stage.OTHER,
        lambda c: webhooks.update(c.account.books, c.identity, c.form),
    ),
    (
        "DELETE",
        "webhook_endpoints/*",
        "delete",
        Stage.OTHER,
        lambda c: webhooks.delete(c.account.books, c.identity),
    ),
)

ROUTES: Final[Mapping[tuple[str, str], Route]] = {
    (method, shape): Route(f"{shape.partition('/')[0]}.{name}", stage, handler)
    for method, shape, name, stage, handler in _TABLE
}


def find(method: str, path: str) -> tuple[Route, str] | None:
    """Return the route of an address and the id in it."""
    if not path.startswith("/v1/"):
        return None
    resource, _, rest = path[4:].partition("/")
    if not rest:
        return _with(ROUTES.get((method, resource)), "")
    exact = ROUTES.get((method, f"{resource}/{rest}"))
    if exact is not None:
        return _with(exact, "")
    identity, _, deed = rest.partition("/")
    shape = f"{resource}/*/{deed}" if deed else f"{resource}/*"
    return _with(ROUTES.get((method, shape)), identity)


def _with(route: Route | None, identity: str) -> tuple[Route, str] | None:
    return None if route is None else (route, identity)


def amount_in(form: Form) -> int | None:
    """Return the amount a form asks for, for magic; nonsense is somebody else's to refuse."""
    value = form.get("amount")
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def subject_in(form: Form) -> str:
    """Return the merchant's own number in a form, or nothing."""
    tags = form.get("metadata")
    if not isinstance(tags, dict):
        return ""
    plain = {key: value for key, value in tags.items() if isinstance(value, str)}
    return number_in(plain) or ""


def broken(drawn: Drawn) -> ApiError | None:
    """Return the 500 in the API's own words, when that is what was drawn."""
    kinds = (FaultKind.BAD_SIGNATURE, FaultKind.NO_SIGNATURE, FaultKind.SYSTEM_ERROR_AFTER)
    return api_error() if drawn.kind in kinds else None
