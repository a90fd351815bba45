"""Case 3: whatever goes wrong, what we say of a payment is what the providers' books say.

Hypothesis draws how a top-up is paid, what its providers do wrong, and who does what when. The
merchant is told over HTTP; the truth is read out of the simulators.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from random import Random

from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from simulators.common.simulator import WrongState
from tests.hard_cases.deeds import (
    HASTY,
    METHODS,
    Told,
    attempts,
    behave,
    journals,
    make_overdue,
    open_wallet,
    paid_by,
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
#: Who does what; the payer and the worker are the most diligent.
DEEDS = (
    *("phone", "worker", "elsewhere") * 2,
    *("phone declines", "notice", "retry", "cancel", "deadline"),
)


@dataclass(frozen=True)
class Journey:
    """One top-up as it will be lived."""

    method: str
    others: list[str]
    card: str
    #: By method and stage: what goes wrong, and how often.
    mishaps: list[tuple[str, str, str, int]]
    deeds: list[str]


def drawn(luck: Random) -> Journey:
    """Draw a journey: one draw a thing, so that no two journeys are much the same."""
    return Journey(
        method=luck.choice(METHODS),
        others=luck.choices(METHODS, k=3),
        card=luck.choice(("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined")),
        mishaps=[
            (method, stage, luck.choice(kinds), luck.randint(1, 6))
            for method in METHODS
            for stage, kinds in FAULTS.items()
            if luck.random() < 0.6
        ],
        deeds=luck.choices(DEEDS, k=luck.randint(1, 6)),
    )


@settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(luck=st.randoms(use_true_random=True))
async def test_we_say_paid_where_it_is_paid_and_failed_only_where_it_can_no_longer_be(
    world: World, client: Client, luck: Random
) -> None:
    journey = drawn(luck)
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


def _can_be_met(method: str, told: Told) -> bool:
    """Alipay knows of no order before its code was scanned; to a declined card nobody comes back."""
    return told.is_seen or method == "wechat_pay"


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
        body = {**order, **types, **paid_by(self.journey.method, self.journey.card)}
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
                asked = await self.client.post(
                    f"{path}/confirm", paid_by(method, self.journey.card)
                )
                assert asked.status in (200, 400, 402), asked.body
            case "cancel":
                asked = await self.client.post(f"{path}/cancel")
                assert asked.status in (200, 400), asked.body
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
        told = [
            (method, one)
            for method in METHODS
            for one in (await truth(self.world, method)).values()
            if one.number in numbers
        ]
        return (
            {one.number for _, one in told if one.paid},
            {one.number for method, one in told if one.is_open and _can_be_met(method, one)},
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
                if told is not None and _can_be_met(method, told):
                    with contextlib.suppress(AssertionError):  # it is over, says the phone
                        await self.world.control(method, f"orders/{attempt.id}/{deed}")

    async def _is_told_again(self, payment: Payment) -> None:
        for attempt in await attempts(self.world, payment):
            for method in METHODS:
                if attempt.id in await truth(self.world, method):
                    with contextlib.suppress(WrongState):  # there was nothing to tell
                        simulator(self.world, method).renotify(attempt.id, 2)
                    await simulator(self.world, method).sender.settle()
