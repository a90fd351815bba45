"""Card numbers and keys must not stand in logs or notes: how they are recognised and masked."""

from __future__ import annotations

import re

#: 13 to 19 digits with single blanks or dashes between them, not inside a longer word.
_DIGITS = re.compile(r"(?<![0-9A-Za-z_.])(?:[0-9][ -]?){12,18}[0-9](?![0-9A-Za-z_])")
_TEN = re.compile(r"[0-9][0-9 -]{11}")
_SECRETS = re.compile(
    r"\b((?:sk|rk|whsec|pk)_(?:test_|live_)?)[0-9A-Za-z+/=]{8,}|(?i:(?<=bearer )|(?<=basic ))[^\s\"']{8,}"
)
_CLIENT_SECRETS = re.compile(r"(\b[a-z]+_[0-9a-z]{20,}_secret_)[0-9A-Za-z]+")
_PRIVATE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|$)", re.DOTALL
)


def scrub(text: str) -> str:
    """Return the text with card numbers, keys and secrets masked.

    >>> scrub("card 4242 4242 4242 4242 declined, key sk_test_0123456789abcdef")
    'card [card ****4242] declined, key sk_test_[masked]'
    """
    if "PRIVATE KEY" in text:
        text = _PRIVATE.sub("[private key masked]", text)
    if "_secret_" in text:
        text = _CLIENT_SECRETS.sub(r"\1[masked]", text)
    if "k_" in text or "whsec_" in text or " " in text:
        text = _SECRETS.sub(lambda found: f"{found.group(1) or ''}[masked]", text)
    if _TEN.search(text):
        text = _DIGITS.sub(_mask, text)
    return text


def holds_card_number(text: str) -> bool:
    """Whether something in the text is, by issuer, length and check digit, a card number."""
    if len(text) < 13 or not _TEN.search(text):
        return False
    return any(_is_card_number(found.group()) for found in _DIGITS.finditer(text))


def _mask(found: re.Match[str]) -> str:
    text = found.group()
    return f"[card ****{_digits(text)[-4:]}]" if _is_card_number(text) else text


def _digits(text: str) -> str:
    return text.replace(" ", "").replace("-", "")


def _is_card_number(text: str) -> bool:
    digits = _digits(text)
    return _has_issuer(digits) and passes_check_digit(digits)


def _has_issuer(digits: str) -> bool:
    """Whether the first digits and the length belong to a card scheme."""
    length, two, four = len(digits), int(digits[:2]), int(digits[:4])
    return (
        (digits[0] == "4" and length in {13, 16, 19})
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and length == 16)
        or (two in {34, 37} and length == 15)
        or (two in {30, 36, 38, 39} and length in {14, 16})
        or (two == 35 and length == 16)
        or ((two in {62, 65, 81} or four == 6011 or 644 <= int(digits[:3]) <= 649) and length >= 16)
    )


def passes_check_digit(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit)
        if index % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0
