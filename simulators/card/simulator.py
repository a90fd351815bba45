"""The card acquirer as the rest of the simulators see it: one server, several merchants' books.

`handle_api` is the API's order of things: who calls, what was answered before, what fate was
drawn, and only then the deed itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from simulators.card import challenge, export, refunds, routes, webhooks
from simulators.card.accounts import FOREIGN, Account, Doorman, number_of
from simulators.card.books import encode
from simulators.card.cards import GENERIC
from simulators.card.charging import LATER_SECONDS, Manner, Terms, fail, settle_later
from simulators.card.errors import ApiError, api_error, no_such_address, rate_limited
from simulators.card.expanding import asked, expanded
from simulators.card.form import Form, digest, parse
from simulators.card.idempotency import Remembered
from simulators.card.intents import end
from simulators.card.objects import API_VERSION, Event, PaymentIntent, WebhookEndpoint
from simulators.common.faults import Drawn, FaultKind, Stage
from simulators.common.forgetting import RESTING_SECONDS
from simulators.common.http import Request, Response
from simulators.common.notices import Sender
from simulators.common.simulator import (
    NoSuchOrder,
    PhoneOrder,
    Setup,
    Simulator,
    WrongState,
)
from simulators.keys import CardAccount, Keys

_JSON: Final = "application/json"
_WAITING: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
# An intent never expires by itself; the phone shows until when it is worth paying.
_OPEN_SECONDS: Final = 7 * 86_400
_OWN_WORDS: Final = frozenset(
    {FaultKind.BAD_SIGNATURE, FaultKind.NO_SIGNATURE, FaultKind.SYSTEM_ERROR_AFTER}
)


def build(setup: Setup, keys: Keys) -> Simulator:
    """Make the simulator for every merchant in the file of keys."""
    return CardSimulator(setup, [merchant.card for merchant in keys.merchants])


class CardSimulator(Simulator):
    """A pretend Stripe on one port."""

    name = "card"

    def __init__(self, setup: Setup, merchants: Sequence[CardAccount]) -> None:
        super().__init__(setup)
        self.terms = Terms(later=self.later)
        self.accounts = {
            merchant.account: Account(
                merchant, self.clock, self.shelf, self.terms, setup.keep_orders
            )
            for merchant in merchants
        }
        self._doorman = Doorman(self.accounts.values())
        rules = webhooks.rules(self._endpoint, self.clock)
        self._sender = Sender(rules, self.shelf, self.clock, setup.speed)
        self._running: set[asyncio.Future[Response]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        for account in self.accounts.values():
            account.books.on_event = self._notify

    @property
    def sender(self) -> Sender:
        return self._sender

    async def start(self) -> None:
        await super().start()
        self.terms.public_url = self.server.url
        for account in self.accounts.values():
            self._resume(account)

    async def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for running in list(self._running):
            running.cancel()
        await super().stop()

    # The API

    def handle_api(self, request: Request) -> Response | Awaitable[Response]:
        if request.path.startswith(challenge.PREFIX):
            return self._challenge(request)
        try:
            return self._admit(request)
        except ApiError as error:
            return _refuse(error, self._new_request_id(), request.headers.get("idempotency-key"))

    def _admit(self, request: Request) -> Response | Awaitable[Response]:
        account = self._doorman.admit(request.headers.get("authorization"))
        found = routes.find(request.method, request.path)
        if found is None:
            raise no_such_address(request.method, request.path)
        route, identity = found
        is_post = request.method == "POST"
        text = request.body.decode("utf-8", "replace") if is_post else request.query_string
        form = parse(text)
        key = request.headers.get("idempotency-key") if is_post else None
        drawn = self._draw(account, route, identity, form, key or "")
        call = routes.Call(account, self.plan, route.operation, identity, form, drawn)
        if key is None:
            return self.deliver(drawn, lambda _: self._act(call, route, None), _BUSY)
        return self._deliver_once(call, route, request, key)

    def _draw(
        self, account: Account, route: routes.Route, identity: str, form: Form, key: str
    ) -> Drawn:
        match route.stage:
            case Stage.CREATE:
                subject = routes.subject_in(form) or key or account.books.new_id("call")
                return self.plan.draw(
                    Stage.CREATE, route.operation, routes.amount_in(form), subject
                )
            case Stage.REFUND:
                charge = routes.charge_in(account, form)
                amount = None if charge is None else charge.amount
                about = (
                    None if charge is None else account.books.intents.find(charge.payment_intent)
                )
                subject = "" if about is None else number_of(about)
                return self.plan.draw(Stage.REFUND, route.operation, amount, subject)
            case _:
                about = account.books.intents.find(identity)
                subject = identity if about is None else number_of(about)
                return self.plan.draw(route.stage, route.operation, None, subject)

    def _deliver_once(
        self, call: routes.Call, route: routes.Route, request: Request, key: str
    ) -> Response | Awaitable[Response]:
        """Answer a request that carries an idempotency key."""
        answers = call.account.answers
        asked = Remembered(
            request.method,
            request.path,
            digest(request.method, request.path, call.form),
            call.account.books.now(),
        )
        before = answers.look(key, asked)
        if before is not None:
            again = _replay(before, key, self._new_request_id())
            return self.deliver(call.drawn, lambda _: again, _BUSY)
        answers.start(key, asked)
        try:
            response = self.deliver(call.drawn, lambda _: self._act(call, route, key), _BUSY)
        except BaseException:
            answers.release(key)
            raise
        if isinstance(response, Response):
            answers.release(key)
            return response
        return self._finish_later(call.account, key, response)

    async def _finish_later(
        self, account: Account, key: str, response: Awaitable[Response]
    ) -> Response:
        """Go on even when the caller hangs up: a provider does not stop half-way."""
        running = asyncio.ensure_future(response)
        self._running.add(running)

        def done(_: asyncio.Future[Response]) -> None:
            self._running.discard(running)
            account.answers.release(key)

        running.add_done_callback(done)
        return await asyncio.shield(running)

    def _act(self, call: routes.Call, route: routes.Route, key: str | None) -> Response:
        request_id = self._new_request_id()
        books = call.account.books
        books.request = {"id": request_id, "idempotency_key": key}
        begun = True
        try:
            if call.drawn.kind is FaultKind.SYSTEM_ERROR_BEFORE:
                raise ApiError(500, api_error().error, begun=False)
            paths = asked(call.form)
            answer = route.handler(call)
            if paths:
                answer = expanded(books, answer, paths)
            status, body = 200, encode(answer)
        except ApiError as error:
            status, body, begun = error.status, encode({"error": error.error}), error.begun
        if call.drawn.kind in _OWN_WORDS:
            status, body = 500, encode({"error": api_error().error})
        if key is not None and begun:
            call.account.answers.finish(key, status, body, request_id)
        self._forget_old(call.account)
        return Response(status, body, _headers(request_id, key))

    def _forget_old(self, account: Account) -> None:
        books = account.books
        surplus = account.forgetting.surplus(len(books.intents.rows))
        if not surplus:
            return
        untold = {notice.order_id for notice in self._sender.unfinished.values()}
        before = self.clock.seconds() - RESTING_SECONDS
        over = (
            intent
            for intent in books.intents
            # The young ones, which may be many, are not looked at any closer.
            if intent.created <= before
            and intent.id not in untold
            and books.is_over(intent, before)
        )
        books.forget(list(islice(over, surplus)))
        account.forgetting.looked(len(books.intents.rows))

    def _new_request_id(self) -> str:
        return next(iter(self.accounts.values())).books.new_id("req")

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen by itself after a while, sooner at a higher speed."""

        def fire() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(seconds / self.setup.speed, fire)
        self._timers.add(timer)

    # Events

    def _notify(self, event: Event, endpoint: WebhookEndpoint, about: PaymentIntent | None) -> None:
        is_payment = event.type == "payment_intent.succeeded" and about is not None
        amount = about.amount if is_payment and about is not None else None
        subject = "" if about is None else number_of(about)
        drawn = self.plan.draw(Stage.NOTICE, event.type, amount, subject)
        name = "" if about is None else about.id
        if drawn.kind is FaultKind.WRONG_ACCOUNT:
            # As a platform's endpoint hears of the accounts connected to it.
            event = msgspec.structs.replace(event, account=FOREIGN)
        self._sender.post(webhooks.notice_of(event, endpoint, name), drawn)

    def _endpoint(self, endpoint_id: str) -> WebhookEndpoint | None:
        for account in self.accounts.values():
            endpoint = account.books.endpoints.find(endpoint_id)
            if endpoint is not None:
                return endpoint
        return None

    def _resume(self, account: Account) -> None:
        """Go on with payments and refunds that were on their way when we were stopped."""
        books = account.books
        for intent in books.intents:
            if intent.status == "processing":
                settle_later(books, self.terms, intent)
        for refund in books.refunds:
            manner = books.card_of(books.charges.get(refund.charge).payment_method).refund
            if manner == "pending" and refund.status == "pending":
                self.later(LATER_SECONDS, lambda it=refund: refunds.succeed(books, it))
            elif manner == "fails_later" and refund.status == "succeeded":
                self.later(LATER_SECONDS, lambda it=refund: refunds.fail(books, it))

    # The person

    def _challenge(self, request: Request) -> Response:
        identity = request.path.removeprefix(challenge.PREFIX)
        for account in self.accounts.values():
            intent = account.books.intents.find(identity)
            if intent is not None:
                fate = self._fate(intent) if request.method == "POST" else Manner()
                return challenge.answer(account, intent, request, fate)
        return challenge.stranger(request)

    def _fate(self, intent: PaymentIntent) -> Manner:
        drawn = self.plan.draw(Stage.PAY, "pay", intent.amount, number_of(intent))
        is_wrong = drawn.kind is FaultKind.WRONG_AMOUNT
        return Manner(
            forced=GENERIC if drawn.kind is FaultKind.DECLINE else None,
            told_amount=intent.amount + routes.WRONG_BY if is_wrong else None,
            on_behalf_of=FOREIGN if drawn.kind is FaultKind.WRONG_ACCOUNT else None,
        )

    def _find(self, order_id: str) -> tuple[Account, PaymentIntent]:
        for account in self.accounts.values():
            intent = account.books.intents.find(order_id)
            if intent is not None:
                return account, intent
        for account in self.accounts.values():
            for intent in reversed(account.books.intents.rows):
                if order_id in intent.metadata.values():
                    return account, intent
        raise NoSuchOrder(f"there is no payment {order_id}")

    def phone_orders(self) -> list[PhoneOrder]:
        recent = [
            (account, intent)
            for account in self.accounts.values()
            for intent in account.books.intents.rows[-50:]
        ]
        recent.sort(key=lambda pair: pair[1].created, reverse=True)
        return [_on_phone(account, intent) for account, intent in recent[:50]]

    def phone_order(self, order_id: str) -> PhoneOrder:
        return _on_phone(*self._find(order_id))

    def scan(self, content: str) -> str | None:
        _, found, rest = content.partition(challenge.PREFIX)
        identity = rest.partition("?")[0]
        is_ours = any(each.books.intents.find(identity) for each in self.accounts.values())
        return identity if found and is_ours else None

    def pay(self, order_id: str, *, late: bool = False) -> PhoneOrder:
        account, intent = self._find(order_id)
        if intent.status == "canceled" and late:
            raise WrongState("a canceled payment cannot be paid any more")
        self._do(account, intent, passed=True)
        return _on_phone(account, intent)

    def decline(self, order_id: str) -> PhoneOrder:
        account, intent = self._find(order_id)
        self._do(account, intent, passed=False)
        return _on_phone(account, intent)

    def _do(self, account: Account, intent: PaymentIntent, *, passed: bool) -> None:
        if intent.status not in _WAITING:
            raise WrongState(f"the payment is {intent.status}")
        if _is_declined(intent):
            raise WrongState("a declined payment is tried again by the merchant's server only")
        account.books.request = {"id": None, "idempotency_key": None}
        if intent.status == "requires_action":
            challenge.decide(account, intent, self._fate(intent), passed=passed)
        elif passed:
            _pay_open(account, intent, self._fate(intent))
        else:
            method = account.books.methods.find(intent.payment_method or "")
            fail(account.books, intent, method, GENERIC)

    def close(self, order_id: str) -> PhoneOrder:
        account, intent = self._find(order_id)
        if intent.status not in (*_WAITING, "requires_capture"):
            raise WrongState(f"the payment is {intent.status}")
        end(account.books, intent, "automatic")
        return _on_phone(account, intent)

    def renotify(self, order_id: str, times: int = 1) -> int:
        account, intent = self._find(order_id)
        mark = f'"id":"{intent.id}"'.encode()
        for event in reversed(account.books.events.rows):
            if event.type.startswith("payment_intent.") and mark in bytes(event.data):
                listeners = account.books.listeners(event.type)
                for _ in range(times):
                    for endpoint in listeners:
                        self._sender.post(webhooks.notice_of(event, endpoint, intent.id))
                return times * len(listeners)
        return 0

    # The harness

    def finish_refund(self, refund_id: str, state: str) -> None:
        deeds = {"success": refunds.succeed, "abnormal": refunds.fail, "closed": refunds.cancel}
        for account in self.accounts.values():
            for refund in reversed(account.books.refunds.rows):
                if refund.id == refund_id or refund_id in refund.metadata.values():
                    deeds[state](account.books, refund)
                    return
        raise NoSuchOrder(f"there is no refund {refund_id}")

    def change_bill(self, change: dict[str, object]) -> None:
        for account in self.accounts.values():
            account.bill = dict(change)

    def export(self) -> dict[str, object]:
        return export.books(self.accounts.values())

    def reset(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.shelf.clear()
        for account in self.accounts.values():
            account.clear()


def _pay_open(account: Account, intent: PaymentIntent, fate: Manner) -> None:
    try:
        routes.pay_open(account, intent, fate)
    except ApiError as error:
        if error.status != 402:
            raise


def _is_declined(intent: PaymentIntent) -> bool:
    """Whether the last attempt failed: no person can do anything more about it."""
    return intent.status == "requires_payment_method" and intent.last_payment_error is not None


def _on_phone(account: Account, intent: PaymentIntent) -> PhoneOrder:
    charge = account.books.charges.find(intent.latest_charge or "")
    is_refunded = charge is not None and charge.refunded and intent.status == "succeeded"
    status = {"succeeded": "paid", "requires_capture": "paid", "canceled": "closed"}.get(
        intent.status, "declined" if _is_declined(intent) else "waiting"
    )
    failures = [each for each in account.books.charges_of(intent.id) if each.status == "failed"]
    return PhoneOrder(
        provider="card",
        id=intent.id,
        out_trade_no=number_of(intent),
        merchant=account.keys.account,
        amount=intent.amount,
        currency=intent.currency.upper(),
        subject=intent.description or "",
        product=intent.capture_method,
        status="refunded" if is_refunded else status,
        created_at=intent.created,
        expires_at=intent.created + _OPEN_SECONDS,
        return_to=challenge.way_back(account, intent) or "",
        declined=len(failures),
    )


def _headers(request_id: str, key: str | None) -> Mapping[str, str]:
    headers = {
        "Content-Type": _JSON,
        "Request-Id": request_id,
        "Stripe-Version": API_VERSION,
    }
    if key is not None:
        headers["Idempotency-Key"] = key
        headers["Original-Request"] = request_id
    return headers


def _refuse(error: ApiError, request_id: str, key: str | None) -> Response:
    headers = dict(_headers(request_id, key))
    if error.status == 409:
        headers["Stripe-Should-Retry"] = "true"
    return Response(error.status, encode({"error": error.error}), headers)


def _replay(before: Remembered, key: str, request_id: str) -> Response:
    headers = dict(_headers(request_id, key))
    headers["Original-Request"] = before.request_id
    headers["Idempotent-Replayed"] = "true"
    return Response(before.status, before.body, headers)


_BUSY: Final = Response(
    429,
    encode({"error": rate_limited().error}),
    {"Content-Type": _JSON, "Stripe-Version": API_VERSION, "Request-Id": "req_rate_limited"},
)
