"""A card's payments on the phone: what is listed as declined cannot be paid there any more."""

import re
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta
from typing import Any

import pytest
import stripe

from simulators.common.phone import PREFIX, Phone


@pytest.fixture
def phone(world: Any) -> str:
    """The address of a phone that knows of the card's payments only."""
    mounted = Phone({"card": world.simulator})
    world.simulator.mounts.append((PREFIX, mounted.mount))
    return f"{world.url}{PREFIX}"


def look(url: str, *, deed: bool = False, language: str = "en") -> str:
    """Open a page of the phone, or press a button of it."""
    data = b"" if deed else None
    request = urllib.request.Request(url, data, headers={"Accept-Language": language})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def declined(world: Any, **more: Any) -> str:
    """Let the bank decline a payment; return its id."""
    with pytest.raises(stripe.CardError) as refused:
        world.pay(card="pm_card_chargeDeclined", description="A pot of tea", **more)
    return refused.value.error.payment_intent.id


def test_a_declined_payment_is_listed_as_declined(world: Any, phone: str) -> None:
    name = declined(world)

    waiting, _, earlier = look(phone).partition("<h2>")
    shown = look(f"{phone}order/card/{name}")

    assert name not in waiting
    assert f"order/card/{name}" in earlier
    assert re.search(r"<small>Declined</small>", earlier)
    assert 'class="bill declined"' in shown
    assert "<form" not in shown
    assert world.control(f"orders/{name}", method="GET")["status"] == "declined"


@pytest.mark.parametrize("deed", ["pay", "decline"])
@pytest.mark.parametrize(
    ("language", "told"), [("en", "cannot be paid here any more"), ("zh", "不能再在这里付款")]
)
def test_a_declined_payment_cannot_be_paid_on_the_phone(
    world: Any, phone: str, deed: str, language: str, told: str
) -> None:
    name = declined(world)

    answer = look(f"{phone}order/card/{name}/{deed}", deed=True, language=language)

    assert re.search(rf'role="alert">[^<]*{told}', answer)
    intent = world.stripe.v1.payment_intents.retrieve(name)
    assert (intent.status, intent.amount_received) == ("requires_payment_method", 0)


def test_a_program_cannot_pay_a_declined_payment_either(world: Any) -> None:
    name = declined(world, metadata={"attempt": "att_1"})

    with pytest.raises(urllib.error.HTTPError) as refused:
        world.control("orders/att_1/pay")

    assert refused.value.code == 409
    assert world.stripe.v1.payment_intents.retrieve(name).status == "requires_payment_method"


def test_the_server_may_try_a_declined_payment_again(world: Any, phone: str) -> None:
    name = declined(world)

    world.stripe.v1.payment_intents.confirm(
        name,
        {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.test/"},
    )
    waiting, _, _ = look(phone).partition("<h2>")
    assert f"order/card/{name}" in waiting
    paid = look(f"{phone}order/card/{name}/pay", deed=True)

    assert 'class="bill paid"' in paid


def test_declining_on_the_phone_says_so(world: Any, phone: str) -> None:
    intent = world.stripe.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    assert "<form" in look(f"{phone}order/card/{intent.id}")

    answer = look(f"{phone}order/card/{intent.id}/decline", deed=True)

    assert 'class="bill declined"' in answer
    assert "you can try again" not in answer


def test_moments_carry_their_zone(world: Any, phone: str) -> None:
    world.stripe.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "description": "A pot of tea"}
    )
    row = look(phone)
    address = re.search(r'class="row card" href="([^"]+)"', row)
    assert address

    for page in (row, look(world.url + address[1])):
        found = re.search(r'<time datetime="([^"]+)">([^<]+)</time>', page)
        assert found
        moment = datetime.fromisoformat(found[1])
        assert moment.utcoffset() == timedelta(hours=8)
        assert found[2] == moment.strftime("%m-%d %H:%M UTC+8")


def test_a_row_leaves_the_long_names_to_its_page(world: Any, phone: str) -> None:
    world.stripe.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "description": "A pot of tea"}
    )
    bare = world.stripe.v1.payment_intents.create({"amount": 700, "currency": "usd"})

    listed = look(phone)

    assert listed.count("acct_demo") == 1, "what has no description goes by the merchant's name"
    assert "acct_demo" in look(f"{phone}order/card/{bare.id}")
