"""What the hard cases do again and again, and how they look at both sides' books."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from simulators.common.faults import Fault, FaultKind, Rule
from simulators.common.notices import Notice
from simulators.common.simulator import Simulator
from tests.serving import Client
from tests.worlds import CONFIRMATIONS, MERCHANT, SIMULATOR, World
from tillgate.kernel import ids
from tillgate.ledger import commands as ledger
from tillgate.ledger.model import AccountTerms, Journal, Line
from tillgate.payments import commands, queries
from tillgate.payments.commands import LookUps, Opening
from tillgate.payments.flows import NO_TRACE
from tillgate.payments.model import Attempt, Charge, NewPayment, Payment, Refund
from tillgate.runtime.notices import RawNotice
from tillgate.web.operation import Operation

#: The worker looks again at once, and gives a call up for lost after a fifth of a second.
HASTY = LookUps(first_seconds=0.01, most_seconds=0.1, calling_seconds=0.1)
WITH_PHONE = ("alipay", "wechat_pay")
METHODS = ("alipay", "wechat_pay", "card")


def simulator(world: World, method: str) -> Simulator:
    """The provider behind a method."""
    return world.running.simulators[SIMULATOR[method]]


def rule(world: World, method: str, operation: str, kind: str, **more: Any) -> None:
    """Let the provider misbehave."""
    fault = Fault(FaultKind(kind), seconds=more.pop("seconds", 0.0))
    simulator(world, method).plan.add(Rule(operation, fault, **more))


def behave(world: World, method: str) -> None:
    """Take all rules out of force."""
    simulator(world, method).plan.clear()


@contextmanager
def notices_become(
    world: World, method: str, change: Callable[[Notice], Iterable[Notice]]
) -> Iterator[None]:
    """What the provider would say is changed before it signs it: genuine, and not what happened."""
    sender = simulator(world, method).sender
    post = sender.post

    def post_changed(notice: Notice, *drawn: Any) -> None:
        for changed in change(notice):
            post(changed, *drawn)

    sender.post = post_changed  # type: ignore[method-assign]
    try:
        yield
    finally:
        sender.post = post  # type: ignore[method-assign]


@dataclass(frozen=True)
class Told:
    """An order as the provider itself has it."""

    number: str
    paid: int
    refunds: tuple[int, ...]
    is_open: bool
    #: Somebody has the code in hand or on the screen; before that nobody can pay.
    is_seen: bool


@dataclass(frozen=True)
class Held:
    """A wallet as the API knows it, and the top-up that filled it."""

    wallet: str
    top_up: str
    payment: str

    @property
    def url(self) -> str:
        return f"/v1/wallets/{self.wallet}"


async def open_wallet(client: Client, currency: str = "cny") -> str:
    """Open a wallet for somebody new, over the wire; returns its id."""
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    made = await client.post("/v1/wallets", {"customer": customer, "currency": currency})
    assert made.status == 200, made.body
    return made.json["id"]


def paid_by(method: str, card: str = "pm_card_visa") -> dict[str, str]:
    """Return how a request says what it is paid with."""
    if method == "card":
        return {"payment_method": card}
    code = {"payment_method_options[alipay][presentation]": "qr"} if method == "alipay" else {}
    return {"payment_method_data[type]": method, **code}


async def topped_up(
    world: World, client: Client, *, method: str = "alipay", spent: int = 0, **more: Any
) -> Held:
    """A new wallet, filled by one top-up over the wire; some of it may have been spent again."""
    wallet = await open_wallet(client)
    order = {"wallet": wallet, "amount": 10_000, "currency": "cny", **paid_by(method)}
    made = await client.post("/v1/top_ups", {**order, **more})
    assert made.status == 200, made.body
    held = Held(wallet, made.json["id"], made.json["payment_intent"])
    await world.phone_pays(method, await world.payment(held.payment))
    await world.until_paid(await world.payment(held.payment))
    if spent:
        taken = await client.post(f"{held.url}/spend", {"amount": spent, "currency": "cny"})
        assert taken.status == 200, taken.body
    return held


async def truth(world: World, method: str) -> dict[str, Told]:
    """Return the provider's orders by our attempt's id."""
    books = await world.books(method)
    made = [r for r in books["refunds"] if r["state"] in ("success", "processing")]
    return {
        order["out_trade_no"]: Told(
            order["out_trade_no"],
            order["amount"] if order["state"] == "paid" else 0,
            tuple(r["amount"] for r in made if r["out_trade_no"] == order["out_trade_no"]),
            order["state"] in ("created", "waiting"),
            order["state"] != "created",
        )
        for order in books["orders"]
    }


async def attempts(world: World, payment: Payment) -> list[Attempt]:
    """Read a payment's attempts."""
    async with world.db.transaction(readonly=True) as tx:
        return await queries.attempts_of(tx, MERCHANT, payment.id)


async def refunds(world: World, payment: Payment) -> list[Refund]:
    """Read a payment's refunds."""
    async with world.db.transaction(readonly=True) as tx:
        return await queries.refunds_of(tx, MERCHANT, payment.id)


def raw_notice(world: World, account: str) -> RawNotice:
    """A notice that came to one of our accounts, with nothing in it."""
    return RawNotice(
        merchant_id=MERCHANT,
        id=ids.new_id("ntc"),
        provider_account_id=account,
        headers={},
        body=b"",
        received_at=world.clock.now(),
    )


async def breaks(world: World) -> list[str]:
    """Return the kinds of the open breaks."""
    async with world.db.transaction(readonly=True) as tx:
        rows = await tx.all(
            "SELECT kind FROM payments.breaks WHERE resolved_at IS NULL ORDER BY id"
        )
    return [row["kind"] for row in rows]


async def journals(world: World, cause: str) -> int:
    """Return how many lines were booked for a cause."""
    async with world.db.transaction(readonly=True) as tx:
        return await tx.value("SELECT count(*) FROM ledger.lines WHERE cause = $1", cause)


async def paid(world: World, method: str, amount: int = 10_000, **more: Any) -> Payment:
    """A payment, paid and booked."""
    payment = await world.pay(method, amount, **more)
    if method != "card":
        await world.phone_pays(method, payment)
    return await world.until_paid(payment)


async def opened_only(world: World, method: str, amount: int = 10_000) -> Attempt:
    """What a process leaves that died between its first commit and its call."""
    order = NewPayment(
        merchant_id=MERCHANT,
        id=ids.new_id("pi"),
        amount=amount,
        currency="usd" if method == "card" else "cny",
        method_types=list(METHODS),
        pay_into=None if method == "card" else world.wallet,
        confirmation=CONFIRMATIONS[method],
    )
    route = await world.payments.route(MERCHANT, CONFIRMATIONS[method], order)
    async with world.db.transaction() as tx:
        opened = await commands.open_payments(
            tx, [Opening(order, route, NO_TRACE)], at=world.clock.now(), look_ups=HASTY
        )
    assert isinstance(opened[0], Charge)
    return opened[0].attempt


async def spend(world: World, amount: int) -> None:
    """The customer spends from the wallet."""
    async with world.db.transaction() as tx:
        books = await ledger.lock(tx, {MERCHANT})
        await ledger.ensure_accounts(
            tx, books, [(MERCHANT, AccountTerms("sales", "cny"))], at=world.clock.now()
        )
        sales = books.number(MERCHANT, "sales", "cny")
        journal = Journal(MERCHANT, ids.new_id("spend"), (Line(world.wallet, sales, amount),))
        await ledger.load(
            tx,
            books,
            accounts=[(MERCHANT, world.wallet), (MERCHANT, sales)],
            causes=[(MERCHANT, journal.cause)],
        )
        posted = books.post(journal, at=world.clock.now())
        assert not isinstance(posted, Exception), posted
        ledger.save(tx, books)


async def snapshot(world: World) -> bytes:
    """Everything that a refusal must leave as it was."""
    async with world.db.transaction(readonly=True) as tx:
        tables = [
            await tx.all("SELECT * FROM ledger.accounts ORDER BY merchant_id, number"),
            await tx.all("SELECT * FROM ledger.lines ORDER BY merchant_id, journal, line"),
            await tx.all("SELECT id, name FROM runtime.facts ORDER BY merchant_id, id"),
            await tx.all("SELECT * FROM payments.payments ORDER BY merchant_id, id"),
            await tx.all("SELECT id, status FROM payments.attempts ORDER BY merchant_id, id"),
            await tx.all("SELECT id, status FROM payments.refunds ORDER BY merchant_id, id"),
        ]
    return msgspec.json.encode([[dict(row) for row in table] for table in tables], enc_hook=str)


@asynccontextmanager
async def nothing_moves(world: World) -> AsyncIterator[None]:
    """Whatever is refused inside leaves books, facts and payments untouched."""
    before = await snapshot(world)
    yield
    assert await snapshot(world) == before, "a refused request changed something"
    await world.assert_books_hold()


async def reads(world: World, table: str, thing_id: str, column: str = "status") -> Any:
    """Read one column of one row."""
    async with world.db.transaction(readonly=True) as tx:
        return await tx.value(f"SELECT {column} FROM payments.{table} WHERE id = $1", thing_id)  # type: ignore[arg-type]


async def make_overdue(world: World, payment: Payment) -> None:
    """Let the time of the payment's orders be over."""
    async with world.db.transaction() as tx:
        await tx.run(
            "UPDATE payments.attempts SET expires_at = '2001-01-01' WHERE payment_id = $1",
            payment.id,
        )


async def given_up(world: World, payment: Payment) -> None:
    """Let the payment's open order run out, and end."""
    await make_overdue(world, payment)

    async def ended() -> bool:
        return (await world.payment(payment.id)).status == "requires_payment_method"

    await world.until(ended, sweep=True)


async def two_orders(world: World) -> Payment:
    """An order at Alipay that was given up, and an open one at WeChat Pay."""
    payment = await world.pay("alipay")
    await given_up(world, payment)
    return await world.payments.confirm(payment, CONFIRMATIONS["wechat_pay"], NO_TRACE)


async def paid_twice(world: World) -> tuple[Payment, Attempt, Attempt]:
    """Both orders were paid, the second first, and the money of the other has gone back."""
    payment = await two_orders(world)
    first, second = await attempts(world, payment)
    await world.control("wechat_pay", f"orders/{second.id}/pay")
    await world.until_paid(payment)
    await world.control("alipay", f"orders/{first.id}/pay", {"late": True})

    async def given_back() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(given_back, sweep=True)
    return payment, first, second


async def one_of_each(world: World, client: Client) -> dict[str, str]:
    """Make one of everything there is over the wire; returns each one's id by its collection."""
    held = await topped_up(world, client, spent=1_000)
    order = {"amount": 500, "currency": "cny"}
    hold = (await client.post(f"{held.url}/holds", order)).json
    customer = (await client.get(held.url)).json["customer"]
    made = await client.post("/v1/payment_methods", {"type": "card", "card[token]": "tok_visa"})
    method = made.json["id"]
    await client.post(f"/v1/payment_methods/{method}/attach", {"customer": customer})
    refund = (await client.post("/v1/refunds", {"payment_intent": held.payment, "amount": 1})).json
    listening = {"url": "http://127.0.0.1:9/", "enabled_events[]": "*"}
    endpoint = (await client.post("/v1/webhook_endpoints", listening)).json

    async def newest(path: str) -> str:
        return (await client.get(path)).json["data"][0]["id"]

    return {
        "customers": customer,
        "payment_methods": method,
        "payment_intents": held.payment,
        "charges": refund["charge"],
        "refunds": refund["id"],
        "top_ups": held.top_up,
        "wallets": held.wallet,
        "transactions": await newest(f"{held.url}/transactions"),
        "holds": hold["id"],
        "balance_transactions": await newest("/v1/balance_transactions"),
        "ledger_accounts": await newest("/v1/ledger_accounts"),
        "webhook_endpoints": endpoint["id"],
        "events": await newest("/v1/events"),
    }


#: What some lists want to be asked for.
_WANTED = {
    "/v1/payment_methods": "?customer={customers}",
    "/v1/top_ups": "?wallet={wallets}",
    "/v1/ledger_entries": "?account={ledger_accounts}",
    "/v1/ledger_accounts/{account}/balance": "?at=1700000000",
}


def address(row: Operation, made: dict[str, str]) -> str:
    """Return an operation's path about what was made: each `{…}` by the collection before it."""
    segments = row.path.split("/")
    filled = [
        made[before] if segment.startswith("{") else segment
        for before, segment in itertools.pairwise(["", *segments])
    ]
    asked = _WANTED.get(row.path, "") if row.method == "GET" else ""
    return "/".join(filled) + asked.format(**made)
