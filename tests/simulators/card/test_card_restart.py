"""Stopped and started on the same folder, the provider still knows everything."""

from pathlib import Path
from typing import Any

from simulators.card.simulator import CardSimulator
from simulators.common.http import Request
from simulators.common.simulator import Setup
from simulators.keys import CardAccount

ACCOUNT = CardAccount("acct_demo", "sk_test_demo", "pk_test_demo", "whsec_demo")


async def test_books_and_answers_survive_a_restart(tmp_path: Path) -> None:
    setup = Setup(data=tmp_path)
    before = CardSimulator(setup, [ACCOUNT])
    await before.start()
    key = {"host": "x", "authorization": "Bearer sk_test_demo", "idempotency-key": "k"}
    body = b"amount=900&currency=usd&confirm=true&payment_method=pm_card_visa&off_session=true"
    first = before.handle_api(_post(key, body))
    await before.stop()

    after = CardSimulator(setup, [ACCOUNT])
    await after.start()
    second = after.handle_api(_post(key, body))
    books = after.accounts["acct_demo"].books
    await after.stop()

    assert second.body == first.body
    assert second.headers["Idempotent-Replayed"] == "true"
    assert [intent.amount for intent in books.intents] == [900]
    assert len(books.charges.rows) == len(books.entries.rows) == 1


def _post(headers: dict[str, str], body: bytes) -> Any:
    return Request("POST", "/v1/payment_intents", headers, body)
