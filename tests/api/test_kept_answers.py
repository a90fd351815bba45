"""Answers under a key: the same for whoever asks and may read them, and what was true."""

import asyncio
from typing import Any

import pytest

from tests.hard_cases.deeds import rule
from tillgate.api.recovery import Recovery
from tillgate.kernel.clock import SystemClock, unix
from tillgate.runtime.db import DatabaseUnavailable
from tillgate.web.operation import NoSuchObject

ORDER = {"amount": 1200, "currency": "usd", "payment_method": "pm_card_visa"}
CARD = {**ORDER, "confirm": "true"}
SPEND = {"amount": 100, "currency": "usd", "expand[]": "wallet"}


async def _away(*_: object) -> Any:
    raise DatabaseUnavailable


async def _wallet(client: Any) -> str:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    wallet = (await client.post("/v1/wallets", {"customer": customer, "currency": "usd"})).json[
        "id"
    ]
    top_up = {"wallet": wallet, "amount": 5000, "currency": "usd", "payment_method": "pm_card_visa"}
    assert (await client.post("/v1/top_ups", top_up)).status == 200
    return wallet


async def _lost_spend(client: Any, application: Any, monkeypatch: Any) -> str:
    """The path of a spend under the key `s`, done, of which the database could not keep the answer."""
    path = f"/v1/wallets/{await _wallet(client)}/spend"
    with monkeypatch.context() as patched:
        patched.setattr(application.api.claims, "replace", _away)
        assert (await client.post(path, SPEND, key="s")).status == 503
    return path


# Expanded ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/payment_intents", "/v1/payment_intents/{}/confirm"])
async def test_answer_that_could_not_be_expanded_is_not_kept(
    client, application, db, monkeypatch, path: str
) -> None:
    """The database was away when the charge was to be shown."""
    made = await client.post("/v1/payment_intents", ORDER)
    asked = CARD if path == "/v1/payment_intents" else {}
    path, asked = path.format(made.json["id"]), {**asked, "expand[]": "latest_charge"}

    with monkeypatch.context() as patched:
        patched.setitem(application.api.expand._loaders, "charge", _away)
        first = await client.post(path, asked, key="k")
    again = await client.post(path, asked, key="k")

    assert (first.status, first.error["code"]) == (503, "database_unavailable")
    assert again.json["latest_charge"]["object"] == "charge"
    async with db.transaction(readonly=True) as tx:
        charged = await tx.value("SELECT count(*) FROM payments.attempts")
    assert charged == 1


async def test_what_does_not_exist_stays_an_id(client, application, monkeypatch) -> None:
    async def gone(_: object, name: str) -> Any:
        raise NoSuchObject(name)

    monkeypatch.setitem(application.api.expand._loaders, "charge", gone)
    bought = await client.post(
        "/v1/payment_intents", {**CARD, "expand[]": "latest_charge"}, key="k"
    )

    assert bought.status == 200
    assert bought.json["latest_charge"].startswith("ch_")


async def test_one_spend_asked_for_at_once_is_answered_in_one_way(client) -> None:
    path = f"/v1/wallets/{await _wallet(client)}/spend"

    answers = await asyncio.gather(*(client.post(path, SPEND, key="s") for _ in range(8)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1, {a.body for a in answers}


async def test_expanded_answer_that_was_lost_is_the_same_from_the_first_repetition_on(
    client, application, monkeypatch
) -> None:
    path = await _lost_spend(client, application, monkeypatch)

    first = await client.post(path, SPEND, key="s")
    await client.post(path, SPEND, key="another")
    again = await client.post(path, SPEND, key="s")

    assert first.headers["Idempotent-Replayed"] == "true"
    assert first.json["wallet"]["balance"] == 4900
    assert again.body == first.body


async def test_repetitions_that_expand_at_once_give_what_one_of_them_has_kept(
    client, application, monkeypatch
) -> None:
    path = await _lost_spend(client, application, monkeypatch)
    claims = application.api.claims
    replace = claims.replace

    async def slowly(*given: Any) -> bytes:
        """Another repetition expands and keeps it before, and then the wallet goes on."""
        monkeypatch.setattr(claims, "replace", replace)
        kept.append((await client.post(path, SPEND, key="s")).body)
        return await replace(*given)

    kept: list[bytes] = []
    load = application.api.expand._loaders["wallet"]

    async def older(*given: Any) -> Any:
        wallet_before = await load(*given)
        monkeypatch.setitem(application.api.expand._loaders, "wallet", load)
        await client.post(path, SPEND, key="another")
        return wallet_before

    monkeypatch.setattr(claims, "replace", slowly)
    monkeypatch.setitem(application.api.expand._loaders, "wallet", older)
    told = await client.post(path, SPEND, key="s")

    assert [told.body] == kept
    assert told.json["wallet"]["balance"] == 4800


# Publishable keys ----------------------------------------------------------------------------


async def test_key_in_a_browser_takes_no_key_of_the_shop(client, teahouse) -> None:
    browser = client.with_key(teahouse.publishable)
    taken = await browser.post("/v1/payment_intents/pi_0/confirm", {}, key="order-1001")
    assert taken.status >= 400

    bought = await client.post("/v1/payment_intents", CARD, key="order-1001")

    assert (bought.status, bought.json.get("status")) == (200, "succeeded"), bought.body


async def test_answer_for_the_shop_is_not_told_to_a_browser(client, teahouse) -> None:
    made = await client.post("/v1/payment_intents", ORDER)
    path = f"/v1/payment_intents/{made.json['id']}/confirm"
    secret = {"client_secret": made.json["client_secret"]}
    assert (await client.post(path, {}, key="confirm-1001")).status == 200
    browser = client.with_key(teahouse.publishable)

    told = await browser.post(path, {}, key="confirm-1001")
    guessed = await browser.post(path, {"client_secret": "pi_0_secret_0"}, key="confirm-1001")
    late = await browser.post(path, secret, key="confirm-1001")

    assert (told.status, told.error["code"]) == (400, "parameter_missing")
    assert guessed.status == 404
    assert (late.status, late.error["code"]) == (400, "payment_intent_unexpected_state")


async def test_key_of_one_browser_is_not_the_key_of_another(client, teahouse) -> None:
    """Both have the same publishable key, and drew the same Idempotency-Key."""
    browser = client.with_key(teahouse.publishable)
    answers = []
    for _ in range(2):
        made = (await client.post("/v1/payment_intents", ORDER)).json
        path = f"/v1/payment_intents/{made['id']}/confirm"
        secret = {"client_secret": made["client_secret"]}
        first = await browser.post(path, secret, key="1")
        again = await browser.post(path, secret, key="1")
        unlike = await browser.post(path, {**secret, "receipt_email": "li@tea.test"}, key="1")
        answers.append((first, again))
        assert (unlike.status, unlike.error["type"]) == (400, "idempotency_error")
        assert "'1'" in unlike.error["message"]

    for first, again in answers:
        assert (first.status, first.json["status"]) == (200, "succeeded")
        assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
        assert again.headers["Idempotency-Key"] == "1"


# What a key stands for -----------------------------------------------------------------------


async def test_key_of_one_object_is_not_the_key_of_another(client) -> None:
    made = [
        (await client.post("/v1/payment_intents", {"amount": 1200, "currency": "usd"})).json["id"]
        for _ in range(2)
    ]
    first = await client.post(f"/v1/payment_intents/{made[0]}/cancel", key="c")
    other = await client.post(f"/v1/payment_intents/{made[1]}/cancel", key="c")

    assert (first.status, first.json["id"]) == (200, made[0])
    assert (other.status, other.error["type"]) == (400, "idempotency_error")


async def test_key_stands_for_what_was_to_be_expanded(client) -> None:
    first = await client.post("/v1/payment_intents", CARD, key="k")
    more = await client.post("/v1/payment_intents", {**CARD, "expand[]": "latest_charge"}, key="k")

    assert first.status == 200
    assert (more.status, more.error["type"]) == (400, "idempotency_error")


# Taken over ----------------------------------------------------------------------------------


async def test_request_that_is_slower_than_the_worker_answers_nothing_of_its_own(
    client, world, application
) -> None:
    """The worker took it for dead, looked up the truth and stored it."""
    rule(world, "card", "create", "latency", seconds=1.0, next=1)
    asking = asyncio.create_task(client.post("/v1/payment_intents", CARD, key="k"))
    for _ in range(400):
        async with world.db.transaction() as tx:
            taken = await tx.run(
                "UPDATE runtime.idempotency SET locked_at = locked_at - interval '1 hour'"
                " WHERE object_id IS NOT NULL"
            )
        if taken:
            break
        await asyncio.sleep(0.005)
    async with world.db.transaction(readonly=True) as tx:
        original = await tx.value("SELECT request_id FROM runtime.idempotency")

    assert await Recovery(application.api).run() == 1
    slow = await asking
    again = await client.post("/v1/payment_intents", CARD, key="k")

    assert (slow.status, slow.error["code"]) == (409, "idempotency_key_in_use"), slow.body
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == original == slow.headers["Request-Id"]
    assert again.status == 200
    await world.assert_books_hold()


# What a check before the key would refuse by now ------------------------------------------------


async def test_hold_asked_for_again_after_it_has_run_out_is_answered_as_before(client) -> None:
    path = f"/v1/wallets/{await _wallet(client)}/holds"
    soon = unix(SystemClock().now()) + 2
    form = {"amount": 700, "currency": "usd", "expires_at": soon}
    first = await client.post(path, form, key="h")

    await asyncio.sleep(2.1)
    again = await client.post(path, form, key="h")
    other = await client.post(path, form, key="other")

    assert (again.status, again.body) == (200, first.body)
    assert (other.status, other.error["param"]) == (400, "expires_at")


async def test_wallet_asked_for_again_after_its_customer_was_deleted_is_answered_as_before(
    client,
) -> None:
    customer = (await client.post("/v1/customers", {"name": "Li"})).json["id"]
    form = {"customer": customer, "currency": "usd"}
    first = await client.post("/v1/wallets", form, key="w")
    assert (await client.delete(f"/v1/customers/{customer}")).status == 200

    again = await client.post("/v1/wallets", form, key="w")
    other = await client.post("/v1/wallets", {**form, "currency": "cny"}, key="other")

    assert (again.status, again.body) == (200, first.body)
    assert (other.status, other.error["param"]) == (404, "customer")
