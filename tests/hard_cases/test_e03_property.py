"""Case 3: whatever goes wrong, what we say of a payment is what the providers' books say.

Hypothesis draws how a top-up is paid, what its providers do wrong, and who does what when. The
merchant is told over HTTP; the truth is read out of the simulators.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from simulators.common.simulator import WrongState
from tests.hard_cases.deeds import (
    HASTY,
    METHODS,
    attempts,
    behave,
    journals,
    make_overdue,
    open_wallet,
    refunds,
    rule,
    simulator,
    truth,
)
from tests.serving import Client
from tests.worlds import World
from tillgate.payments.model import Payment

AMOUNT = 10_000
#: What becomes of a call whose answer tells nothing: `before` it acts, or `after`.
LOST = ("reset_before", "reset_after", "http_500_before", "http_500_after", "malformed")
FAULTS = {
    "create": (
        *LOST,
        *("http_429_before", "http_429_after", "system_error_before", "system_error_after"),
        *("bad_signature", "refuse", "paid_at_once", "notice_first"),
    ),
    "query": (*LOST, "http_429_before", "not_paid_yet", "bad_signature"),
    "close": (*LOST, "http_429_after", "bad_signature"),
    "notice": ("lost_notice", "duplicate_notice", "out_of_order_notice", "bad_signature"),
}
#: What a payment says that came to nothing: the first of them lets it be paid elsewhere.
ENDED = ("requires_payment_method", "canceled")
CARDS = st.sampled_from(["pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined"])
MISHAPS = st.sampled_from([(stage, kind) for stage, kinds in FAULTS.items() for kind in kinds])
DEEDS = st.sampled_from(
    [
        "phone",
        "phone",
        "phone declines",
        "worker",
        "notice",
        "elsewhere",
        "elsewhere",
        "retry",
        "cancel",
        "deadline",
    ]
)


@dataclass(frozen=True)
class Journey:
    """One top-up as it will be lived."""

    method: str
    others: list[str]
    card: str
    mishaps: list[tuple[str, str, str, int]]
    deeds: list[str]


JOURNEYS = st.builds(
    Journey,
    method=st.sampled_from(METHODS),
    others=st.lists(st.sampled_from(METHODS), min_size=3, max_size=3),
    card=CARDS,
    mishaps=st.lists(
        st.tuples(st.sampled_from(METHODS), MISHAPS, st.integers(1, 3)).map(
            lambda drawn: (drawn[0], *drawn[1], drawn[2])
        ),
        max_size=5,
    ),
    deeds=st.lists(DEEDS, min_size=1, max_size=6),
)


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(journey=JOURNEYS)
async def test_we_say_paid_where_it_is_paid_and_failed_only_where_it_can_no_longer_be(
    world: World, client: Client, journey: Journey
) -> None:
    note(str(journey))
    world.payments.look_ups = HASTY
    for method, stage, kind, times in journey.mishaps:
        rule(world, method, stage, kind, next=times)
    life = Life(world, client, journey)
    await life.begin()

    for deed in journey.deeds:
        await life.do(deed)
        await life.assert_nothing_untrue_is_said()

    for method in METHODS:
        behave(world, method)
    await world.until(life.says_what_is_true, sweep=True)
    await world.sweep()
    await life.assert_nothing_untrue_is_said()
    assert await life.says_what_is_true()
    await world.assert_books_hold()


class Life:
    """A top-up between the merchant, the payer, the worker and three providers."""

    def __init__(self, world: World, client: Client, journey: Journey) -> None:
        self.world, self.client, self.journey = world, client, journey
        self.others = iter(journey.others * 2)
        self.wallet = self.intent = ""

    async def begin(self) -> None:
        self.wallet = await open_wallet(self.client)
        order = {"wallet": self.wallet, "amount": AMOUNT, "currency": "cny"}
        types = {f"payment_method_types[{n}]": method for n, method in enumerate(METHODS)}
        body = {**order, **types, **self._paid_by(self.journey.method)}
        made = await self.client.post("/v1/top_ups", body)
        assert made.status in (200, 402), made.body
        declined = made.status == 402
        self.intent = (
            made.error["payment_intent"]["id"] if declined else made.json["payment_intent"]
        )
        await self._look_at_what_is_shown()

    async def do(self, deed: str) -> None:
        payment = await self.world.payment(self.intent)
        path = f"/v1/payment_intents/{self.intent}"
        match deed:
            case "phone":
                await self._at_the_phone(payment, "pay")
            case "phone declines":
                await self._at_the_phone(payment, "decline")
            case "worker":
                await self.world.sweep()
            case "notice":
                await self._is_told_again(payment)
            case "elsewhere" | "retry":
                method = next(self.others) if deed == "elsewhere" else self.journey.method
                await self.client.post(f"{path}/confirm", self._paid_by(method))
            case "cancel":
                await self.client.post(f"{path}/cancel")
            case _:
                await make_overdue(self.world, payment)
                await self.world.sweep()
        await self._look_at_what_is_shown()

    async def assert_nothing_untrue_is_said(self) -> None:
        """What was said first is compared with the books as they are then: they only go on."""
        said = (await self.client.get(f"/v1/payment_intents/{self.intent}")).json
        balance = (await self.client.get(f"/v1/wallets/{self.wallet}")).json["balance"]
        paid, payable = await self._orders()

        assert len(paid) + len(payable) <= 1, "two orders for one payment"
        if said["status"] == "succeeded":
            assert (len(paid), said["amount_received"], balance) == (1, AMOUNT, AMOUNT)
        if said["status"] in ENDED:
            assert not paid, "what is paid was said to have failed"
            assert not payable, "what was said to have failed can still be paid"
        assert balance == 0 or len(paid) == 1
        for attempt in await attempts(self.world, await self.world.payment(self.intent)):
            assert await journals(self.world, f"payment:{attempt.id}") <= 1

    async def says_what_is_true(self) -> bool:
        """Nobody is in doubt any more, and the wallet was credited once for what is paid."""
        said = (await self.client.get(f"/v1/payment_intents/{self.intent}")).json["status"]
        balance = (await self.client.get(f"/v1/wallets/{self.wallet}")).json["balance"]
        payment = await self.world.payment(self.intent)
        ours = {one.id for one in await attempts(self.world, payment) if one.status == "paid"}
        paid, payable = await self._orders()
        assert await refunds(self.world, payment) == [], "there was no second payment to give back"
        is_decided = said in ("succeeded", *ENDED) or bool(payable)
        return (
            is_decided
            and ours == paid
            and (said == "succeeded") == bool(paid)
            and balance == AMOUNT * len(paid)
        )

    async def _orders(self) -> tuple[set[str], set[str]]:
        """The payment's orders at all providers that are paid, and those that still can be."""
        numbers = {
            one.id for one in await attempts(self.world, await self.world.payment(self.intent))
        }
        books = [await truth(self.world, method) for method in METHODS]
        told = [each[number] for each in books for number in numbers & each.keys()]
        return (
            {one.number for one in told if one.paid},
            {one.number for one in told if one.is_open and one.is_seen},
        )

    async def _look_at_what_is_shown(self) -> None:
        """The payer takes the code to the phone as soon as the merchant can show one."""
        payment = await self.world.payment(self.intent)
        if payment.next_action is None:
            return
        for method in METHODS:
            if payment.latest_attempt in await truth(self.world, method):
                simulator(self.world, method).open_order(payment.latest_attempt)

    async def _at_the_phone(self, payment: Payment, deed: str) -> None:
        """The payer does it with every order that was ever shown."""
        for attempt in await attempts(self.world, payment):
            for method in METHODS:
                told = (await truth(self.world, method)).get(attempt.id)
                if told is not None and told.is_seen:
                    with contextlib.suppress(AssertionError):  # it is over, says the phone
                        await self.world.control(method, f"orders/{attempt.id}/{deed}")

    async def _is_told_again(self, payment: Payment) -> None:
        for attempt in await attempts(self.world, payment):
            for method in METHODS:
                if attempt.id in await truth(self.world, method):
                    with contextlib.suppress(WrongState):  # there was nothing to tell
                        simulator(self.world, method).renotify(attempt.id, 2)
                    await simulator(self.world, method).sender.settle()

    def _paid_by(self, method: str) -> dict[str, Any]:
        if method == "card":
            return {"payment_method": self.journey.card}
        more = {"payment_method_options[alipay][presentation]": "qr"}
        return {"payment_method_data[type]": method, **(more if method == "alipay" else {})}
