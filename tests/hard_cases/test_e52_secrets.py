"""Case 52: no key, secret or card number reaches a log line."""

import json
import logging
from typing import Any

import pytest

from tests.hard_cases.deeds import METHODS, nothing_moves, paid, rule, simulator, topped_up
from tests.serving import Client
from tests.worlds import MERCHANT, World
from tillgate.runtime import redaction


@pytest.mark.parametrize("method", METHODS)
async def test_walk_with_faults_logs_no_secret(
    world: World, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="tillgate")
    rule(world, method, "query", "http_500_before", next=2)
    rule(world, method, "notice", "bad_signature", next=1)
    payment = await paid(world, method)
    await world.refund(payment, 1_000)
    await world.sweep()
    async with world.session.post(
        f"{world.notices.url}/notices/{MERCHANT}/pa_alipay", data="card=4242424242424242"
    ):
        pass
    await simulator(world, method).sender.settle()

    said = "\n".join(record.getMessage() + str(record.exc_text or "") for record in caplog.records)
    for account in await world.payments.providers._of(MERCHANT):
        for secret in _secrets(account.config):
            assert secret not in said
    assert payment.client_secret not in said
    assert not redaction.holds_card_number(said)


async def test_card_number_in_any_words_is_refused_and_neither_kept_nor_logged(
    world: World, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    held = await topped_up(world, client)
    order = {"amount": 500, "currency": "usd"}
    asked: list[tuple[str, dict[str, Any], list[str]]] = [
        ("/v1/payment_intents", order, ["description", "metadata[note]", "statement_descriptor"]),
        ("/v1/refunds", {"payment_intent": held.payment}, ["metadata[card]"]),
        ("/v1/customers", {}, ["name", "description", "metadata[note]", "address[line1]"]),
        (f"{held.url}/spend", {"amount": 1, "currency": "cny"}, ["description", "metadata[a]"]),
        ("/v1/payment_methods", {"type": "card"}, ["billing_details[name]"]),
    ]

    async with nothing_moves(world):
        for path, body, fields in asked:
            for field in fields:
                for number in ("4111111111111111", "5105-1051-0510-5100", "3782 822463 10005"):
                    refused = await client.post(path, {**body, field: f"pay {number} !"}, key="k")
                    assert refused.status == 400, (path, field, number, refused.body)
                    assert refused.error["param"] == field
                    assert not redaction.holds_card_number(refused.body.decode())

    said = "\n".join(record.getMessage() + str(record.exc_text or "") for record in caplog.records)
    assert not redaction.holds_card_number(said)
    assert client.key not in said
    assert await _tables_that_hold(world, "4111111111111111") == []


async def _tables_that_hold(world: World, text: str) -> list[str]:
    """Every table of ours with these words in any row."""
    async with world.db.transaction(readonly=True) as tx:
        names = await tx.all(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname IN ('customers', 'merchants', 'payments', 'runtime', 'topups',"
            " 'wallets', 'webhooks')"
            " AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')"
        )
        return [
            row["name"]
            for row in names
            if await tx.value(
                f"SELECT count(*) FROM {row['name']} t WHERE t::text LIKE '%' || $1 || '%'",  # type: ignore[arg-type]
                text,
            )
        ]


@pytest.mark.parametrize(
    "text",
    [
        "paid with 4242 4242 4242 4242",
        "key sk_test_51H8abcdefghijklmnop used",
        "Authorization: Bearer abcdefghijklmnop",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_slips_into_a_message_is_masked(text: str) -> None:
    masked = redaction.scrub(text)

    assert masked != text
    assert not redaction.holds_card_number(masked)
    for secret in ("4242 4242", "51H8abcdefgh", "abcdefghijklmnop", "MIIEowIBAAKCAQEA"):
        assert secret not in masked


def _secrets(config: bytes) -> list[str]:
    names = ("key", "secret", "private")
    return [
        value
        for name, value in json.loads(config).items()
        if isinstance(value, str)
        and any(part in name for part in names)
        and "public" not in name
        and len(value) > 15
    ]
