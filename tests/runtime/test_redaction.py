"""Card numbers and keys never reach a log."""

import pytest

from tillgate.runtime.redaction import holds_card_number, scrub


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "my card: 5555-5555-5555-4444.",
        "378282246310005",
        "6200000000000005",
        "3566002020360505",
    ],
)
def test_card_numbers_are_seen_and_masked(text: str) -> None:
    assert holds_card_number(text)
    assert "[card ****" in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241",  # the check digit is wrong
        "+86 138 0013 8000",
        "1763800000000",  # milliseconds
        "2026112222001156781000000001",  # a provider's order number
        "pi_01k9v4242424242424242",
        "12.4242424242424242",
        "order 1234567890123452",  # no scheme begins like this
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert not holds_card_number(text)
    assert scrub(text) == text


def test_secrets_are_masked() -> None:
    said = scrub(
        "Bearer abcdefgh12345 sk_live_0123456789ab whsec_0123456789ab= "
        "pi_01k9vabcdefghijklmnopqrstu_secret_abc123"
    )

    assert "abcdefgh12345" not in said
    assert "0123456789ab" not in said
    assert "secret_abc123" not in said
    assert "MII" not in scrub("-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----")
