"""Case 52: no key, secret or card number reaches a log line."""

import json
import logging

import pytest

from tests.hard_cases.deeds import METHODS, paid, rule, simulator
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
